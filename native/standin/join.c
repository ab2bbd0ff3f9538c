#include "join.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bridge.h"
#include "confine.h"
#include "exec.h"
#include "launch.h"
#include "loop.h"
#include "report.h"
#include "sentence.h"
#include "terminal.h"

#define LAUNCH_DIRECTORY "/run/urunc/"
#define NAME_MOST 64u
/* Milliseconds, for output that nobody takes when things have gone wrong. */
#define GRACE_OUTPUT 2000
#define STATUS_KILLED 137

/* The first stand-in, and the caller of `urunc exec`. */
enum slot { CHANNEL = BRIDGE_SLOTS, CALLER, SLOTS };

struct join {
	struct launch launch;
	struct bridge bridge;
	int channel; /* -1: closed */
	bool attached;
	bool started;
	bool decided;
	int status;
	const char *prefix;
	char sentence[URUNC_SENTENCE_MAX]; /* empty: none is to be said */
	int64_t output_deadline;
};

static struct join join_state;

bool join_name_allowed(const char *name)
{
	size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return length > 0 && length <= NAME_MOST && name[length] == '\0' && name[0] != '.';
}

/* The first verdict counts. */
static void decide(struct join *join, int status, const char *prefix, const char *sentence)
{
	if (join->decided)
		return;
	join->decided = true;
	join->status = status;
	join->prefix = prefix;
	if (!sentence || report_failed(status, sentence))
		return;
	snprintf(join->sentence, sizeof join->sentence, "%s", sentence);
	join->output_deadline = bridge_now() + GRACE_OUTPUT;
}

static void decide_failed(struct join *join, const struct session_event *event)
{
	char sentence[URUNC_SENTENCE_MAX];

	sentence_clean(sentence, sizeof sentence, event->bytes, event->length);
	decide(join, (int)event->number, "", sentence[0] ? sentence : "the process failed without a reason");
}

static void decide_protocol(struct join *join, const char *what)
{
	char sentence[256];

	snprintf(sentence, sizeof sentence, "the guest broke the protocol: %s", what);
	decide(join, LOOP_STATUS, "urunc: ", sentence);
}

static void handle_event(struct join *join, const struct session_event *event)
{
	switch (event->type) {
	case SESSION_STARTED:
		join->started = true;
		report_started(event->number);
		break;
	case SESSION_FAILED:
		decide_failed(join, event);
		break;
	case SESSION_DATA:
		if (!bridge_put(&join->bridge, event))
			decide_protocol(join, "it sent more data than it had credit for");
		break;
	case SESSION_EXITED:
		decide(join, (int)event->number, "", NULL);
		break;
	case SESSION_VIOLATION:
		decide_protocol(join, (const char *)event->bytes);
		break;
	default:
		break;
	}
}

static void leave(struct join *join)
{
	if (join->channel >= 0)
		close(join->channel);
	join->channel = -1;
}

static void read_channel(struct join *join)
{
	ssize_t got = recv(join->channel, join->bridge.part, sizeof join->bridge.part, MSG_DONTWAIT);
	struct session_span input = { join->bridge.part, got > 0 ? (size_t)got : 0 };
	struct session_event event;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* The machine has ended, and with it every process, as by SIGKILL. */
	if (got <= 0)
		decide(join, STATUS_KILLED, "urunc: ", join->started ? NULL : "the virtual machine has ended");
	do {
		event = session_next(&join->bridge.session, &input);
		handle_event(join, &event);
	} while (event.type != SESSION_NOTHING && !join->decided);
	if (join->decided)
		leave(join);
}

/* Whoever wanted the process is gone: the first stand-in ends it when this one has left. */
static void caller_gone(struct join *join)
{
	int64_t deadline = bridge_now() + GRACE_OUTPUT;

	report_hang_up();
	decide(join, STATUS_KILLED, "", NULL);
	if (deadline < join->output_deadline)
		join->output_deadline = deadline;
	leave(join);
}

static void choose(struct join *join, struct pollfd slots[SLOTS])
{
	bool sends;

	bridge_choose(&join->bridge, slots);
	sends = session_output(&join->bridge.session).length > 0;
	slots[CHANNEL] = (struct pollfd){ join->channel, sends ? POLLIN | POLLOUT : POLLIN, 0 };
	slots[CALLER] = (struct pollfd){ join->attached ? report_connection() : -1, 0, 0 };
}

static void serve(struct join *join, const struct pollfd slots[SLOTS])
{
	bridge_signals(&join->bridge, slots);
	if (slots[CHANNEL].revents & ~POLLOUT)
		read_channel(join);
	if (slots[CALLER].revents)
		caller_gone(join);
	bridge_outputs(&join->bridge, slots);
	if (slots[BRIDGE_INPUT].revents)
		bridge_input(&join->bridge);
	if (join->channel >= 0)
		bridge_send(&join->bridge, join->channel);
	if (join->launch.bytes && session_documents_sent(&join->bridge.session))
		launch_forget(&join->launch);
}

static bool finished(const struct join *join)
{
	return join->decided && (bridge_done(&join->bridge) || bridge_now() >= join->output_deadline);
}

static int time_left(const struct join *join)
{
	int64_t left = join->output_deadline == INT64_MAX ? 60000 : join->output_deadline - bridge_now();

	return left < 0 ? 0 : (int)left;
}

static int refuse(const char *sentence)
{
	struct output *errors = &join_state.bridge.outputs[1];

	if (report_failed(LOOP_STATUS, sentence))
		return LOOP_STATUS;
	output_open(errors, STDERR_FILENO);
	bridge_say(errors, "urunc: ", sentence);
	return LOOP_STATUS;
}

/* Waits no longer than the other takes to accept. */
static const char *connect_to_first(struct join *join)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = EXEC_SOCKET };

	join->channel = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (join->channel >= 0 && connect(join->channel, (struct sockaddr *)&address, sizeof address) == 0)
		return NULL;
	if (join->channel >= 0 && (errno == ENOENT || errno == ECONNREFUSED))
		return "the container's process is not running";
	return "the container's stand-in cannot be reached";
}

static const char *join_open(struct join *join, const char *name)
{
	char path[sizeof LAUNCH_DIRECTORY + NAME_MOST + sizeof ".sock"];
	struct signals signals;
	bool blocked = signals_block();
	const char *wrong;

	if (!join_name_allowed(name))
		return "the launch document's name is not allowed";
	snprintf(path, sizeof path, LAUNCH_DIRECTORY "%s.sock", name);
	report_open(path);
	snprintf(path, sizeof path, LAUNCH_DIRECTORY "%s", name);
	wrong = launch_read_added(&join->launch, path);
	if (wrong)
		return wrong;
	if (!blocked || !signals_open(&signals, join->launch.terminal))
		return "signals cannot be taken";
	wrong = connect_to_first(join);
	if (wrong)
		return wrong;
	join->attached = join->launch.attached;
	if (join->attached)
		report_keep();
	bridge_open(&join->bridge, &signals);
	session_init_apart(&join->bridge.session,
			   (struct session_span){ join->launch.process, join->launch.process_length },
			   join->launch.terminal);
	join->output_deadline = INT64_MAX;
	return NULL;
}

int join_run(const char *name)
{
	struct join *join = &join_state;
	struct pollfd slots[SLOTS];
	const char *wrong;

	confine_start();
	wrong = join_open(join, name);
	if (wrong)
		return refuse(wrong);
	if (join->attached && report_connection() < 0)
		return STATUS_KILLED;
	confine_rest(0);
	if (join->launch.terminal)
		bridge_take_terminal(&join->bridge);
	while (!finished(join)) {
		choose(join, slots);
		if (poll(slots, SLOTS, time_left(join)) > 0)
			serve(join, slots);
	}
	terminal_give_back();
	if (join->sentence[0])
		bridge_say(&join->bridge.outputs[1], join->prefix, join->sentence);
	return join->status;
}
