/* A guest that asks, and the resolver that is asked. For tests that include standin/resolver.c and the session's parts. */
#ifndef URUNC_RESOLVER_GUEST_H
#define URUNC_RESOLVER_GUEST_H

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "check.h"

static struct session session;
static struct resolver resolver;
static int64_t now;

/* The resolver that is asked: a socket of each kind at one port. */
static int server;
static int listener;

static uint8_t payload[URUNC_PAYLOAD_MAX];
static char said[256];

/* Gives the session one frame of the guest; what it means goes to the resolver. */
static inline void guest(uint16_t type, uint32_t stream, const void *bytes, uint32_t length)
{
	static const uint8_t entropy[SESSION_ENTROPY];
	uint8_t *frame = malloc(URUNC_FRAME_HEADER + length);
	struct session_span input = { frame, URUNC_FRAME_HEADER + length };
	struct session_event event;

	CHECK(frame);
	urunc_frame_encode(frame, &(struct urunc_frame){ length, type, stream });
	if (length > 0)
		memcpy(frame + URUNC_FRAME_HEADER, bytes, length);
	said[0] = '\0';
	do {
		event = session_next(&session, &input);
		if (event.type == SESSION_HELLO)
			session_welcome(&session, 1, entropy);
		if (event.type == SESSION_QUERY)
			resolver_query(&resolver, &event, now);
		if (event.type == SESSION_VIOLATION)
			snprintf(said, sizeof said, "%s", (const char *)event.bytes);
	} while (event.type != SESSION_NOTHING && event.type != SESSION_VIOLATION);
	free(frame);
}

static inline void drain(void)
{
	struct session_span output;

	while ((output = session_output(&session)).length > 0)
		session_sent(&session, output.length);
}

static inline void greet(void)
{
	static const uint8_t hello[12] = { 'U', 'U', 'R', 'N', 1, 0, 1, 0 };

	session_init(&session, (struct session_span){ hello, 1 }, (struct session_span){ hello, 1 }, false);
	session_resolvers(&session, 2);
	guest(URUNC_HELLO, 3, hello, sizeof hello);
	drain();
}

static inline void run(void)
{
	static const uint8_t id[4] = { 1 }, none[4];

	greet();
	guest(URUNC_STARTED, 3, none, 4);
	guest(URUNC_STARTED, 7, id, 4);
	CHECK_EQUAL(session.state, SESSION_RUNNING);
}

static inline void begin(void)
{
	union urunc_resolver addresses[2];
	socklen_t size = sizeof addresses[0].ip4;

	memset(addresses, 0, sizeof addresses);
	addresses[0].ip4.sin_family = AF_INET;
	addresses[0].ip4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	/* Two kinds of port may differ in who has them. */
	do {
		addresses[0].ip4.sin_port = 0;
		server = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		CHECK_EQUAL(bind(server, &addresses[0].any, size), 0);
		CHECK_EQUAL(getsockname(server, &addresses[0].any, &size), 0);
	} while (bind(listener, &addresses[0].any, size) < 0);
	CHECK_EQUAL(listen(listener, 64), 0);
	/* And one where nobody listens. */
	addresses[1].ip4.sin_family = AF_INET;
	addresses[1].ip4.sin_addr.s_addr = htonl(0x7f000002);
	addresses[1].ip4.sin_port = htons(1);
	resolver_open(&resolver, addresses, 2);
	now = 1000;
	run();
}

static inline void end(void)
{
	for (unsigned int i = 0; i < URUNC_EXCHANGES_TCP; i++)
		if (resolver.connections[i].step != RESOLVER_FREE)
			forget(&resolver.connections[i]);
	close(resolver.sockets[0]);
	close(resolver.sockets[1]);
	if (server >= 0)
		close(server);
	close(listener);
}

/* One turn of the stand-in's loop, without what goes to the guest. */
static inline void turn(void)
{
	struct pollfd slots[RESOLVER_SLOTS];

	resolver_choose(&resolver, slots);
	CHECK(poll(slots, RESOLVER_SLOTS, 20) >= 0);
	resolver_serve(&resolver, slots, now);
}

/* A query for "Ab" with an identifier, and zeroes up to the length. */
static const uint8_t question[] = { 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 'A', 'b', 0, 0, 1, 0, 1 };
#define QUERY (2u + (uint32_t)sizeof question)

static inline void fill(uint32_t exchange, uint8_t which, uint8_t flags, uint16_t id)
{
	memset(payload, 0, sizeof payload);
	urunc_put32(payload, exchange);
	payload[4] = which;
	payload[5] = flags;
	put16_network(payload + 8, id);
	memcpy(payload + 10, question, sizeof question);
}

static inline void ask(uint32_t exchange, uint8_t which, uint8_t flags, uint16_t id, uint32_t length)
{
	fill(exchange, which, flags, id);
	guest(URUNC_DNS_QUERY, 3, payload, 8 + length);
	CHECK_STRING(said, "");
}

static union urunc_resolver peer;

/* What the resolver has got by a datagram. */
static inline size_t asked(uint8_t *into, size_t size)
{
	socklen_t length = sizeof peer;
	ssize_t got = recvfrom(server, into, size, 0, &peer.any, &length);

	return got < 0 ? 0 : (size_t)got;
}

static inline void reply(const uint8_t *bytes, size_t length)
{
	CHECK_EQUAL(sendto(server, bytes, length, 0, &peer.any, sizeof peer.ip4), length);
}

static uint8_t frame_out[URUNC_PAYLOAD_MAX];

/* The next answer for the guest: its exchange, and its bytes in frame_out. False: there is none. */
static inline bool answered(uint32_t *exchange, size_t *length, bool *more)
{
	struct session_span output;
	struct urunc_frame frame;

	drain();
	if (!resolver_put(&resolver, &session))
		return false;
	CHECK(!resolver_put(&resolver, &session));
	output = session_output(&session);
	CHECK(urunc_frame_decode(output.bytes, &frame));
	CHECK_EQUAL(frame.type, URUNC_DNS_ANSWER);
	CHECK_EQUAL(frame.stream, URUNC_CONTROL);
	CHECK(frame.length >= URUNC_DNS_HEADER);
	CHECK_EQUAL(output.length, URUNC_FRAME_HEADER + frame.length);
	*exchange = urunc_get32(output.bytes + URUNC_FRAME_HEADER);
	*more = output.bytes[URUNC_FRAME_HEADER + 4];
	CHECK_EQUAL(urunc_get32(output.bytes + URUNC_FRAME_HEADER + 4), *more ? 1 : 0);
	*length = frame.length - URUNC_DNS_HEADER;
	memcpy(frame_out, output.bytes + URUNC_FRAME_HEADER + URUNC_DNS_HEADER, *length);
	session_sent(&session, output.length);
	return true;
}

static inline void expect_answer(uint32_t exchange, size_t length, bool more)
{
	uint32_t got_exchange;
	size_t got_length;
	bool got_more;

	CHECK(answered(&got_exchange, &got_length, &got_more));
	CHECK_EQUAL(got_exchange, exchange);
	CHECK_EQUAL(got_length, length);
	CHECK_EQUAL(got_more, more);
}

static inline void expect_no_answer(void)
{
	uint32_t exchange;
	size_t length;
	bool more;

	CHECK(!answered(&exchange, &length, &more));
}

static inline void expect_violation(const char *sentence)
{
	CHECK_STRING(said, sentence);
	CHECK_EQUAL(session.state, SESSION_BROKEN);
}

#endif
