#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the monitor inherits (docs/guest-protocol.md): standard streams, the agent's channel, the console. */
#define INHERITED 5
/* Above all numbers that the monitor's descriptors get, so that none is overwritten before it is copied. */
#define OUT_OF_THE_WAY 16

/* The ends that become the monitor's; -1: none. */
struct monitor_ends {
	int agent;
	int console;
	int output;
};

static void close_end(int *end)
{
	if (*end >= 0)
		close(*end);
	*end = -1;
}

static bool make_pair(int *ours, int *theirs)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	*ours = pair[0];
	*theirs = pair[1];
	return fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0;
}

static bool make_pipe(int *ours, int *theirs)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	*ours = ends[0];
	*theirs = ends[1];
	return fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0;
}

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

static bool child_descriptors(const struct monitor_ends *ends)
{
	int sources[INHERITED] = { -1, ends->output, ends->output, ends->agent, ends->console };

	sources[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < INHERITED; i++) {
		if (sources[i] < 0 && i != 3)
			return false;
		if (sources[i] >= 0)
			sources[i] = fcntl(sources[i], F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
	}
	for (int i = 0; i < INHERITED; i++) {
		if (sources[i] < 0)
			close(i);
		else if (dup2(sources[i], i) < 0)
			return false;
	}
	/* All of ours are closed by execve(2) anyhow; this is for what we were started with. */
	syscall(SYS_close_range, INHERITED, ~0u, 0);
	return true;
}

static _Noreturn void child(char *const arguments[], const struct monitor_ends *ends, pid_t parent)
{
	/* Its own session: what is typed at the container's terminal is not for it. */
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	if (!child_descriptors(ends))
		child_fail(arguments[0], "its descriptors cannot be made");
	child_signals();
	execv(arguments[0], arguments);
	child_fail(arguments[0], "it cannot be run");
}

bool monitor_start(struct monitor *monitor, char *const arguments[], bool inherits_agent)
{
	struct monitor_ends ends = { -1, -1, -1 };
	pid_t parent = getpid();

	*monitor = (struct monitor){ .process = -1, .agent = -1, .console = -1, .output = -1 };
	if ((!inherits_agent || make_pair(&monitor->agent, &ends.agent)) &&
	    make_pair(&monitor->console, &ends.console) && make_pipe(&monitor->output, &ends.output))
		monitor->process = fork();
	if (monitor->process == 0)
		child(arguments, &ends, parent);
	close_end(&ends.agent);
	close_end(&ends.console);
	close_end(&ends.output);
	return monitor->process > 0;
}

bool monitor_connect(struct monitor *monitor, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int agent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (agent < 0)
		return false;
	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	if (connect(agent, (struct sockaddr *)&address, sizeof address) < 0) {
		close(agent);
		return false;
	}
	monitor->agent = agent;
	return true;
}

void monitor_kill(struct monitor *monitor)
{
	if (monitor->process <= 0)
		return;
	kill(monitor->process, SIGKILL);
	while (waitpid(monitor->process, NULL, 0) < 0 && errno == EINTR)
		;
	monitor->process = 0;
}

bool monitor_reap(struct monitor *monitor, int *status)
{
	bool ended = false;
	int one;

	for (pid_t process; (process = waitpid(-1, &one, WNOHANG)) > 0;) {
		if (process != monitor->process)
			continue;
		*status = one;
		monitor->process = 0;
		ended = true;
	}
	return ended;
}

int monitor_epitaph(int status, const char *last_words, char *sentence, size_t size)
{
	bool killed = WIFSIGNALED(status);
	const char *more = last_words[0] ? last_words : "see kernel.log in the container's state directory";

	snprintf(sentence, size, "the monitor %s %d: %s", killed ? "was ended by signal" : "ended with status",
		 killed ? WTERMSIG(status) : WEXITSTATUS(status), more);
	return killed ? 128 + WTERMSIG(status) : 255;
}
