/*
 * The container's resolvers on the host's side (docs/guest-protocol.md, "Names"): asks them what the guest asks. By UDP a
 * socket for each resolver is there before the stand-in is confined; by TCP each exchange has a connection of its own. The
 * guest chooses neither whom nor how often: there is a fixed number of exchanges, and nothing here waits.
 */
#ifndef URUNC_RESOLVER_H
#define URUNC_RESOLVER_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "resolver_record.h"
#include "session.h"

#define RESOLVER_SLOTS (URUNC_RESOLVERS_MAX + URUNC_EXCHANGES_TCP)
/* Exchanges that the guest has not been told the end of; more are forgotten, as datagrams would be. */
#define RESOLVER_REFUSALS 64u

/* A datagram that was sent. */
struct resolver_datagram {
	bool used;
	uint8_t which;
	uint16_t id;       /* ours, towards the resolver */
	uint16_t guest_id; /* and the guest's */
	uint32_t exchange;
	uint32_t question; /* a sum of it; 0: unknown */
};

struct resolver_connection {
	enum { RESOLVER_FREE, RESOLVER_SENDS, RESOLVER_RECEIVES, RESOLVER_ANSWERS } step;
	int socket;
	uint32_t exchange;
	size_t length; /* bytes of the query, then of the answer, with the length before it */
	size_t passed;
	int64_t deadline;
	uint8_t *area; /* mapped */
};

struct resolver {
	unsigned int count;
	union urunc_resolver addresses[URUNC_RESOLVERS_MAX];
	int sockets[URUNC_RESOLVERS_MAX]; /* -1: it cannot be reached */
	bool readable[URUNC_RESOLVERS_MAX];
	unsigned int oldest; /* datagram */
	unsigned int last;   /* connection whose answer had its turn */
	uint32_t refusals[RESOLVER_REFUSALS];
	unsigned int refusal_first;
	unsigned int refusal_count;
	struct resolver_connection connections[URUNC_EXCHANGES_TCP];
	struct resolver_datagram datagrams[URUNC_EXCHANGES_UDP];
};

/* Before the stand-in is confined. */
void resolver_open(struct resolver *resolver, const union urunc_resolver *addresses, unsigned int count);

/* SESSION_QUERY, which the session has judged. `now` is in milliseconds. */
void resolver_query(struct resolver *resolver, const struct session_event *event, int64_t now);

void resolver_choose(const struct resolver *resolver, struct pollfd slots[RESOLVER_SLOTS]);
void resolver_serve(struct resolver *resolver, const struct pollfd slots[RESOLVER_SLOTS], int64_t now);

/* When resolver_serve is due at the latest; INT64_MAX: never. */
int64_t resolver_deadline(const struct resolver *resolver);

/* An answer waits, or may; puts one frame of it, if the session has room. False: none was put. */
bool resolver_waits(const struct resolver *resolver);
bool resolver_put(struct resolver *resolver, struct session *session);

#endif
