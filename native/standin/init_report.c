#include "init_report.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_MOST 255u
#define BEGIN "urunit "

/* Digits alone up to `end`, or to the line's. */
static bool take_number(const char *text, uint32_t most, uint32_t *number, const char **rest)
{
	unsigned long long value;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || value > most)
		return false;
	*number = (uint32_t)value;
	*rest = end;
	return true;
}

/* The text behind the word and a blank, or NULL. */
static const char *behind(const char *text, const char *word)
{
	size_t length = strlen(word);

	return strncmp(text, word, length) == 0 && text[length] == ' ' ? text + length + 1 : NULL;
}

static struct init_event parse(const char *text)
{
	struct init_event event = { INIT_NOTHING, 0, "" };
	const char *value, *rest = "";

	if (strcmp(text, "1") == 0)
		event.type = INIT_HELLO;
	else if (strcmp(text, "started") == 0)
		event.type = INIT_STARTED;
	else if ((value = behind(text, "taken")) && take_number(value, UINT32_MAX, &event.number, &rest) && !*rest)
		event.type = INIT_TAKEN;
	else if ((value = behind(text, "exited")) && take_number(value, STATUS_MOST, &event.number, &rest) && !*rest)
		event.type = INIT_EXITED;
	else if ((value = behind(text, "failed")) && take_number(value, STATUS_MOST, &event.number, &rest) && *rest == ' ') {
		event.type = INIT_FAILED;
		event.sentence = rest + 1;
	}
	return event;
}

struct init_event init_report_next(struct init_report *report, const uint8_t **bytes, size_t *length)
{
	static const size_t begin = sizeof BEGIN - 1;

	while (*length > 0) {
		char byte = (char)*(*bytes)++;
		struct init_event event;

		(*length)--;
		if (byte != '\n') {
			/* Longer than any line: its end is not kept, so that it is none. */
			if (report->length < sizeof report->line)
				report->line[report->length++] = byte ? byte : ' ';
			continue;
		}
		if (report->length == sizeof report->line)
			report->length = 0;
		report->line[report->length] = '\0';
		report->length = 0;
		if (strncmp(report->line, BEGIN, begin) != 0)
			continue;
		event = parse(report->line + begin);
		if (event.type != INIT_NOTHING)
			return event;
	}
	return (struct init_event){ INIT_NOTHING, 0, "" };
}
