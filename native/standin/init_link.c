#include "init_link.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "terminal.h"

#define END_OF_TYPING 0x04
/* SIGRTMIN + 3, by which a container with systemd is stopped. */
#define SIGNAL_HALT 37

void init_link_open(struct init_link *link, bool terminal, int descriptor)
{
	memset(link, 0, sizeof *link);
	link->terminal = terminal;
	stream_open(&link->input, descriptor, O_RDONLY);
}

static bool is_empty(const struct init_buffer *buffer)
{
	return buffer->start == buffer->end;
}

void init_buffer_send(struct init_buffer *buffer, int socket)
{
	ssize_t sent;

	if (socket < 0 || is_empty(buffer))
		return;
	sent = send(socket, buffer->bytes + buffer->start, buffer->end - buffer->start, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent > 0)
		buffer->start += (size_t)sent;
	if (is_empty(buffer))
		buffer->start = buffer->end = 0;
}

/* One that does not fit is for an init that does not listen any more. */
static void command(struct init_link *link, const char *line)
{
	struct init_buffer *buffer = &link->commands;
	size_t length = strlen(line);

	if (length > sizeof buffer->bytes - buffer->end)
		return;
	memcpy(buffer->bytes + buffer->end, line, length);
	buffer->end += length;
}

static void command_number(struct init_link *link, const char *word, uint64_t number)
{
	char line[48];

	snprintf(line, sizeof line, "%s %llu\n", word, (unsigned long long)number);
	command(link, line);
}

static void command_size(struct init_link *link, const char *word)
{
	uint16_t rows = 0, columns = 0;
	char line[48];

	(void)terminal_size(STDIN_FILENO, &rows, &columns);
	snprintf(line, sizeof line, "%s %u %u\n", word, rows, columns);
	command(link, line);
}

static void command_end(struct init_link *link)
{
	if (link->end_said || !link->input_ended || link->terminal)
		return;
	link->end_said = true;
	command_number(link, "end", link->input_sent);
}

static void greet(struct init_link *link)
{
	link->state = INIT_GREETED;
	if (link->terminal)
		command_size(link, "terminal");
	else
		command(link, "pipes\n");
}

static void run(struct init_link *link)
{
	link->state = INIT_RUNNING;
	for (unsigned int number = 1; number <= 64; number++)
		if (link->waiting >> (number - 1) & 1)
			command_number(link, "signal", number);
	command_end(link);
}

void init_link_event(struct init_link *link, const struct init_event *event)
{
	if (event->type == INIT_HELLO && link->state == INIT_SILENT)
		greet(link);
	else if (event->type == INIT_STARTED && link->state == INIT_GREETED)
		run(link);
	else if (event->type == INIT_TAKEN)
		link->input_taken += event->number;
	else if (event->type == INIT_EXITED)
		link->state = INIT_OVER;
}

bool init_link_signal(struct init_link *link, uint8_t number)
{
	bool stops = number == SIGTERM || number == SIGINT || number == SIGQUIT || number == SIGPWR || number == SIGNAL_HALT;

	if (link->state == INIT_RUNNING)
		command_number(link, "signal", number);
	else
		link->waiting |= UINT64_C(1) << (number - 1);
	return stops && link->state == INIT_SILENT;
}

void init_link_resize(struct init_link *link)
{
	if (link->terminal && link->state == INIT_RUNNING)
		command_size(link, "size");
}

bool init_link_takes_input(const struct init_link *link, bool heard)
{
	if (link->input_ended || !is_empty(&link->typed))
		return false;
	if (link->state == INIT_RUNNING)
		return link->terminal || link->input_sent - link->input_taken < INPUT_WINDOW;
	return link->state == INIT_SILENT && heard;
}

static void end_input(struct init_link *link)
{
	link->input_ended = true;
	if (link->state == INIT_RUNNING) {
		command_end(link);
		return;
	}
	/* At a terminal nothing ends but by being typed. Twice: the first one may be behind the beginning of a line. */
	if (!link->terminal) {
		link->typed.bytes[0] = link->typed.bytes[1] = END_OF_TYPING;
		link->typed.end = 2;
	}
}

void init_link_read(struct init_link *link)
{
	size_t most = sizeof link->typed.bytes;
	ssize_t got;

	if (link->state == INIT_RUNNING && !link->terminal)
		most -= (size_t)(link->input_sent - link->input_taken);
	got = link->input.shared < 0 ? 0 : stream_read(&link->input, (uint8_t *)link->typed.bytes, most);
	if (got == 0)
		end_input(link);
	if (got <= 0)
		return;
	link->typed.start = 0;
	link->typed.end = (size_t)got;
	link->input_sent += (uint64_t)got;
}
