/*
 * The stand-in's own standard streams. Their open file descriptions are shared with others (a shell, a pipe's other
 * writers), so O_NONBLOCK is never set on them; still no read or write here may wait, or it would hold up signals.
 */
#ifndef URUNC_STREAMS_H
#define URUNC_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocol.h"

struct stream {
	int shared; /* the descriptor given to us: the one to poll; -1: there is none, or it has failed */
	int own;    /* the one to read and write: an open file description of our own where that is possible */
	enum { STREAM_PLAIN, STREAM_OWN, STREAM_SOCKET, STREAM_PIPE, STREAM_TERMINAL } kind;
	bool nameless; /* a pipe that nobody can open again once its readers are gone */
};

struct output {
	struct stream stream;
	bool refused;    /* nobody reads it any more, which output_refused has not said yet */
	uint32_t passed; /* bytes written or given up since output_passed was asked */
	size_t first;
	size_t length;
	uint8_t ring[URUNC_WINDOW_DEFAULT];
};

/* `way` is O_RDONLY or O_WRONLY. */
void stream_open(struct stream *stream, int descriptor, int way);

/* Reads what is there after poll(2) has said that something is. Negative: nothing yet. 0: the end, or a failure. */
ssize_t stream_read(struct stream *stream, uint8_t *bytes, size_t size);

void output_open(struct output *output, int descriptor);

/* Keeps bytes to be written. False: more than was granted. Once nobody reads any more they are dropped. */
bool output_put(struct output *output, const uint8_t *bytes, size_t length);

/* Something waits to be written. */
bool output_waits(const struct output *output);

/* Writes what can be written without waiting, after poll(2) has said that something can. */
void output_flush(struct output *output);

/* Its pipe has no reader any more, by poll(2). */
void output_broken(struct output *output);

/* True once, when nobody reads any more; not for a terminal or a full disk. */
bool output_refused(struct output *output);

/* How many bytes have left since it was asked last. */
uint32_t output_passed(struct output *output);

#endif
