/*
 * The resolvers that listen on the host's side, in their place in the guest (docs/guest-protocol.md, "Names"): what they
 * are asked goes to the host, and its answers to those who asked. Never waits, and holds a bounded number of exchanges.
 */
#ifndef URUNIT_RESOLVER_H
#define URUNIT_RESOLVER_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "failure.h"
#include "record.h"

/* Connections at a time; a further one takes the place of the one that has been silent the longest. */
#define RESOLVER_CONNECTIONS 32u
#define RESOLVER_SLOTS (2u * URUNC_RESOLVERS_MAX + RESOLVER_CONNECTIONS)

/* Listens in the place of each resolver of the machine's document. Without one nothing is done, now or later. */
bool resolver_start(struct urunc_records machine, struct failure *failure);

void resolver_poll(const struct channel *channel, struct pollfd slots[RESOLVER_SLOTS]);

/* Takes what was asked as long as the channel has room, and sends answers on. */
void resolver_serve(struct channel *channel, const struct pollfd slots[RESOLVER_SLOTS]);

/* DNS_ANSWER. False: it is malformed. */
bool resolver_answer(const struct urunc_frame *frame, const uint8_t *payload);

#endif
