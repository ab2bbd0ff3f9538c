#include "lines.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool lines_open(struct lines *lines, int directory, const char *path)
{
	lines->start = lines->end = 0;
	lines->fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
	return lines->fd >= 0;
}

/* False: there is no more. */
static bool fill(struct lines *lines)
{
	ssize_t got;

	do
		got = read(lines->fd, lines->bytes, sizeof(lines->bytes));
	while (got < 0 && errno == EINTR);
	lines->start = 0;
	lines->end = got > 0 ? (size_t)got : 0;
	return got > 0;
}

bool lines_next(struct lines *lines, char *line, size_t size)
{
	size_t length = 0;
	bool any = false;

	for (;;) {
		char byte;

		if (lines->start == lines->end && !fill(lines))
			break;
		any = true;
		byte = lines->bytes[lines->start++];
		if (byte == '\n')
			break;
		if (length < size - 1)
			line[length++] = byte;
	}
	line[length] = 0;
	return any;
}

void lines_close(struct lines *lines)
{
	(void)close(lines->fd);
}
