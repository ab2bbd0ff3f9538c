#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

void process_init(struct process *process, uint32_t number, uint32_t window)
{
	unsigned i;

	memset(process, 0, sizeof(*process));
	process->number = number;
	process->setup = -1;
	for (i = 0; i < 3; i++) {
		process->streams[i] = -1;
		process->credit[i] = window;
	}
}

void process_release(struct process *process)
{
	int i;

	for (i = 0; i < 3; i++)
		if (process->streams[i] >= 0)
			(void)close(process->streams[i]);
	if (process->setup >= 0)
		(void)close(process->setup);
	settings_free(&process->settings);
	document_free(&process->document);
}

static void resize(const struct process *process)
{
	struct winsize size = { .ws_row = process->rows, .ws_col = process->columns };

	if (process->settings.terminal && process->streams[1] >= 0 && (size.ws_row || size.ws_col))
		(void)ioctl(process->streams[1], TIOCSWINSZ, &size);
}

void process_take_terminal(struct process *process, int master)
{
	int i;

	for (i = 0; i < 2; i++) {
		process->streams[i] = i == 0 ? master : fcntl(master, F_DUPFD_CLOEXEC, 0);
		(void)fcntl(process->streams[i], F_SETFL, O_NONBLOCK);
	}
	process->ended[2] = true;
	resize(process);
}

void process_started(struct process *process)
{
	uint64_t signals = process->signals;
	int number;

	process->state = PROCESS_RUNNING;
	process->signals = 0;
	for (number = 1; number <= 64; number++)
		if (signals >> (number - 1) & 1)
			(void)kill(process->pid, number);
}

static bool take_input(struct process *process, const uint8_t *bytes, uint32_t length)
{
	uint32_t i;

	if (process->ended[0])
		return true;
	if (process->input_eof || length > sizeof(process->input) - process->input_length)
		return false;
	for (i = 0; i < length;) {
		uint32_t at = (process->input_start + process->input_length) % (uint32_t)sizeof(process->input);
		uint32_t part = (uint32_t)sizeof(process->input) - at;

		if (part > length - i)
			part = length - i;
		memcpy(process->input + at, bytes + i, part);
		process->input_length += part;
		i += part;
	}
	return true;
}

static bool take_signal(struct process *process, uint32_t number)
{
	if (number < 1 || number > 64)
		return false;
	if (process->state == PROCESS_RUNNING && !process->reaped)
		(void)kill(process->pid, (int)number);
	else if (process->state != PROCESS_ENDED)
		process->signals |= UINT64_C(1) << (number - 1);
	return true;
}

static bool take_credit(struct process *process, unsigned channel, uint32_t credit)
{
	if (credit < 1 || credit > URUNC_WINDOW_GRANT_MAX || credit > UINT32_MAX - process->credit[channel])
		return false;
	process->credit[channel] += credit;
	return true;
}

bool process_frame(struct process *process, const struct urunc_frame *frame, const uint8_t *payload)
{
	unsigned channel = frame->stream % 4;

	if (process->state == PROCESS_ENDED)
		return true;
	switch (frame->type) {
	case URUNC_DOCUMENT:
		return channel == URUNC_CONTROL && frame->length == 4 && document_announce(&process->document, urunc_get32(payload));
	case URUNC_CHUNK:
		return channel == URUNC_CONTROL && document_append(&process->document, payload, frame->length);
	case URUNC_DATA:
		return channel == URUNC_STDIN && frame->length > 0 && take_input(process, payload, frame->length);
	case URUNC_EOF:
		if (channel == URUNC_CONTROL || frame->length != 0)
			return false;
		if (channel == URUNC_STDIN)
			process->input_eof = true;
		else
			process->refused[channel] = true;
		return true;
	case URUNC_WINDOW:
		return (channel == URUNC_STDOUT || channel == URUNC_STDERR) && frame->length == 4 &&
		       take_credit(process, channel, urunc_get32(payload));
	case URUNC_SIGNAL:
		return channel == URUNC_CONTROL && frame->length == 4 && take_signal(process, urunc_get32(payload));
	case URUNC_RESIZE:
		if (channel != URUNC_CONTROL || frame->length != 4)
			return false;
		process->rows = urunc_get16(payload);
		process->columns = urunc_get16(payload + 2);
		resize(process);
		return true;
	default:
		return false;
	}
}

void process_poll(const struct process *process, const struct channel *channel, struct pollfd *entries)
{
	int i;

	for (i = 0; i < 3; i++) {
		bool wanted = i == 0 ? process->input_length > 0 && channel_has_reserve(channel)
				     : process->credit[i] > 0 && channel_room(channel) > 0;

		entries[i].fd = process->ended[i] || !wanted ? -1 : process->streams[i];
		entries[i].events = i == 0 ? POLLOUT : POLLIN;
		entries[i].revents = 0;
	}
	/* Without anything to write, only that nobody reads any more. */
	if (!process->ended[0] && process->input_length == 0 && !process->settings.terminal) {
		entries[0].fd = process->streams[0];
		entries[0].events = 0;
	}
}

static void close_input(struct process *process)
{
	if (process->streams[0] >= 0)
		(void)close(process->streams[0]);
	process->streams[0] = -1;
	process->ended[0] = true;
	process->input_length = 0;
}

/* A terminal's end of input is its end-of-file character. */
static void end_terminal_input(struct process *process)
{
	static const char end_of_file = 4;

	if (write(process->streams[0], &end_of_file, 1) < 0 && errno == EAGAIN)
		return;
	process->ended[0] = true;
}

static void serve_input(struct process *process, struct channel *channel, short events)
{
	uint32_t stream = urunc_stream(process->number, URUNC_STDIN);
	uint8_t grant[4];

	while (process->input_length > 0 && (events & (POLLOUT | POLLERR)) && channel_has_reserve(channel)) {
		uint32_t part = (uint32_t)sizeof(process->input) - process->input_start;
		ssize_t put = write(process->streams[0], process->input + process->input_start,
				    part < process->input_length ? part : process->input_length);

		if (put < 0 && errno == EAGAIN)
			return;
		if (put <= 0) {
			events |= POLLERR;
			break;
		}
		process->input_start = (process->input_start + (uint32_t)put) % (uint32_t)sizeof(process->input);
		process->input_length -= (uint32_t)put;
		urunc_put32(grant, (uint32_t)put);
		(void)channel_send(channel, stream, URUNC_WINDOW, grant, sizeof(grant));
	}
	if (events & POLLERR) {
		(void)channel_send(channel, stream, URUNC_EOF, NULL, 0);
		close_input(process);
	} else if (process->input_eof && process->input_length == 0) {
		if (process->settings.terminal)
			end_terminal_input(process);
		else
			close_input(process);
	}
}

/* What a further process has left running keeps its output open: what is there when it has ended is all. */
static bool is_all(const struct process *process)
{
	return process->reaped && process->number != 1;
}

static void end_output(struct process *process, struct channel *channel, int i)
{
	(void)channel_send(channel, urunc_stream(process->number, (enum urunc_channel)i), URUNC_EOF, NULL, 0);
	(void)close(process->streams[i]);
	process->streams[i] = -1;
	process->ended[i] = true;
}

/* The host has no reader for it any more. A terminal's program learns that by SIGHUP, if at all. */
static bool is_refused(const struct process *process, int i)
{
	return process->refused[i] && !process->settings.terminal;
}

static void serve_output(struct process *process, struct channel *channel, int i)
{
	uint32_t stream = urunc_stream(process->number, (enum urunc_channel)i);

	for (;;) {
		size_t room = channel_room(channel);
		ssize_t got;

		if (room > process->credit[i])
			room = process->credit[i];
		if (room == 0)
			return;
		got = read(process->streams[i], channel_data_space(channel), room);
		if (got > 0) {
			channel_data_commit(channel, stream, (size_t)got);
			process->credit[i] -= (uint32_t)got;
			continue;
		}
		if (got < 0 && (errno == EINTR || (errno == EAGAIN && !is_all(process))))
			return;
		/* Nobody has it open any more; a terminal says EIO. */
		end_output(process, channel, i);
		return;
	}
}

void process_serve(struct process *process, struct channel *channel, const struct pollfd *entries)
{
	int i;

	if (process->state != PROCESS_RUNNING)
		return;
	/* Behind the last data that had to wait, or at once. */
	if (!process->ended[0] && process->streams[0] >= 0 && (entries[0].revents || process->input_eof))
		serve_input(process, channel, entries[0].revents);
	for (i = 1; i < 3; i++) {
		if (process->ended[i] || process->streams[i] < 0)
			continue;
		if (is_refused(process, i))
			end_output(process, channel, i);
		else if (entries[i].revents || is_all(process))
			serve_output(process, channel, i);
	}
}

void process_reaped(struct process *process, int status)
{
	process->status = status;
	process->reaped = true;
}

bool process_finished(const struct process *process)
{
	return process->state == PROCESS_RUNNING && process->reaped && process->ended[1] && process->ended[2];
}

uint32_t process_status(const struct process *process)
{
	if (WIFSIGNALED(process->status))
		return 128u + (uint32_t)WTERMSIG(process->status);
	return (uint32_t)WEXITSTATUS(process->status);
}
