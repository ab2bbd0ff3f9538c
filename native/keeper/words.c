#include "words.h"

#include <string.h>

/* Up to the next `--` or the end; the place behind it. 0: malformed. */
static int take_program(struct words_program *program, int at, int count, char *arguments[])
{
	int length = 0;

	if (at >= count || arguments[at][0] != '/')
		return 0;
	program->path = arguments[at++];
	while (at < count && strcmp(arguments[at], "--") != 0) {
		if (length == WORDS_MOST)
			return 0;
		program->arguments[length++] = arguments[at++];
	}
	program->arguments[length] = NULL;
	return length > 0 ? at + 1 : 0;
}

bool words_parse(struct words *words, int count, char *arguments[])
{
	int at = 1;

	memset(words, 0, sizeof *words);
	for (; at < count && strcmp(arguments[at], "--") != 0; at++) {
		if (strcmp(arguments[at], "--interactive") == 0)
			words->interactive = true;
		else if (strcmp(arguments[at], "--terminal") == 0 && at + 1 < count)
			words->terminal = arguments[++at];
		else if (!words->directory && arguments[at][0] == '/')
			words->directory = arguments[at];
		else
			return false;
	}
	at = take_program(&words->create, at + 1, count, arguments);
	at = at ? take_program(&words->start, at, count, arguments) : 0;
	at = at ? take_program(&words->after, at, count, arguments) : 0;
	return words->directory && at == count + 1;
}
