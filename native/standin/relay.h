/*
 * One process that was added to the machine (docs/guest-protocol.md, "Exec"): what stands between its client, a second
 * stand-in, and the guest. Frames of the client in and frames for it out; the guest's side is the session's. No input or
 * output, no allocation, and a fixed size.
 *
 * The client is judged as the guest is: by its frames' headers, before their payload is taken. Each of its frames waits,
 * whole, for its turn on the agent's channel, and no more is taken from it meanwhile. What the guest sends is kept until
 * the client takes it, which is never more than the client has granted.
 */
#ifndef URUNC_RELAY_H
#define URUNC_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"
#include "session.h"

struct relay_output {
	size_t first;
	size_t length;
	bool ended;    /* by the guest */
	bool said;     /* and the client has been told */
	bool refused;  /* the client does not want it any more */
	uint32_t owed; /* bytes that the client has been sent and has not granted again */
	uint8_t ring[URUNC_WINDOW_DEFAULT];
};

struct relay {
	struct session_process process;
	bool gone;   /* the client has left */
	bool killed; /* and its process has been told */

	/* From the client: a frame, and how much of it has come. */
	struct urunc_frame frame;
	size_t in_length;
	bool announced;
	bool asked;
	bool input_ended;
	uint32_t document_left;

	/* To the client. */
	uint32_t id; /* 0: not started, or said */
	uint32_t credit;
	bool input_refused;
	struct relay_output outputs[2]; /* channels 1 and 2 */
	size_t last;                    /* the output that had its turn */
	uint16_t end;                   /* EXITED or FAILED; 0: not yet, or said */
	bool end_said;
	size_t end_length;
	size_t out_first;
	size_t out_end;

	/* Large ones last: of memory that is fresh, what is not used takes nothing. */
	uint8_t end_payload[4 + URUNC_SENTENCE_MAX];
	uint8_t in[URUNC_FRAME_HEADER + URUNC_PAYLOAD_MAX];
	uint8_t out[URUNC_FRAME_HEADER + URUNC_PAYLOAD_MAX];
};

/* For a relay of zeroes only. False: there are too many. */
bool relay_open(struct relay *relay, struct session *session);

/* Takes it from the session; only when it is over. */
void relay_close(struct relay *relay, struct session *session);

/*
 * Bytes of the client: at most `relay_in_room` (0: not now) are put to `relay_in_at`, then relay_in says how many they
 * were. False: the client broke the protocol, and relay_leave is due.
 */
size_t relay_in_room(const struct relay *relay);
uint8_t *relay_in_at(struct relay *relay);
bool relay_in(struct relay *relay, size_t length);

/* The client has left, or must: its process is ended, and what comes of it is dropped. */
void relay_leave(struct relay *relay);

/* Something of the session about this process. False: more data than was granted. */
bool relay_event(struct relay *relay, const struct session_event *event);

/* A frame for the guest waits; puts it, if the session has room. */
bool relay_waits(const struct relay *relay);
void relay_put(struct relay *relay, struct session *session);

/* The next bytes for the client (none: nothing is to be sent), and how many of them have gone. */
struct session_span relay_out(struct relay *relay);
void relay_out_sent(struct relay *relay, size_t length);

/* Nothing more is to be done, for the client nor for the guest. */
bool relay_over(const struct relay *relay);

#endif
