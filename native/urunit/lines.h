/* The lines of a file of the kernel's, however long one is: read through one bounded buffer. */
#ifndef URUNIT_LINES_H
#define URUNIT_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct lines {
	int fd;
	size_t start;
	size_t end;
	char bytes[1024];
};

/* False with errno: it cannot be opened. `directory` as in openat(2). */
bool lines_open(struct lines *lines, int directory, const char *path);

/* The next line without its newline, cut to the size. False: there is none. */
bool lines_next(struct lines *lines, char *line, size_t size);

void lines_close(struct lines *lines);

#endif
