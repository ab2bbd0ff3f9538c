/* The application's streams of the direct way, between it and the machine's console. */
#ifndef URUNIT_DIRECT_STREAMS_H
#define URUNIT_DIRECT_STREAMS_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "direct_start.h"
#include "failure.h"

/* The host sends no more than this before it is told that some of it is taken: what a terminal's driver keeps. */
#define STREAMS_WINDOW 2048u

struct relay {
	int console;
	int input;  /* to the application; -1: it takes no more */
	int output; /* from the application; -1: no more comes */
	bool relays; /* false: the process has the console itself */
	bool ends;
	uint64_t end; /* so many bytes of input there are in all, once `ends` */
	uint64_t taken;
	uint32_t taken_unsaid;
	size_t in_start;
	size_t in_end;
	size_t out_start;
	size_t out_end;
	uint8_t in[STREAMS_WINDOW];
	uint8_t out[16384];
};

/*
 * Opens the console and makes the process's ends. With a terminal they are the console itself; else they are pipes, and
 * the console carries bytes as they are.
 */
bool relay_open(struct relay *relay, bool terminal, struct direct_streams *streams, struct failure *failure);

/* Where there is no machine's console: the process has the streams that urunit has. */
void relay_inherit(struct relay *relay, struct direct_streams *streams);

/* The process's ends are the process's alone. */
void relay_begin(const struct direct_streams *streams);

#define RELAY_SLOTS 3u
void relay_choose(const struct relay *relay, struct pollfd slots[RELAY_SLOTS]);
void relay_serve(struct relay *relay, const struct pollfd slots[RELAY_SLOTS]);

/* So many bytes of input there are in all. */
void relay_end_input(struct relay *relay, uint64_t bytes);

/* How many bytes of input have been taken since it was asked last. */
uint32_t relay_taken(struct relay *relay);

/* The rest of the output, when nobody writes any more. Returns when the console has sent it. */
void relay_drain(struct relay *relay);

void relay_resize(const struct relay *relay, uint16_t rows, uint16_t columns);

#endif
