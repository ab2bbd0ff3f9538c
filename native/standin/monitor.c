#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "listener.h"

/*
 * What the monitor inherits (docs/guest-protocol.md): standard streams, the agent's channel, the console, the share, the
 * port of commands, the monitor's own. With the console on its standard streams, these and the share alone.
 */
#define INHERITED 8
/* And the file server: standard streams, the socket on which it waits for the monitor. */
#define INHERITED_BY_SERVER 4

#define SHARE_SOCKET "/run/urunc/share.sock"

/* The ends that become others'; -1: none. */
struct monitor_ends {
	int nothing;
	int agent;
	int console;
	int output;
	int share;
	int commands;
	int control;
	int server_socket;
	int server_output;
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

/*
 * A listening socket with the one connection that it will ever have already in its queue: it has a name only as long as
 * this takes, so that nobody else can connect to it.
 */
static bool make_connection(int *listening, int *connected)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SHARE_SOCKET };
	bool made;

	*listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*connected = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*listening < 0 || *connected < 0)
		return false;
	unlink(SHARE_SOCKET);
	made = bind(*listening, (struct sockaddr *)&address, sizeof address) == 0 && listen(*listening, 1) == 0 &&
	       connect(*connected, (struct sockaddr *)&address, sizeof address) == 0;
	unlink(SHARE_SOCKET);
	return made;
}

/* One place: nobody but the monitor connects, and what the guest has it connect beyond the first is refused. */
static bool make_listener(struct monitor *monitor, const char *path)
{
	monitor->listener = listener_bind(path);
	return monitor->listener >= 0 && listen(monitor->listener, 1) == 0;
}

/* A monitor with the console on its standard streams has no ports of the kind that an image's init knows. */
static bool make_channels(struct monitor *monitor, struct monitor_ends *ends, const struct launch *launch)
{
	if (launch->agent_socket)
		return make_listener(monitor, launch->agent_socket);
	if (launch->direct && launch->console_on_stdio)
		return true;
	return make_pair(&monitor->agent, &ends->agent) &&
	       (!launch->direct ||
		(make_pair(&monitor->commands, &ends->commands) && make_pair(&monitor->control, &ends->control)));
}

/* The same where the monitor inherits no connection, and makes its one by the name, which stays. */
static bool make_named(int *listening)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SHARE_SOCKET };

	*listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(SHARE_SOCKET);
	return *listening >= 0 && bind(*listening, (struct sockaddr *)&address, sizeof address) == 0 &&
	       listen(*listening, 1) == 0;
}

static bool make_server_ends(struct monitor *monitor, struct monitor_ends *ends, const struct launch *launch)
{
	bool made = launch->console_on_stdio ? make_named(&ends->server_socket) :
					       make_connection(&ends->server_socket, &ends->share);

	return made && make_pipe(&monitor->server_output, &ends->server_output);
}

static bool make_ends(struct monitor *monitor, struct monitor_ends *ends, const struct launch *launch)
{
	ends->nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	return ends->nothing >= 0 && make_channels(monitor, ends, launch) && make_pair(&monitor->console, &ends->console) &&
	       make_pipe(&monitor->output, &ends->output) &&
	       (!launch->server[0] || make_server_ends(monitor, ends, launch));
}

/* The server first: it has much to do before the monitor needs it. */
static void start_both(struct monitor *monitor, const struct launch *launch, const struct monitor_ends *ends)
{
	bool stdio = launch->console_on_stdio;
	const int inherited[INHERITED] = { stdio ? ends->console : ends->nothing,
					   stdio ? ends->console : ends->output,
					   ends->output,
					   ends->agent,
					   stdio ? -1 : ends->console,
					   ends->share,
					   ends->commands,
					   ends->control };
	const int by_server[INHERITED_BY_SERVER] = { ends->nothing, ends->server_output, ends->server_output,
						     ends->server_socket };

	if (launch->server[0]) {
		monitor->server = child_start(launch->server, by_server, INHERITED_BY_SERVER, CHILD_ALL_RIGHTS);
		if (monitor->server <= 0)
			return;
	}
	monitor->process = child_start(launch->arguments, inherited, INHERITED,
				       launch->server[0] ? CHILD_NO_RIGHTS : CHILD_SAME_RIGHTS);
}

bool monitor_start(struct monitor *monitor, const struct launch *launch)
{
	struct monitor_ends ends = { -1, -1, -1, -1, -1, -1, -1, -1, -1 };

	*monitor = (struct monitor){ .agent = -1, .listener = -1, .console = -1, .output = -1, .server_output = -1,
				     .commands = -1, .control = -1 };
	if (make_ends(monitor, &ends, launch))
		start_both(monitor, launch, &ends);
	close_end(&ends.nothing);
	close_end(&ends.agent);
	close_end(&ends.console);
	close_end(&ends.output);
	close_end(&ends.share);
	close_end(&ends.commands);
	close_end(&ends.control);
	close_end(&ends.server_socket);
	close_end(&ends.server_output);
	if (monitor->process > 0)
		return true;
	monitor_kill(monitor);
	return false;
}

void monitor_accept(struct monitor *monitor)
{
	int agent = accept4(monitor->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (agent < 0)
		return;
	monitor->agent = agent;
	close_end(&monitor->listener);
}

void monitor_hang_up(struct monitor *monitor)
{
	close_end(&monitor->agent);
	close_end(&monitor->listener);
}

static void end_process(pid_t *process)
{
	if (*process <= 0)
		return;
	kill(*process, SIGKILL);
	while (waitpid(*process, NULL, 0) < 0 && errno == EINTR)
		;
	*process = 0;
}

void monitor_kill(struct monitor *monitor)
{
	end_process(&monitor->process);
	end_process(&monitor->server);
}

struct monitor_reaped monitor_reap(struct monitor *monitor)
{
	struct monitor_reaped seen = { false, 0, false, 0 };
	int one;

	for (pid_t process; (process = waitpid(-1, &one, WNOHANG)) > 0;) {
		if (process == monitor->process) {
			monitor->process = 0;
			seen.monitor = true;
			seen.monitor_status = one;
		} else if (process == monitor->server) {
			monitor->server = 0;
			seen.server = true;
			seen.server_status = one;
		}
	}
	return seen;
}
