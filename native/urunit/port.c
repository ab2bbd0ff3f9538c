#include "port.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol.h"

/* The tests have other ports than the machine's. */
#ifndef PORT_IN
#include <sys/io.h>
#define PORT_IN(port) inb(port)
#define PORT_OUT(value, port) outb(value, port)
#define PORT_ALLOW(port, count, on) ioperm(port, count, on)
#endif

/* QEMU's isa-debugcon: what is read from it is its own number. */
#define REPORTS 0xe9u

/* The second serial port, a 16550: data, FIFO control, line control, line status. */
#define COMMANDS 0x2f8u
#define COMMANDS_COUNT 8u
#define FIFO_CONTROL 2u
#define LINE_CONTROL 3u
#define LINE_STATUS 5u
#define FIFO_ON 0x01u
#define EIGHT_BITS 0x03u
#define DATA_READY 0x01u
#define NOTHING_THERE 0xffu

#define LINE_MAX_BYTES 64u

static char line[LINE_MAX_BYTES];
static size_t line_length;
static bool has_commands;

/* Digits alone up to `end`, not more than `most`. */
static const char *take_number(const char *text, char end, uint64_t most, uint64_t *number)
{
	char *after;

	if (*text < '0' || *text > '9')
		return NULL;
	errno = 0;
	*number = strtoull(text, &after, 10);
	return errno == 0 && *number <= most && *after == end ? after + (end != 0) : NULL;
}

static bool take_size(const char *text, struct command *command)
{
	uint64_t rows;
	uint64_t columns;

	text = take_number(text, ' ', UINT16_MAX, &rows);
	if (!text || !take_number(text, 0, UINT16_MAX, &columns))
		return false;
	command->rows = (uint16_t)rows;
	command->columns = (uint16_t)columns;
	return true;
}

bool command_parse(const char *text, struct command *command)
{
	uint64_t number;

	memset(command, 0, sizeof(*command));
	if (strcmp(text, "pipes") == 0) {
		command->kind = COMMAND_PIPES;
		return true;
	}
	if (strncmp(text, "terminal ", 9) == 0) {
		command->kind = COMMAND_TERMINAL;
		return take_size(text + 9, command);
	}
	if (strncmp(text, "size ", 5) == 0) {
		command->kind = COMMAND_SIZE;
		return take_size(text + 5, command);
	}
	if (strncmp(text, "signal ", 7) == 0 && take_number(text + 7, 0, 64, &number) && number > 0) {
		command->kind = COMMAND_SIGNAL;
		command->signal = (int)number;
		return true;
	}
	if (strncmp(text, "end ", 4) == 0 && take_number(text + 4, 0, UINT64_MAX, &number)) {
		command->kind = COMMAND_END;
		command->bytes = number;
		return true;
	}
	return false;
}

bool port_open(void)
{
	if (PORT_ALLOW(REPORTS, 1, 1) < 0 || PORT_IN(REPORTS) != REPORTS)
		return false;
	has_commands = PORT_ALLOW(COMMANDS, COMMANDS_COUNT, 1) == 0 && PORT_IN(COMMANDS + LINE_STATUS) != NOTHING_THERE;
	if (has_commands) {
		PORT_OUT(EIGHT_BITS, COMMANDS + LINE_CONTROL);
		PORT_OUT(FIFO_ON, COMMANDS + FIFO_CONTROL);
	}
	return has_commands;
}

void port_say(const char *format, ...)
{
	char text[URUNC_SENTENCE_MAX + 32];
	va_list arguments;
	size_t i;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	/* One line, whatever is in it. */
	for (i = 0; text[i]; i++)
		PORT_OUT(text[i] == '\n' ? ' ' : (unsigned char)text[i], REPORTS);
	PORT_OUT('\n', REPORTS);
}

bool port_next(struct command *command)
{
	while (PORT_IN(COMMANDS + LINE_STATUS) & DATA_READY) {
		char byte = (char)PORT_IN(COMMANDS);

		if (byte != '\n') {
			/* Longer than any command: its end is not kept, so that it is none. */
			if (line_length < sizeof(line))
				line[line_length++] = byte;
			continue;
		}
		if (line_length == sizeof(line))
			line_length = 0;
		line[line_length] = 0;
		line_length = 0;
		if (command_parse(line, command))
			return true;
	}
	return false;
}

void port_leave(void)
{
	if (!has_commands)
		return;
	(void)PORT_ALLOW(REPORTS, 1, 0);
	(void)PORT_ALLOW(COMMANDS, COMMANDS_COUNT, 0);
}
