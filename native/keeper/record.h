#ifndef BUNNY_KEEPER_RECORD_H
#define BUNNY_KEEPER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Bytes of a log; what is older is one file more of that size at most. */
#define RECORD_LOG_MOST ((off_t)32 << 20)

/* The log of a machine: docs/run.md, "The log". */
struct record_log {
	int file;
	off_t length;
};

/* Opens the log of the working directory. */
bool record_open(struct record_log *log);

/* The head of a record: `SECONDS.NANOSECONDS STREAM LENGTH` and a line's end. Gives its length. */
size_t record_head(char *head, size_t size, int64_t seconds, long nanoseconds, char stream, size_t length);

/* Adds what came of a stream (`o` or `e`) now. What does not fit the disk is lost, as the machine must not wait for it. */
void record_add(struct record_log *log, char stream, const void *bytes, size_t length);

#endif
