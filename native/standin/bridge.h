/*
 * What a stand-in is to the outside for its process in the guest: standard streams, signals and the terminal on the one
 * side, a session on the other.
 */
#ifndef URUNC_BRIDGE_H
#define URUNC_BRIDGE_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "session.h"
#include "signals.h"
#include "streams.h"

#define BRIDGE_PART 16384

struct bridge {
	struct session session;
	struct signals signals;
	struct stream input;
	struct output outputs[2]; /* channels 1 and 2 */
	uint8_t part[BRIDGE_PART];
};

enum bridge_slot { BRIDGE_OWN, BRIDGE_FOREIGN, BRIDGE_INPUT, BRIDGE_OUTPUT, BRIDGE_ERRORS, BRIDGE_SLOTS };

/* Milliseconds of a clock that only goes forward. */
int64_t bridge_now(void);

/* The session is the caller's to begin. */
void bridge_open(struct bridge *bridge, const struct signals *signals);
void bridge_take_terminal(struct bridge *bridge);

void bridge_choose(struct bridge *bridge, struct pollfd slots[BRIDGE_SLOTS]);

/* Signals. True: a child may have ended. */
bool bridge_signals(struct bridge *bridge, const struct pollfd slots[BRIDGE_SLOTS]);

/* Writes output, and grants credit for what has been written. */
void bridge_outputs(struct bridge *bridge, const struct pollfd slots[BRIDGE_SLOTS]);

/* Reads input, which is there. True: a frame has been put. */
bool bridge_input(struct bridge *bridge);

/* Reads input if there is any now. */
bool bridge_input_now(struct bridge *bridge);

/* Sends what the session has to say until the channel is full. True: it has said all. */
bool bridge_send(struct bridge *bridge, int channel);

/* Output that has come. False: more than was granted. */
bool bridge_put(struct bridge *bridge, const struct session_event *event);

/* All output is written. */
bool bridge_done(const struct bridge *bridge);

/* Says a sentence on standard error, which has been opened, and does not wait long for it to be read. */
void bridge_say(struct output *errors, const char *prefix, const char *sentence);

#endif
