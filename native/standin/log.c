#include "log.h"

#include <fcntl.h>
#include <unistd.h>

#include "sentence.h"

bool log_open(struct log *log, const char *path)
{
	log->size = 0;
	log->file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	return log->file >= 0;
}

static bool write_at(int file, const uint8_t *bytes, size_t length, int64_t at)
{
	while (length > 0) {
		ssize_t written = pwrite(file, bytes, length, at);

		if (written <= 0)
			return false;
		bytes += written;
		length -= (size_t)written;
		at += written;
	}
	return true;
}

/* Moves the newest half to the front, within the file: whoever has it open keeps seeing the same log. */
static void drop_older_half(struct log *log)
{
	uint8_t part[4096];
	int64_t kept = log->size < LOG_MOST / 2 ? log->size : LOG_MOST / 2;
	int64_t from = log->size - kept;
	int64_t moved = 0;

	while (moved < kept) {
		size_t wanted = kept - moved < (int64_t)sizeof part ? (size_t)(kept - moved) : sizeof part;
		ssize_t got = pread(log->file, part, wanted, from + moved);

		if (got <= 0 || !write_at(log->file, part, (size_t)got, moved))
			break;
		moved += got;
	}
	if (ftruncate(log->file, moved) == 0)
		log->size = moved;
}

void log_append(struct log *log, const uint8_t *bytes, size_t length)
{
	if (log->file < 0)
		return;
	if (log->size + (int64_t)length > LOG_MOST)
		drop_older_half(log);
	if (write_at(log->file, bytes, length, log->size))
		log->size += (int64_t)length;
}

size_t log_tail(const struct log *log, uint8_t *bytes, size_t size)
{
	int64_t from = log->size > (int64_t)size ? log->size - (int64_t)size : 0;
	ssize_t got = log->file < 0 ? 0 : pread(log->file, bytes, size, from);

	return got > 0 ? (size_t)got : 0;
}

void log_last_line(const struct log *log, char line[LOG_LINE])
{
	uint8_t tail[LOG_LINE - 1];
	size_t length = log_tail(log, tail, sizeof tail);

	sentence_last_line(line, LOG_LINE, tail, length);
}
