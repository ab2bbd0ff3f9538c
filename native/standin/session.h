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
/* Processes besides the main one, at a time. */
#define SESSION_ADDED 64u

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

/* What has been agreed with the guest for one process. Of the main one, `stage` is not used: it is the session's. */
struct session_process {
	uint32_t number;
	enum {
		SESSION_UNKNOWN,   /* the guest has not been told of it */
		SESSION_ANNOUNCED, /* its document is on its way */
		SESSION_ASKED,     /* and its START */
		SESSION_ALIVE,     /* STARTED */
		SESSION_DEAD,      /* EXITED or FAILED */
	} stage;
	/* With a terminal, all output is on channel 1. Of an added process it is known only to the one who added it. */
	enum { SESSION_PIPES, SESSION_TERMINAL, SESSION_EITHER } streams;
	bool errors; /* something has come on channel 2 */
	/* By channel: bytes that may still be sent, and whether the guest has said that it sends, or takes, no more. */
	uint32_t credit[3];
	bool ended[3];
};

enum session_event_type {
	SESSION_NOTHING,   /* all bytes are taken */
	SESSION_HELLO,     /* answer with session_welcome */
	SESSION_STARTED,   /* number: the process's id in the guest */
	SESSION_FAILED,    /* number: the exit status; bytes: the sentence, NUL-terminated, as the guest wrote it */
	SESSION_DATA,      /* channel, bytes: output, perhaps a part of a frame's; at most what was granted */
	SESSION_CLOSED,    /* channel: no more output; or 0: nobody reads the input any more */
	SESSION_CREDIT,    /* number: bytes of input that have been passed on; of added processes only */
	SESSION_EXITED,    /* number: the exit status; bytes: the payload */
	SESSION_BYE,
	SESSION_VIOLATION, /* bytes: what the guest did, NUL-terminated */
	SESSION_QUERY,     /* number: the exchange; bytes: the payload, with a resolver that there is */
};

struct session_event {
	enum session_event_type type;
	struct session_process *added; /* NULL: it is about the main process, or the machine */
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
	bool apart; /* without a machine */
	unsigned int resolvers; /* that the guest may ask */
	const char *violation;

	/* From the guest: a header, then its payload. That of DATA is passed through. */
	uint8_t header[URUNC_FRAME_HEADER];
	size_t header_length;
	struct urunc_frame frame;
	uint32_t payload_length;
	uint8_t payload[4 + URUNC_SENTENCE_MAX];
	struct session_process main;
	struct session_process *added[SESSION_ADDED]; /* NULL: a free place */
	uint32_t number_last;
	/* One bit for each number whose process was given up before its START: its FAILED may still come. */
	uint8_t given_up[(URUNC_PROCESS_MAX + 1) / 8];

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
	bool refused[3]; /* outputs that nobody reads any more; the guest is to be told */
	bool input_ended;
	/* One frame (at first three small ones) that is on its way. */
	uint8_t out[URUNC_FRAME_HEADER + URUNC_PAYLOAD_MAX];
	size_t out_first;
	size_t out_end;
};

/* The documents must stay where they are until session_documents_sent. */
void session_init(struct session *session, struct session_span machine, struct session_span process, bool terminal);

/*
 * A session about one process that is added to a machine which runs already: no HELLO, nothing of the machine, and the
 * process is number 1. It may fail before it is asked to start.
 */
void session_init_apart(struct session *session, struct session_span process, bool terminal);

/* The guest has so many resolvers; without this, none. */
void session_resolvers(struct session *session, unsigned int count);

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

/* Nobody reads this output any more. Once for each. */
void session_refuse(struct session *session, uint32_t channel);

/*
 * Input goes directly into the frame that is on its way: at most `session_input_room` bytes (0: not now) are put to
 * `session_input_at`, then session_input says how many they were. No more input: session_input_end.
 */
bool session_input_wanted(const struct session *session);
size_t session_input_room(struct session *session);
uint8_t *session_input_at(struct session *session);
void session_input(struct session *session, size_t length);
void session_input_end(struct session *session);

/*
 * Processes added to a machine. session_add gives the process, which stays where it is until it is removed, a number
 * that the guest knows of no process: false: there is none, or no place. It is removed when it is dead or was never
 * known to the guest; with session_give_up when the guest has been told to forget it before its START.
 */
bool session_add(struct session *session, struct session_process *process);
void session_remove(struct session *session, struct session_process *process);
void session_give_up(struct session *session, struct session_process *process);

/*
 * A frame about an added process, if there is room; what it means for the process is the caller's to note. Returns where
 * its payload goes.
 */
bool session_room(struct session *session);
uint8_t *session_put(struct session *session, const struct session_process *process, uint16_t type,
		     enum urunc_channel channel, uint32_t length);

/*
 * A part of an answer to a SESSION_QUERY, if there is room: at most what fits a frame is put to `session_answer_at`, then
 * session_answer says how many bytes they were, and whether more of the answer follows.
 */
uint8_t *session_answer_at(struct session *session);
void session_answer(struct session *session, uint32_t exchange, size_t length, bool more);

#endif
