#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine.h"

/* Above all numbers that the program's descriptors get, so that none is overwritten before it is copied. */
#define OUT_OF_THE_WAY 16

static _Noreturn void child_fail(const char *program, const char *what)
{
	char line[512];
	int length = snprintf(line, sizeof line, "urunc: %s: %s: %s\n", program, what, strerror(errno));
	size_t used = (size_t)length < sizeof line ? (size_t)length : sizeof line - 1;

	_exit(write(2, line, used) < 0 ? 126 : 127);
}

/* As a program expects them, whatever the stand-in does with its own. */
static void child_signals(void)
{
	struct sigaction plain = { .sa_handler = SIG_DFL };
	uint64_t none = 0;

	for (int number = 1; number < NSIG; number++)
		sigaction(number, &plain, NULL);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
}

static bool child_descriptors(const int descriptors[], size_t count)
{
	int copies[CHILD_DESCRIPTORS_MOST];

	for (size_t i = 0; i < count; i++) {
		copies[i] = descriptors[i] < 0 ? -1 : fcntl(descriptors[i], F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
		if (descriptors[i] >= 0 && copies[i] < 0)
			return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (copies[i] < 0)
			close((int)i);
		else if (dup2(copies[i], (int)i) < 0)
			return false;
	}
	/* All of ours are closed by execve(2) anyhow; this is for what we were started with. */
	syscall(SYS_close_range, (unsigned int)count, ~0u, 0);
	return true;
}

/*
 * A file server takes another user's identity to make a file for that user. The guest's kernel has decided by then that
 * the user may; the host's would decide again, by less: it does not know the user's further groups.
 */
static bool child_rights(enum child_rights rights)
{
	if (rights == CHILD_NO_RIGHTS)
		confine_capabilities();
	return rights != CHILD_ALL_RIGHTS ||
	       prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED, 0, 0, 0) == 0;
}

static _Noreturn void child(char *const arguments[], const int descriptors[], size_t count, enum child_rights rights,
			    pid_t parent)
{
	/* Its own session: what is typed at the container's terminal is not for it. */
	setsid();
	if (!child_descriptors(descriptors, count))
		child_fail(arguments[0], "its descriptors cannot be made");
	if (!child_rights(rights))
		child_fail(arguments[0], "its capabilities cannot be kept");
	/* Behind a change of capabilities, which may undo it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	child_signals();
	execv(arguments[0], arguments);
	child_fail(arguments[0], "it cannot be run");
}

pid_t child_start(char *const arguments[], const int descriptors[], size_t count, enum child_rights rights)
{
	pid_t parent = getpid();
	pid_t process;

	if (count > CHILD_DESCRIPTORS_MOST) {
		errno = EINVAL;
		return -1;
	}
	process = fork();
	if (process == 0)
		child(arguments, descriptors, count, rights, parent);
	return process;
}
