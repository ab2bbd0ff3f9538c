#include "signals.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's own set: the C library's leaves out three numbers that it uses itself. */
static uint64_t bit(int number)
{
	return UINT64_C(1) << (number - 1);
}

static int open_set(uint64_t set)
{
	return (int)syscall(SYS_signalfd4, -1, &set, sizeof set, O_CLOEXEC | O_NONBLOCK);
}

bool signals_block(void)
{
	uint64_t all = ~UINT64_C(0);

	return syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all) == 0;
}

bool signals_open(struct signals *signals, bool terminal)
{
	uint64_t own = bit(SIGCHLD) | (terminal ? bit(SIGWINCH) : 0);

	signals->own = open_set(own);
	signals->foreign = open_set(~own & ~bit(SIGKILL) & ~bit(SIGSTOP));
	return signals->own >= 0 && signals->foreign >= 0;
}

uint8_t signals_next(int descriptor, bool *sent)
{
	struct signalfd_siginfo info;

	if (read(descriptor, &info, sizeof info) != sizeof info)
		return 0;
	*sent = info.ssi_code <= 0;
	/* Blocked, so not ignored either: that of our own write to a pipe without a reader. */
	if (info.ssi_signo == SIGPIPE && info.ssi_pid == (uint32_t)getpid())
		*sent = false;
	/* A terminal's signals come from the kernel, and are for the application all the same. */
	else if (info.ssi_signo != SIGCHLD)
		*sent = true;
	return (uint8_t)info.ssi_signo;
}
