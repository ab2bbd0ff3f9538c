#include "kernel_lines.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define PANIC "Kernel panic - not syncing: "
#define INIT_KILLED "Attempted to kill init! exitcode=0x"

/* What has not become one of the kernel's lines by then is none. */
#define UNDECIDED_MOST 64u

enum match { MATCH_NO, MATCH_SO_FAR, MATCH_YES };

/* The kernel's own time, "[    1.234567] ": its length, or how far it goes as yet. */
static enum match match_time(const char *line, size_t length, size_t *end)
{
	size_t at = 0, from;

	if (length == 0)
		return MATCH_SO_FAR;
	if (line[at++] != '[')
		return MATCH_NO;
	while (at < length && line[at] == ' ')
		at++;
	for (from = at; at < length && line[at] >= '0' && line[at] <= '9';)
		at++;
	if (at == length)
		return MATCH_SO_FAR;
	if (at == from || line[at++] != '.')
		return MATCH_NO;
	for (from = at; at < length && at - from < 6; at++)
		if (line[at] < '0' || line[at] > '9')
			return MATCH_NO;
	for (from = 0; at < length && from < 2; at++, from++)
		if (line[at] != "] "[from])
			return MATCH_NO;
	*end = at;
	return from == 2 ? MATCH_YES : MATCH_SO_FAR;
}

static enum match match_kernel(const char *line, size_t length)
{
	size_t end, at = 0;

	if (length > UNDECIDED_MOST)
		return MATCH_NO;
	/* A blank line between two of the kernel's. */
	while (at < length && line[at] == '\r')
		at++;
	if (at == length)
		return MATCH_SO_FAR;
	if (line[at] == '\n')
		return MATCH_YES;
	return match_time(line + at, length - at, &end);
}

/* The line is whole, or longer than what is kept of it. */
static void note_panic(struct kernel_lines *lines)
{
	size_t begin = sizeof PANIC - 1, at = 0, length = lines->length;

	while (length > 0 && (lines->line[length - 1] == '\n' || lines->line[length - 1] == '\r'))
		length--;
	if (match_time(lines->line, length, &at) != MATCH_YES)
		at = 0;
	if (length - at < begin || memcmp(lines->line + at, PANIC, begin) != 0)
		return;
	lines->panicked = true;
	memcpy(lines->panic, lines->line + at + begin, length - at - begin);
	lines->panic[length - at - begin] = '\0';
}

/* Keeps the next byte of the line, or of the next one. */
static void keep(struct kernel_lines *lines, uint8_t byte)
{
	if (lines->whole)
		lines->length = 0;
	lines->whole = byte == '\n';
	if (lines->length < sizeof lines->line - 1)
		lines->line[lines->length++] = (char)byte;
	if (lines->whole)
		note_panic(lines);
}

/* All of them, or those of the kernel's line up to its end. */
static struct kernel_part pass(struct kernel_lines *lines, const uint8_t **bytes, size_t *length)
{
	struct kernel_part part = { !lines->open, *bytes, 0 };

	while (*length > 0 && (lines->open || lines->held)) {
		keep(lines, *(*bytes)++);
		(*length)--;
		part.length++;
		lines->held = !lines->whole;
	}
	return part;
}

struct kernel_part kernel_lines_open(struct kernel_lines *lines)
{
	bool kept = !lines->open && !lines->held && !lines->whole;
	struct kernel_part part = { false, (const uint8_t *)lines->line, kept ? lines->length : 0 };

	lines->open = true;
	return part;
}

struct kernel_part kernel_lines_next(struct kernel_lines *lines, const uint8_t **bytes, size_t *length)
{
	if (lines->open || lines->held)
		return pass(lines, bytes, length);
	while (*length > 0) {
		enum match match;

		keep(lines, *(*bytes)++);
		(*length)--;
		match = match_kernel(lines->line, lines->length);
		if (match == MATCH_SO_FAR)
			continue;
		lines->open = match == MATCH_NO;
		lines->held = match == MATCH_YES && !lines->whole;
		return (struct kernel_part){ !lines->open, (const uint8_t *)lines->line, lines->length };
	}
	return (struct kernel_part){ true, *bytes, 0 };
}

int kernel_lines_status(const struct kernel_lines *lines)
{
	size_t begin = sizeof INIT_KILLED - 1;
	unsigned long status;
	char *end;

	if (!lines->panicked || strncmp(lines->panic, INIT_KILLED, begin) != 0)
		return -1;
	status = strtoul(lines->panic + begin, &end, 16);
	if (end == lines->panic + begin || status > 0xffff)
		return -1;
	return WIFEXITED((int)status) ? WEXITSTATUS((int)status) : 128 + ((int)status & 0x7f);
}
