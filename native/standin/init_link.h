/*
 * What an image's init is given (docs/direct.md, "The ports"): commands and signals by a port, input by the console. No
 * output: what is to be sent is in two buffers.
 */
#ifndef URUNC_INIT_LINK_H
#define URUNC_INIT_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "init_report.h"
#include "streams.h"

/* Input that an init has not said to have taken. */
#define INPUT_WINDOW 2048u

enum init_state {
	INIT_SILENT, /* it has said nothing, and may be one that never does */
	INIT_GREETED,
	INIT_RUNNING,
	INIT_OVER,
};

struct init_buffer {
	size_t start;
	size_t end;
	char bytes[INPUT_WINDOW];
};

struct init_link {
	bool terminal;
	enum init_state state;
	struct stream input;
	bool input_ended;
	bool end_said;
	uint64_t input_sent;
	uint64_t input_taken;
	uint64_t waiting; /* signals from before it runs, bit n - 1 for signal n */
	struct init_buffer typed;    /* for the console */
	struct init_buffer commands; /* for the port */
};

/* `descriptor`: where the input is read, and the terminal is. */
void init_link_open(struct init_link *link, bool terminal, int descriptor);

/* What INIT_HELLO, INIT_STARTED, INIT_TAKEN and INIT_EXITED change. */
void init_link_event(struct init_link *link, const struct init_event *event);

/* A signal for the application. True: it is to stop, and the init is one that is told of no signals. */
bool init_link_signal(struct init_link *link, uint8_t number);

/* The terminal has another size. */
void init_link_resize(struct init_link *link);

/* `heard`: whoever has the console has been there for a while. True: input may be read, by init_link_read. */
bool init_link_takes_input(const struct init_link *link, bool heard);

/* Reads input, which is there. */
void init_link_read(struct init_link *link);

/* Sends what a buffer has on a socket, as much as there is room for. */
void init_buffer_send(struct init_buffer *buffer, int socket);

#endif
