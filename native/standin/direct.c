#include "direct.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bridge.h"
#include "confine.h"
#include "epitaph.h"
#include "init_link.h"
#include "kernel_lines.h"
#include "log.h"
#include "loop.h"
#include "monitor.h"
#include "report.h"
#include "sentence.h"
#include "streams.h"
#include "terminal.h"

#define KERNEL_LOG "/run/urunc/kernel.log"
#define MONITOR_LOG "/run/urunc/monitor.log"
#define SERVER_LOG "/run/urunc/file-server.log"

/* Milliseconds. */
#define NEVER INT64_MAX
/* From the init's last word to the monitor's end. */
#define GRACE_EXITED 10000
/* For output that nobody takes, when things have gone wrong. */
#define GRACE_OUTPUT 2000
/*
 * Until an init that has said nothing is taken as one that reads the console: from the start, and from the first output
 * that is not the kernel's.
 */
#define SILENCE 10000
#define SILENCE_HEARD 1000

#define STATUS_KILLED 137

/* The power button (QMP): for an init that is told of no signals. Nobody waits for the answers. */
static const char power_button[] = "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"system_powerdown\"}\n";

enum slot { OWN, FOREIGN, CONSOLE, REPORTS, COMMANDS, CONTROL, MONITOR, SERVER, INPUT, OUTPUT, CALLER, SLOTS };

struct direct {
	bool attached;
	struct signals signals;
	struct monitor monitor;
	struct output output;
	struct output errors;
	struct log kernel_log;
	struct log monitor_log;
	struct log server_log;
	struct kernel_lines lines;
	struct init_report report;
	struct init_link link;
	/* The end. */
	bool decided;
	int status;
	char sentence[URUNC_SENTENCE_MAX];
	bool monitor_over;
	int64_t silence_deadline;
	int64_t monitor_deadline;
	int64_t output_deadline;
	uint8_t part[BRIDGE_PART];
};

static struct direct state;

static void decide(struct direct *direct, int status, const char *sentence)
{
	if (direct->decided)
		return;
	direct->decided = true;
	direct->status = status;
	if (sentence)
		snprintf(direct->sentence, sizeof direct->sentence, "%s", sentence);
}

/* Signals. */

static void read_signals(struct direct *direct, int descriptor, bool *child)
{
	bool sent;

	for (uint8_t number; (number = signals_next(descriptor, &sent)) != 0;) {
		if (number == SIGCHLD)
			*child = true;
		if (number == SIGWINCH && direct->link.terminal)
			init_link_resize(&direct->link);
		else if (sent && init_link_signal(&direct->link, number) && direct->monitor.control >= 0)
			(void)send(direct->monitor.control, power_button, sizeof power_button - 1,
				   MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

/* The init's words. */

static void init_failed(struct direct *direct, const struct init_event *event)
{
	char sentence[URUNC_SENTENCE_MAX];

	sentence_clean(sentence, sizeof sentence, (const uint8_t *)event->sentence, strlen(event->sentence));
	decide(direct, (int)event->number, sentence[0] ? sentence : "the image's init has failed without a reason");
}

static void handle(struct direct *direct, const struct init_event *event)
{
	init_link_event(&direct->link, event);
	if (event->type != INIT_FAILED && event->type != INIT_EXITED)
		return;
	if (event->type == INIT_FAILED)
		init_failed(direct, event);
	else
		decide(direct, (int)event->number, NULL);
	direct->monitor_deadline = bridge_now() + GRACE_EXITED;
}

static void close_end(int *end)
{
	close(*end);
	*end = -1;
}

/* False: nothing more is there now. */
static bool read_part(struct direct *direct, int *from, size_t most, size_t *length)
{
	ssize_t got = *from < 0 || most == 0 ? 0 : read(*from, direct->part, most);

	if (*from < 0 || most == 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
		return false;
	if (got <= 0) {
		close_end(from);
		return false;
	}
	*length = (size_t)got;
	return true;
}

static void read_reports(struct direct *direct)
{
	const uint8_t *bytes = direct->part;
	struct init_event event;
	size_t length;

	if (!read_part(direct, &direct->monitor.agent, sizeof direct->part, &length))
		return;
	while ((event = init_report_next(&direct->report, &bytes, &length)).type != INIT_NOTHING)
		handle(direct, &event);
}

/* The console. */

static void put(struct direct *direct, const struct kernel_part *part)
{
	if (part->kernel)
		log_append(&direct->kernel_log, part->bytes, part->length);
	else
		(void)output_put(&direct->output, part->bytes, part->length);
}

/* Once its program runs, an init that speaks has the console for that alone. */
static void open_console(struct direct *direct)
{
	struct kernel_part part;

	if (direct->link.state != INIT_RUNNING || direct->lines.open)
		return;
	part = kernel_lines_open(&direct->lines);
	put(direct, &part);
}

/* As much as there is room for, so that the machine waits for who reads its output. */
static bool read_console(struct direct *direct)
{
	size_t room = sizeof direct->output.ring - direct->output.length, length;
	const uint8_t *bytes = direct->part;
	struct kernel_part part;

	/* What is kept of a line may come with it. */
	room = room > KERNEL_LINE_MOST ? room - KERNEL_LINE_MOST : 0;
	if (!read_part(direct, &direct->monitor.console, room < sizeof direct->part ? room : sizeof direct->part, &length))
		return false;
	while ((part = kernel_lines_next(&direct->lines, &bytes, &length)).length > 0)
		put(direct, &part);
	return true;
}

static bool console_has_room(const struct direct *direct)
{
	return sizeof direct->output.ring - direct->output.length > 2 * KERNEL_LINE_MOST;
}

/* Logs. */

static void read_log(struct direct *direct, int *from, struct log *log)
{
	size_t length;

	for (int i = 0; i < 32 && read_part(direct, from, sizeof direct->part, &length); i++)
		log_append(log, direct->part, length);
}

static void read_logs(struct direct *direct)
{
	size_t length;

	read_log(direct, &direct->monitor.output, &direct->monitor_log);
	read_log(direct, &direct->monitor.server_output, &direct->server_log);
	/* Answers of no interest. */
	while (read_part(direct, &direct->monitor.control, sizeof direct->part, &length))
		;
	while (read_part(direct, &direct->monitor.commands, sizeof direct->part, &length))
		;
}

/* The end. */

/*
 * A kernel may end the machine by a port (isa-debug-exit), with a status of which QEMU makes an odd one. QEMU says what is
 * wrong where it fails itself.
 */
static bool ended_by_port(struct direct *direct, int wait_status)
{
	char words[LOG_LINE];

	log_last_line(&direct->monitor_log, words);
	if (words[0] || !WIFEXITED(wait_status) || (WEXITSTATUS(wait_status) & 1) == 0)
		return false;
	decide(direct, WEXITSTATUS(wait_status) >> 1, NULL);
	return true;
}

static void decide_ended(struct direct *direct, const char *who, int wait_status, const struct log *log)
{
	char sentence[EPITAPH_MOST];
	int status = epitaph_ended(who, wait_status, log, &direct->kernel_log, sentence);

	decide(direct, status, sentence);
}

/* The kernel has ended the machine, or the init has. */
static void decide_powered_off(struct direct *direct)
{
	int status = kernel_lines_status(&direct->lines);
	char sentence[EPITAPH_MOST];

	if (!direct->lines.panicked) {
		decide(direct, 0, NULL);
		return;
	}
	if (status >= 0) {
		decide(direct, status, NULL);
		return;
	}
	epitaph_panicked("image", direct->lines.panic, sentence);
	decide(direct, LOOP_STATUS, sentence);
}

static void end_monitor(struct direct *direct)
{
	monitor_kill(&direct->monitor);
	direct->monitor_over = true;
	direct->monitor_deadline = NEVER;
	direct->link.typed.start = direct->link.typed.end = 0;
	if (direct->sentence[0])
		direct->output_deadline = bridge_now() + GRACE_OUTPUT;
}

static void children_ended(struct direct *direct)
{
	struct monitor_reaped reaped = monitor_reap(&direct->monitor);
	bool server_failed = reaped.server && reaped.server_status != 0;

	if (!reaped.monitor && !server_failed)
		return;
	/* What came before that counts. */
	while (direct->monitor.agent >= 0 && recv(direct->monitor.agent, direct->part, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
		read_reports(direct);
	read_logs(direct);
	if (server_failed)
		decide_ended(direct, "the server of the container's files", reaped.server_status, &direct->server_log);
	else if (reaped.monitor_status != 0 && !ended_by_port(direct, reaped.monitor_status))
		decide_ended(direct, "the monitor", reaped.monitor_status, &direct->monitor_log);
	end_monitor(direct);
}

static void caller_gone(struct direct *direct)
{
	report_hang_up();
	decide(direct, STATUS_KILLED, NULL);
	end_monitor(direct);
	direct->output_deadline = bridge_now() + GRACE_OUTPUT;
}

/* Once the monitor is gone its console ends, and with that is known what it said. */
static bool finished(struct direct *direct)
{
	int64_t now = bridge_now();

	if (!direct->monitor_over)
		return false;
	if (now >= direct->output_deadline)
		return true;
	if (direct->monitor.console >= 0)
		return false;
	decide_powered_off(direct);
	return !output_waits(&direct->output);
}

/* The loop itself. */

static bool takes_input(const struct direct *direct)
{
	return !direct->monitor_over && init_link_takes_input(&direct->link, direct->silence_deadline == NEVER);
}

static void choose(struct direct *direct, struct pollfd slots[SLOTS])
{
	bool waits = output_waits(&direct->output);
	short console = console_has_room(direct) ? POLLIN : 0;

	if (direct->link.typed.end > 0)
		console |= POLLOUT;
	slots[OWN] = (struct pollfd){ direct->signals.own, POLLIN, 0 };
	slots[FOREIGN] = (struct pollfd){ direct->signals.foreign, POLLIN, 0 };
	slots[CONSOLE] = (struct pollfd){ console ? direct->monitor.console : -1, console, 0 };
	slots[REPORTS] = (struct pollfd){ direct->monitor.agent, POLLIN, 0 };
	slots[COMMANDS] = (struct pollfd){ direct->monitor.commands,
					   direct->link.commands.end > 0 ? POLLIN | POLLOUT : POLLIN, 0 };
	slots[CONTROL] = (struct pollfd){ direct->monitor.control, POLLIN, 0 };
	slots[MONITOR] = (struct pollfd){ direct->monitor.output, POLLIN, 0 };
	slots[SERVER] = (struct pollfd){ direct->monitor.server_output, POLLIN, 0 };
	slots[INPUT] = (struct pollfd){ takes_input(direct) ? direct->link.input.shared : -1, POLLIN, 0 };
	/* Without anything to write, only that nobody reads any more. */
	slots[OUTPUT] = (struct pollfd){ waits || direct->output.stream.nameless ? direct->output.stream.shared : -1,
					 waits ? POLLOUT : 0, 0 };
	slots[CALLER] = (struct pollfd){ direct->attached ? report_connection() : -1, 0, 0 };
}

static int time_left(const struct direct *direct)
{
	int64_t next = direct->silence_deadline, left;

	if (direct->monitor_deadline < next)
		next = direct->monitor_deadline;
	if (direct->output_deadline < next)
		next = direct->output_deadline;
	left = next == NEVER ? 60000 : next - bridge_now();
	return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static void serve_output(struct direct *direct, const struct pollfd *slot)
{
	if (slot->revents & POLLERR && direct->output.stream.nameless)
		output_broken(&direct->output);
	else if (slot->revents)
		output_flush(&direct->output);
}

static void serve(struct direct *direct, const struct pollfd slots[SLOTS])
{
	bool child = false;

	if (slots[REPORTS].revents)
		read_reports(direct);
	if (slots[CONSOLE].revents & ~POLLOUT)
		(void)read_console(direct);
	open_console(direct);
	if (slots[FOREIGN].revents)
		read_signals(direct, direct->signals.foreign, &child);
	if (slots[OWN].revents)
		read_signals(direct, direct->signals.own, &child);
	if (child)
		children_ended(direct);
	read_logs(direct);
	if (slots[CALLER].revents)
		caller_gone(direct);
	serve_output(direct, &slots[OUTPUT]);
	if (takes_input(direct) && (slots[INPUT].revents || direct->link.input.shared < 0))
		init_link_read(&direct->link);
	init_buffer_send(&direct->link.typed, direct->monitor.console);
	init_buffer_send(&direct->link.commands, direct->monitor.commands);
}

static void check_deadlines(struct direct *direct)
{
	int64_t now = bridge_now();

	if (direct->lines.open && direct->silence_deadline > now + SILENCE_HEARD && direct->silence_deadline != NEVER)
		direct->silence_deadline = now + SILENCE_HEARD;
	if (now >= direct->silence_deadline)
		direct->silence_deadline = NEVER;
	if (now >= direct->monitor_deadline)
		end_monitor(direct);
}

static bool open_all(struct direct *direct, const struct launch *launch, const struct signals *signals)
{
	direct->attached = launch->attached;
	direct->signals = *signals;
	direct->monitor_deadline = direct->output_deadline = NEVER;
	if (direct->attached)
		report_keep();
	init_link_open(&direct->link, launch->terminal, STDIN_FILENO);
	output_open(&direct->output, STDOUT_FILENO);
	output_open(&direct->errors, STDERR_FILENO);
	return log_open(&direct->kernel_log, KERNEL_LOG) && log_open(&direct->monitor_log, MONITOR_LOG) &&
	       (!launch->server[0] || log_open(&direct->server_log, SERVER_LOG));
}

static int close_all(struct direct *direct)
{
	monitor_kill(&direct->monitor);
	read_logs(direct);
	terminal_give_back();
	if (direct->sentence[0])
		bridge_say(&direct->errors, "urunc: ", direct->sentence);
	return direct->decided ? direct->status : LOOP_STATUS;
}

int direct_run(struct launch *launch, const struct signals *signals)
{
	struct direct *direct = &state;
	struct pollfd slots[SLOTS];

	if (!open_all(direct, launch, signals))
		return loop_refuse(LOOP_STATUS, "the logs in the container's state directory cannot be made");
	if (direct->attached && report_connection() < 0)
		return STATUS_KILLED;
	if (!monitor_start(&direct->monitor, launch))
		return loop_refuse(LOOP_STATUS, "the monitor's process cannot be made");
	launch_forget(launch);
	confine_rest(0);
	/* There is nobody to say when the application runs. */
	report_started((uint32_t)direct->monitor.process);
	direct->silence_deadline = bridge_now() + SILENCE;
	if (direct->link.terminal)
		terminal_take(STDIN_FILENO);
	while (!finished(direct)) {
		choose(direct, slots);
		if (poll(slots, SLOTS, time_left(direct)) > 0)
			serve(direct, slots);
		check_deadlines(direct);
	}
	return close_all(direct);
}
