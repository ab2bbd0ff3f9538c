/*
 * The host's side of the guest protocol (docs/guest-protocol.md) as a state machine: bytes of the guest in, events
 * out; what is to be sent in, bytes out. No input or output, no clock, no allocation, and a fixed size.
 *
 * The guest is hostile: every frame is judged by its header, before its payload is taken, and after the first
 * violation nothing but that is said any more.
 */
#ifndef URUNC_SESSION_H
#define URUNC_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"

#define SESSION_ENTROPY 256u
/* Signals kept until the guest can be told. What does not fit stays with the kernel. */
#define SESSION_SIGNALS 64u
/* Credit is granted in pieces of at least this: each WINDOW interrupts the guest. */
#define SESSION_GRANT_LEAST (URUNC_WINDOW_DEFAULT / 4u)

enum session_state {
	SESSION_SILENT,  /* nothing has come yet */
	SESSION_GREETED, /* HELLO; the machine is being set up */
	SESSION_READY,   /* STARTED 0; the main process is being started */
	SESSION_RUNNING, /* STARTED 1 */
	SESSION_ENDED,   /* EXITED 1, or FAILED 0 or 1: only BYE may follow */
	SESSION_OVER,    /* BYE */
	SESSION_BROKEN,  /* a violation */
};

struct session_span {
	const uint8_t *bytes;
	size_t length;
};

enum session_event_type {
	SESSION_NOTHING,   /* all bytes are taken */
	SESSION_HELLO,     /* answer with session_welcome */
	SESSION_STARTED,   /* the main process; number: its process id in the guest */
	SESSION_FAILED,    /* number: the exit status; bytes: the sentence, NUL-terminated, as the guest wrote it */
	SESSION_DATA,      /* channel, bytes: output, perhaps a part of a frame's; at most what was granted */
	SESSION_CLOSED,    /* channel: no more output; or 0: nobody reads the input any more */
	SESSION_EXITED,    /* the main process; number: its exit status */
	SESSION_BYE,
	SESSION_VIOLATION, /* bytes: what the guest did, NUL-terminated */
};

struct session_event {
	enum session_event_type type;
	uint32_t channel;
	uint32_t number;
	const uint8_t *bytes;
	size_t length;
};

struct session_document {
	struct session_span all;
	size_t sent;
	enum { SESSION_ANNOUNCE, SESSION_SEND, SESSION_STARTING } step;
};

struct session {
	enum session_state state;
	bool terminal;
	const char *violation;

	/* From the guest: a header, then its payload. That of DATA is passed through. */
	uint8_t header[URUNC_FRAME_HEADER];
	size_t header_length;
	struct urunc_frame frame;
	uint32_t payload_length;
	uint8_t payload[4 + URUNC_SENTENCE_MAX];
	/* By channel: bytes that the guest may still send, and whether it has said that no more come. */
	uint32_t guest_credit[3];
	bool guest_ended[3];

	/* To the guest. */
	struct session_document documents[2];
	unsigned int started; /* documents whose START has been put out */
	uint8_t signals[SESSION_SIGNALS];
	size_t signal_first;
	size_t signal_count;
	bool resized;
	uint16_t rows;
	uint16_t columns;
	uint32_t grants[3];
	uint32_t input_credit;
	bool input_ended;
	/* One frame (at first three small ones) that is on its way. */
	uint8_t out[URUNC_FRAME_HEADER + URUNC_PAYLOAD_MAX];
	size_t out_first;
	size_t out_end;
};

/* The documents must stay where they are until session_documents_sent. */
void session_init(struct session *session, struct session_span machine, struct session_span process, bool terminal);

/* Takes bytes from the front of the input until something has happened. To be called until SESSION_NOTHING. */
struct session_event session_next(struct session *session, struct session_span *input);

/* The answer to SESSION_HELLO. */
void session_welcome(struct session *session, uint64_t realtime, const uint8_t entropy[SESSION_ENTROPY]);

/* The next bytes for the guest (none: nothing is to be sent), and how many of them have gone. */
struct session_span session_output(struct session *session);
void session_sent(struct session *session, size_t length);
bool session_documents_sent(const struct session *session);

/* A signal for the main process, kept until it can be sent. Only with room. */
bool session_signal_room(const struct session *session);
void session_signal(struct session *session, uint8_t number);

/* The terminal's size; of several only the last counts. */
void session_resize(struct session *session, uint16_t rows, uint16_t columns);

/* Output bytes that have been passed on: so many more may come. */
void session_grant(struct session *session, uint32_t channel, uint32_t length);

/*
 * Input goes directly into the frame that is on its way: at most `session_input_room` bytes (0: not now) are put to
 * `session_input_at`, then session_input says how many they were. No more input: session_input_end.
 */
bool session_input_wanted(const struct session *session);
size_t session_input_room(struct session *session);
uint8_t *session_input_at(struct session *session);
void session_input(struct session *session, size_t length);
void session_input_end(struct session *session);

#endif
