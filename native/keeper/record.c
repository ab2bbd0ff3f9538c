#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define LOG "log"
#define LOG_BEFORE "log.1"

bool record_open(struct record_log *log)
{
	struct stat status;

	log->file = open(LOG, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (log->file < 0 || fstat(log->file, &status) < 0)
		return false;
	log->length = status.st_size;
	return true;
}

size_t record_head(char *head, size_t size, int64_t seconds, long nanoseconds, char stream, size_t length)
{
	int written = snprintf(head, size, "%" PRId64 ".%09ld %c %zu\n", seconds, nanoseconds, stream, length);

	return written < 0 || (size_t)written >= size ? 0 : (size_t)written;
}

static void rotate(struct record_log *log)
{
	if (rename(LOG, LOG_BEFORE) < 0)
		return;
	close(log->file);
	record_open(log);
}

void record_add(struct record_log *log, char stream, const void *bytes, size_t length)
{
	char head[64], end = '\n';
	struct timespec now;
	struct iovec parts[3];
	ssize_t written;

	if (log->length >= RECORD_LOG_MOST)
		rotate(log);
	clock_gettime(CLOCK_REALTIME, &now);
	parts[0] = (struct iovec){ head, record_head(head, sizeof head, now.tv_sec, now.tv_nsec, stream, length) };
	parts[1] = (struct iovec){ (void *)(uintptr_t)bytes, length };
	parts[2] = (struct iovec){ &end, 1 };
	do
		written = writev(log->file, parts, 3);
	while (written < 0 && errno == EINTR);
	/* A record is whole or not there: its reader could not tell the next one's head from its bytes. */
	if (written >= 0 && (size_t)written != parts[0].iov_len + length + 1 && ftruncate(log->file, log->length) < 0)
		return;
	if (written > 0 && (size_t)written == parts[0].iov_len + length + 1)
		log->length += written;
}
