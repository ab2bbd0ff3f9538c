/* A log file of bounded size: beyond LOG_MOST bytes its older half is dropped. */
#ifndef URUNC_LOG_H
#define URUNC_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_MOST (256 * 1024)
/* Of a line that is quoted, with its end. */
#define LOG_LINE 513

struct log {
	int file; /* -1: nothing is kept */
	int64_t size;
};

/* False, with errno: it cannot be made. */
bool log_open(struct log *log, const char *path);

/* At most LOG_MOST / 2 bytes. What cannot be written is lost: the guest must not notice the state of a disk. */
void log_append(struct log *log, const uint8_t *bytes, size_t length);

/* The last bytes of the log, at most `size`; how many there are. */
size_t log_tail(const struct log *log, uint8_t *bytes, size_t size);

/* The last line that is not blank, cleaned, of what is at the end: empty if there is none. */
void log_last_line(const struct log *log, char line[LOG_LINE]);

#endif
