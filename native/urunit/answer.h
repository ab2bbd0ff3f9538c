/* The answer to a query: text through one bounded buffer, whatever the container's processes call themselves. */
#ifndef URUNIT_ANSWER_H
#define URUNIT_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

struct answer {
	int fd;
	bool lost; /* nobody takes it any more */
	size_t length;
	char bytes[4096];
};

void answer_put(struct answer *answer, const void *bytes, size_t length);
void answer_format(struct answer *answer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As one field: controls, tabs, newlines, delete and backslashes become \xHH. */
void answer_escaped(struct answer *answer, const char *bytes, size_t length);

/* Writes what is left. False: not all has gone. */
bool answer_flush(struct answer *answer);

#endif
