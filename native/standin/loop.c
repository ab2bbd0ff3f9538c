#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "bridge.h"
#include "confine.h"
#include "epitaph.h"
#include "exec.h"
#include "exhaust.h"
#include "kernel_lines.h"
#include "log.h"
#include "monitor.h"
#include "report.h"
#include "resolver.h"
#include "sentence.h"
#include "terminal.h"

#define KERNEL_LOG "/run/urunc/kernel.log"
#define MONITOR_LOG "/run/urunc/monitor.log"
#define SERVER_LOG "/run/urunc/file-server.log"

/* Milliseconds. */
#define NEVER INT64_MAX
/* From EXITED to BYE: file systems are synced meanwhile. */
#define GRACE_EXITED 5000
#define GRACE_FAILED 2000
/* From the end of the agent's channel to the monitor's. */
#define GRACE_CHANNEL 5000
/* From a panic to the monitor's end. */
#define GRACE_PANIC 2000
/* For output that nobody takes, when things have gone wrong. */
#define GRACE_OUTPUT 2000

/* Parts of a log read in one go, so that a guest that never stops writing cannot hold up the rest. */
#define LOG_PARTS 32
#define STATUS_KILLED 137

enum slot { AGENT, CONSOLE, MONITOR, SERVER, BRIDGE, EXEC = BRIDGE + BRIDGE_SLOTS, RESOLVER = EXEC + EXEC_SLOTS,
	    CALLER = RESOLVER + RESOLVER_SLOTS, SLOTS };

struct loop {
	struct launch *launch;
	struct monitor monitor;
	struct bridge bridge;
	struct exec exec;
	struct resolver resolver;
	bool input_had_turn; /* on the agent's channel, after an added process or a name */
	bool name_had_turn;
	struct kernel_lines kernel_lines;
	struct log kernel_log;
	struct log monitor_log;
	struct log server_log;
	/* The verdict: the exit status is known, and the sentence if there is one to be said at the end. */
	bool decided;
	int status;
	char sentence[URUNC_SENTENCE_MAX];
	bool lacked_memory; /* the guest's kernel has killed for it */
	uint64_t memory_limit;
	bool attached;	 /* the machine ends with who started it */
	bool guest_over; /* nothing more is expected of the guest */
	int64_t boot_deadline;
	int64_t guest_deadline;
	int64_t output_deadline;
};

static struct loop loop_state;

static int64_t earlier(int64_t one, int64_t other)
{
	return one < other ? one : other;
}

/* Endings. */

/* The guest and its monitor are not needed any more. A monitor takes its time to end by itself. */
static void end_guest(struct loop *loop)
{
	loop->guest_over = true;
	monitor_kill(&loop->monitor);
	monitor_hang_up(&loop->monitor);
	exec_flush(&loop->exec, &loop->bridge.session);
	exec_close(&loop->exec, &loop->bridge.session);
}

/* The first verdict counts. */
static void decide(struct loop *loop, int status, const char *sentence)
{
	if (loop->decided)
		return;
	loop->decided = true;
	loop->status = status;
	loop->boot_deadline = NEVER;
	if (!sentence)
		return;
	loop->output_deadline = bridge_now() + GRACE_OUTPUT;
	if (!report_failed(status, sentence))
		snprintf(loop->sentence, sizeof loop->sentence, "%s", sentence);
}

static void decide_protocol(struct loop *loop, const char *what)
{
	char sentence[256];

	snprintf(sentence, sizeof sentence, "the guest broke the protocol: %s", what);
	decide(loop, LOOP_STATUS, sentence);
	end_guest(loop);
}

static void decide_boot_timeout(struct loop *loop, uint32_t timeout)
{
	char sentence[EPITAPH_MOST];

	epitaph_timeout(timeout, loop->monitor.listener < 0, sentence);
	decide(loop, LOOP_STATUS, sentence);
	end_guest(loop);
}

static void decide_ended(struct loop *loop, const char *who, int wait_status, const struct log *log)
{
	char sentence[EPITAPH_MOST];
	int status = epitaph_ended(who, wait_status, log, &loop->kernel_log, sentence);

	decide(loop, status, sentence);
	end_guest(loop);
}

/* What the guest needs is gone, and its monitor has not ended since. */
static void decide_lost(struct loop *loop)
{
	char sentence[EPITAPH_MOST];

	if (loop->kernel_lines.panicked)
		epitaph_panicked("guest", loop->kernel_lines.panic, sentence);
	else if (loop->monitor.agent >= 0 || loop->monitor.listener >= 0)
		snprintf(sentence, sizeof sentence, "the server of the container's files has ended");
	else
		epitaph_closed(&loop->kernel_log, sentence);
	decide(loop, LOOP_STATUS, sentence);
	end_guest(loop);
}

/* Whoever wanted the machine is gone, and with it whoever reads what the application writes. */
static void caller_gone(struct loop *loop)
{
	report_hang_up();
	decide(loop, STATUS_KILLED, NULL);
	loop->output_deadline = earlier(loop->output_deadline, bridge_now() + GRACE_OUTPUT);
	end_guest(loop);
}

/* The guest's side. */

static void welcome(struct loop *loop)
{
	uint8_t entropy[SESSION_ENTROPY];
	struct timespec time;

	memset(entropy, 0, sizeof entropy);
	/* 256 bytes are never given in part. Early in the host's boot there are none, and then the guest has no more. */
	(void)!getrandom(entropy, sizeof entropy, GRND_NONBLOCK);
	clock_gettime(CLOCK_REALTIME, &time);
	session_welcome(&loop->bridge.session, (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec, entropy);
	explicit_bzero(entropy, sizeof entropy);
}

static void guest_failed(struct loop *loop, const struct session_event *event)
{
	char sentence[URUNC_SENTENCE_MAX];

	sentence_clean(sentence, sizeof sentence, event->bytes, event->length);
	decide(loop, (int)event->number, sentence[0] ? sentence : "the virtual machine failed without a reason");
	loop->guest_deadline = bridge_now() + GRACE_FAILED;
}

static void handle_event(struct loop *loop, const struct session_event *event)
{
	if (event->added) {
		if (!exec_event(&loop->exec, event))
			decide_protocol(loop, "it sent more data than it had credit for");
		return;
	}
	switch (event->type) {
	case SESSION_HELLO:
		welcome(loop);
		break;
	case SESSION_STARTED:
		loop->boot_deadline = NEVER;
		exec_listen(&loop->exec);
		report_started(event->number);
		break;
	case SESSION_FAILED:
		guest_failed(loop, event);
		break;
	case SESSION_DATA:
		if (!bridge_put(&loop->bridge, event))
			decide_protocol(loop, "it sent more data than it had credit for");
		break;
	case SESSION_EXITED:
		loop->lacked_memory = urunc_get32(event->bytes + 4) & URUNC_EXITED_OOM;
		decide(loop, (int)event->number, NULL);
		loop->guest_deadline = bridge_now() + GRACE_EXITED;
		break;
	case SESSION_BYE:
		end_guest(loop);
		break;
	case SESSION_VIOLATION:
		decide_protocol(loop, (const char *)event->bytes);
		break;
	case SESSION_QUERY:
		resolver_query(&loop->resolver, event, bridge_now());
		break;
	case SESSION_CLOSED:
	case SESSION_CREDIT:
	case SESSION_NOTHING:
		break;
	}
}

static void agent_closed(struct loop *loop)
{
	monitor_hang_up(&loop->monitor);
	/* The monitor is about to end, and its status says more. After the verdict there is nothing to wait for. */
	if (loop->decided)
		end_guest(loop);
	else
		loop->guest_deadline = bridge_now() + GRACE_CHANNEL;
}

/* False: nothing was there. */
static bool read_agent(struct loop *loop)
{
	ssize_t got = loop->monitor.agent < 0 ? -1 : read(loop->monitor.agent, loop->bridge.part, sizeof loop->bridge.part);
	struct session_span input;
	struct session_event event;

	if (loop->monitor.agent < 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
		return false;
	if (got <= 0) {
		agent_closed(loop);
		return false;
	}
	input = (struct session_span){ loop->bridge.part, (size_t)got };
	do {
		event = session_next(&loop->bridge.session, &input);
		handle_event(loop, &event);
	} while (event.type != SESSION_NOTHING && !loop->guest_over);
	return true;
}

/* A name's answer and an added process's frame in turn. */
static bool put_other(struct loop *loop)
{
	struct session *session = &loop->bridge.session;

	loop->name_had_turn = !loop->name_had_turn;
	if (loop->name_had_turn)
		return resolver_put(&loop->resolver, session) || exec_put(&loop->exec, session);
	return exec_put(&loop->exec, session) || resolver_put(&loop->resolver, session);
}

/*
 * The next frame of those that wait for their turn: a name's answer or an added process's, and after each of these the
 * main process's input. False: there is none.
 */
static bool put_waiting(struct loop *loop)
{
	if (!exec_waits(&loop->exec) && !resolver_waits(&loop->resolver))
		return false;
	if (!loop->input_had_turn) {
		loop->input_had_turn = true;
		if (bridge_input_now(&loop->bridge))
			return true;
	}
	loop->input_had_turn = false;
	return put_other(loop);
}

/* Sends what there is to send until the channel is full. */
static void write_agent(struct loop *loop)
{
	while (loop->monitor.agent >= 0 && bridge_send(&loop->bridge, loop->monitor.agent) && put_waiting(loop))
		;
	if (loop->launch->bytes && session_documents_sent(&loop->bridge.session))
		launch_forget(loop->launch);
}

/* Logs. */

/*
 * A monitor may start a machine again that has panicked, and again. Once its application runs the console may have lines of
 * others, and the channel is closed by such an end.
 */
static void note_panic(struct loop *loop, size_t length)
{
	const uint8_t *bytes = loop->bridge.part;

	if (loop->boot_deadline == NEVER || loop->kernel_lines.panicked)
		return;
	while (kernel_lines_next(&loop->kernel_lines, &bytes, &length).length > 0)
		;
	if (loop->kernel_lines.panicked)
		loop->guest_deadline = earlier(loop->guest_deadline, bridge_now() + GRACE_PANIC);
}

static void read_log(struct loop *loop, int *from, struct log *log)
{
	for (int i = 0; i < LOG_PARTS && *from >= 0; i++) {
		ssize_t got = read(*from, loop->bridge.part, sizeof loop->bridge.part);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			close(*from);
			*from = -1;
			return;
		}
		log_append(log, loop->bridge.part, (size_t)got);
		if (log == &loop->kernel_log)
			note_panic(loop, (size_t)got);
	}
}

static void read_logs(struct loop *loop)
{
	read_log(loop, &loop->monitor.console, &loop->kernel_log);
	read_log(loop, &loop->monitor.output, &loop->monitor_log);
	read_log(loop, &loop->monitor.server_output, &loop->server_log);
}

/* Signals. */

static void children_ended(struct loop *loop)
{
	struct monitor_reaped reaped = monitor_reap(&loop->monitor);
	/* A server whose monitor ends says farewell with 0: then the monitor's end says more, and is to come. */
	bool server_failed = reaped.server && reaped.server_status != 0;

	if (reaped.server && !server_failed && !reaped.monitor && !loop->guest_over)
		loop->guest_deadline = earlier(loop->guest_deadline, bridge_now() + GRACE_CHANNEL);
	if (!reaped.monitor && !server_failed)
		return;
	/* What the guest sent before that counts: its exit may be among it. */
	if (loop->monitor.listener >= 0)
		monitor_accept(&loop->monitor);
	while (!loop->guest_over && read_agent(loop))
		;
	read_logs(loop);
	if (server_failed)
		decide_ended(loop, "the server of the container's files", reaped.server_status, &loop->server_log);
	else if (loop->kernel_lines.panicked && reaped.monitor_status == 0)
		decide_lost(loop);
	else
		decide_ended(loop, "the monitor", reaped.monitor_status, &loop->monitor_log);
}

/* The loop itself. */

static void choose(struct loop *loop, struct pollfd slots[SLOTS])
{
	bool sends;

	/* First, since they may have something to send. */
	bridge_choose(&loop->bridge, slots + BRIDGE);
	exec_choose(&loop->exec, slots + EXEC);
	resolver_choose(&loop->resolver, slots + RESOLVER);
	sends = session_output(&loop->bridge.session).length > 0;
	/* Nobody listens any more once there is a channel. */
	slots[AGENT] = loop->monitor.listener >= 0 ?
			       (struct pollfd){ loop->monitor.listener, POLLIN, 0 } :
			       (struct pollfd){ loop->monitor.agent, sends ? POLLIN | POLLOUT : POLLIN, 0 };
	slots[CONSOLE] = (struct pollfd){ loop->monitor.console, POLLIN, 0 };
	slots[MONITOR] = (struct pollfd){ loop->monitor.output, POLLIN, 0 };
	slots[SERVER] = (struct pollfd){ loop->monitor.server_output, POLLIN, 0 };
	slots[CALLER] = (struct pollfd){ loop->attached ? report_connection() : -1, 0, 0 };
}

static int time_left(const struct loop *loop)
{
	int64_t next = earlier(loop->boot_deadline, earlier(loop->guest_deadline, loop->output_deadline));
	int64_t left = earlier(next, resolver_deadline(&loop->resolver)) - bridge_now();

	return left <= 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static void serve(struct loop *loop, const struct pollfd slots[SLOTS])
{
	const struct pollfd *streams = slots + BRIDGE;

	if (bridge_signals(&loop->bridge, streams))
		children_ended(loop);
	if (slots[AGENT].revents & ~POLLOUT && loop->monitor.listener >= 0)
		monitor_accept(&loop->monitor);
	else if (slots[AGENT].revents & ~POLLOUT)
		read_agent(loop);
	if (slots[CONSOLE].revents || slots[MONITOR].revents || slots[SERVER].revents)
		read_logs(loop);
	if (slots[CALLER].revents)
		caller_gone(loop);
	bridge_outputs(&loop->bridge, streams);
	if (!loop->guest_over)
		exec_serve(&loop->exec, &loop->bridge.session, slots + EXEC);
	resolver_serve(&loop->resolver, slots + RESOLVER, bridge_now());
	if (streams[BRIDGE_INPUT].revents && bridge_input(&loop->bridge))
		loop->input_had_turn = true;
	write_agent(loop);
	exec_flush(&loop->exec, &loop->bridge.session);
}

static void check_deadlines(struct loop *loop, uint32_t boot_timeout)
{
	int64_t time = bridge_now();

	if (time >= loop->boot_deadline)
		decide_boot_timeout(loop, boot_timeout);
	if (time >= loop->guest_deadline && !loop->guest_over)
		decide_lost(loop);
	if (loop->guest_over)
		loop->guest_deadline = NEVER;
}

static bool finished(const struct loop *loop)
{
	return loop->decided && loop->guest_over && (bridge_done(&loop->bridge) || bridge_now() >= loop->output_deadline);
}

static bool open_all(struct loop *loop, struct launch *launch, const struct signals *signals)
{
	loop->launch = launch;
	loop->memory_limit = launch->memory_limit;
	loop->attached = launch->attached;
	if (loop->attached)
		report_keep();
	loop->guest_deadline = loop->output_deadline = NEVER;
	(void)kernel_lines_open(&loop->kernel_lines);
	bridge_open(&loop->bridge, signals);
	session_init(&loop->bridge.session, (struct session_span){ launch->machine, launch->machine_length },
		     (struct session_span){ launch->process, launch->process_length }, launch->terminal);
	session_resolvers(&loop->bridge.session, launch->resolver_count);
	resolver_open(&loop->resolver, launch->resolvers, launch->resolver_count);
	return log_open(&loop->kernel_log, KERNEL_LOG) && log_open(&loop->monitor_log, MONITOR_LOG) &&
	       (!launch->server[0] || log_open(&loop->server_log, SERVER_LOG));
}

static int close_all(struct loop *loop)
{
	monitor_kill(&loop->monitor);
	read_logs(loop);
	terminal_give_back();
	if (loop->sentence[0])
		bridge_say(&loop->bridge.outputs[1], "urunc: ", loop->sentence);
	if (loop->status == STATUS_KILLED && loop->lacked_memory)
		exhaust(loop->memory_limit);
	return loop->status;
}

int loop_run(struct launch *launch, const struct signals *signals)
{
	struct loop *loop = &loop_state;
	struct pollfd slots[SLOTS];
	uint32_t boot_timeout = launch->boot_timeout;

	if (!open_all(loop, launch, signals))
		return loop_refuse(LOOP_STATUS, "the logs in the container's state directory cannot be made");
	if (loop->attached && report_connection() < 0)
		return STATUS_KILLED;
	if (!exec_open(&loop->exec, EXEC_SOCKET))
		return loop_refuse(LOOP_STATUS, "the socket for further processes cannot be made");
	if (!monitor_start(&loop->monitor, launch))
		return loop_refuse(LOOP_STATUS, "the monitor's process cannot be made");
	confine_rest(CONFINE_SERVES | (launch->resolver_count ? CONFINE_RESOLVES : 0));
	loop->boot_deadline = bridge_now() + boot_timeout;
	if (launch->terminal)
		bridge_take_terminal(&loop->bridge);
	while (!finished(loop)) {
		choose(loop, slots);
		if (poll(slots, SLOTS, time_left(loop)) > 0 || resolver_deadline(&loop->resolver) <= bridge_now())
			serve(loop, slots);
		check_deadlines(loop, boot_timeout);
	}
	return close_all(loop);
}

int loop_refuse(int status, const char *sentence)
{
	struct output *errors = &loop_state.bridge.outputs[1];

	if (report_failed(status, sentence))
		return status;
	output_open(errors, STDERR_FILENO);
	bridge_say(errors, "urunc: ", sentence);
	return status;
}
