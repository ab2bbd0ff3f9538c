/* Names on the host's side: a hostile guest's queries, and resolvers that answer well, badly or not at all. */
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "../standin/resolver.c"
#include "../standin/session.c"
#include "../standin/session_output.c"
#include "../standin/session_processes.c"
#include "../standin/session_rules.c"
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
static void guest(uint16_t type, uint32_t stream, const void *bytes, uint32_t length)
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

static void drain(void)
{
	struct session_span output;

	while ((output = session_output(&session)).length > 0)
		session_sent(&session, output.length);
}

static void greet(void)
{
	static const uint8_t hello[12] = { 'U', 'U', 'R', 'N', 1, 0, 1, 0 };

	session_init(&session, (struct session_span){ hello, 1 }, (struct session_span){ hello, 1 }, false);
	session_resolvers(&session, 2);
	guest(URUNC_HELLO, 3, hello, sizeof hello);
	drain();
}

static void run(void)
{
	static const uint8_t id[4] = { 1 }, none[4];

	greet();
	guest(URUNC_STARTED, 3, none, 4);
	guest(URUNC_STARTED, 7, id, 4);
	CHECK_EQUAL(session.state, SESSION_RUNNING);
}

static void begin(void)
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

static void end(void)
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
static void turn(void)
{
	struct pollfd slots[RESOLVER_SLOTS];

	resolver_choose(&resolver, slots);
	CHECK(poll(slots, RESOLVER_SLOTS, 20) >= 0);
	resolver_serve(&resolver, slots, now);
}

/* A query for "Ab" with an identifier, and zeroes up to the length. */
static const uint8_t question[] = { 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 'A', 'b', 0, 0, 1, 0, 1 };
#define QUERY (2u + (uint32_t)sizeof question)

static void fill(uint32_t exchange, uint8_t which, uint8_t flags, uint16_t id)
{
	memset(payload, 0, sizeof payload);
	urunc_put32(payload, exchange);
	payload[4] = which;
	payload[5] = flags;
	put16_network(payload + 8, id);
	memcpy(payload + 10, question, sizeof question);
}

static void ask(uint32_t exchange, uint8_t which, uint8_t flags, uint16_t id, uint32_t length)
{
	fill(exchange, which, flags, id);
	guest(URUNC_DNS_QUERY, 3, payload, 8 + length);
	CHECK_STRING(said, "");
}

static union urunc_resolver peer;

/* What the resolver has got by a datagram. */
static size_t asked(uint8_t *into, size_t size)
{
	socklen_t length = sizeof peer;
	ssize_t got = recvfrom(server, into, size, 0, &peer.any, &length);

	return got < 0 ? 0 : (size_t)got;
}

static void reply(const uint8_t *bytes, size_t length)
{
	CHECK_EQUAL(sendto(server, bytes, length, 0, &peer.any, sizeof peer.ip4), length);
}

static uint8_t frame_out[URUNC_PAYLOAD_MAX];

/* The next answer for the guest: its exchange, and its bytes in frame_out. False: there is none. */
static bool answered(uint32_t *exchange, size_t *length, bool *more)
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

static void expect_answer(uint32_t exchange, size_t length, bool more)
{
	uint32_t got_exchange;
	size_t got_length;
	bool got_more;

	CHECK(answered(&got_exchange, &got_length, &got_more));
	CHECK_EQUAL(got_exchange, exchange);
	CHECK_EQUAL(got_length, length);
	CHECK_EQUAL(got_more, more);
}

static void expect_no_answer(void)
{
	uint32_t exchange;
	size_t length;
	bool more;

	CHECK(!answered(&exchange, &length, &more));
}

static void expect_violation(const char *sentence)
{
	CHECK_STRING(said, sentence);
	CHECK_EQUAL(session.state, SESSION_BROKEN);
}

static void queries_are_judged(void)
{
	static const struct {
		uint32_t stream;
		uint32_t length;
		unsigned int at;
		uint8_t value;
		const char *sentence;
	} bad[] = {
		{ 3, 19, 0, 0, "it sent a frame whose size does not fit its type" },
		{ 3, 8 + 4089, 0, 0, "it sent a frame whose size does not fit its type" },
		{ 2, 40, 0, 0, "it sent a frame on a stream of another kind" },
		{ 7, 40, 0, 0, "it sent a frame on a stream of another kind" },
		{ 11, 40, 0, 0, "it sent a frame for a process that does not exist" },
		{ 3, 40, 4, 2, "it asked a resolver that does not exist" },
		{ 3, 40, 4, 255, "it asked a resolver that does not exist" },
		{ 3, 40, 5, 2, "it asked for a name in a way that does not exist" },
		{ 3, 40, 6, 1, "it asked for a name in a way that does not exist" },
		{ 3, 40, 7, 1, "it asked for a name in a way that does not exist" },
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		begin();
		fill(1, 0, 0, 1);
		payload[bad[i].at] = bad[i].value;
		guest(URUNC_DNS_QUERY, bad[i].stream, payload, bad[i].length);
		expect_violation(bad[i].sentence);
		end();
	}
	fill(1, 0, 0, 1);
	begin();
	session_resolvers(&session, 0);
	guest(URUNC_DNS_QUERY, 3, payload, 40);
	expect_violation("it asked for a name, and has no resolver");
	greet();
	guest(URUNC_DNS_QUERY, 3, payload, 40);
	expect_violation("it asked for a name out of turn");
	run();
	session.state = SESSION_ENDED;
	guest(URUNC_DNS_QUERY, 3, payload, 40);
	expect_violation("it asked for a name out of turn");
	session_init_apart(&session, (struct session_span){ payload, 1 }, false);
	guest(URUNC_DNS_QUERY, 3, payload, 40);
	expect_violation("it asked for a name, and has no resolver");
	run();
	guest(URUNC_DNS_ANSWER, 3, payload, 40);
	expect_violation("it sent a frame of a type that guests do not send");
	end();
}

static void a_datagram_goes_with_an_identifier_of_ours(void)
{
	uint8_t bytes[URUNC_PAYLOAD_MAX];
	int same = 0;

	begin();
	for (uint32_t i = 0; i < 8; i++) {
		ask(0xfffffff0u + i, 0, 0, 0x1234, i == 7 ? URUNC_DNS_QUERY_MAX : QUERY);
		CHECK_EQUAL(asked(bytes, sizeof bytes), i == 7 ? URUNC_DNS_QUERY_MAX : QUERY);
		same += get16_network(bytes) == 0x1234;
		CHECK_EQUAL(memcmp(bytes + 2, question, sizeof question), 0);
		bytes[2] |= RESPONSE;
		reply(bytes, 100);
		turn();
		CHECK(resolver_waits(&resolver));
		expect_answer(0xfffffff0u + i, 100, false);
		CHECK_EQUAL(get16_network(frame_out), 0x1234);
		/* An answer counts once. */
		reply(bytes, 100);
		turn();
		expect_no_answer();
		CHECK(!resolver_waits(&resolver));
	}
	CHECK(same < 8);
	end();
}

static void what_is_no_answer_is_dropped(void)
{
	uint8_t good[QUERY], bytes[QUERY];
	uint8_t other[40] = { 0 };

	begin();
	ask(5, 0, 0, 1, QUERY);
	CHECK_EQUAL(asked(good, sizeof good), QUERY);
	reply(good, QUERY); /* a query itself */
	good[2] |= RESPONSE;
	memcpy(bytes, good, QUERY);
	bytes[0] ^= 1; /* another identifier */
	reply(bytes, QUERY);
	memcpy(bytes, good, QUERY);
	bytes[13] = 'x'; /* another name */
	reply(bytes, QUERY);
	memcpy(bytes, good, QUERY);
	bytes[QUERY - 3] = 28; /* another type */
	reply(bytes, QUERY);
	bytes[5] = 2; /* two questions */
	reply(bytes, QUERY);
	reply(good, 11);
	reply(good, QUERY - 1);
	reply(good, 0);
	memcpy(other, good, 2);
	memset(other + 2, 0xff, sizeof other - 2);
	reply(other, sizeof other);
	turn();
	expect_no_answer();
	/* The case of letters is the resolver's to change. */
	good[13] = 'a';
	good[14] = 'B';
	reply(good, QUERY);
	turn();
	expect_answer(5, QUERY, false);
	/* One that could not read the question leaves it out. */
	ask(6, 0, 0, 1, QUERY);
	CHECK_EQUAL(asked(good, sizeof good), QUERY);
	good[2] |= RESPONSE;
	good[5] = 0;
	reply(good, 12);
	turn();
	expect_answer(6, 12, false);
	end();
}

static void many_strays_do_not_end_the_service(void)
{
	uint8_t bytes[QUERY];

	begin();
	ask(5, 0, 0, 1, QUERY);
	CHECK_EQUAL(asked(bytes, sizeof bytes), QUERY);
	for (int i = 0; i < 100; i++)
		reply(bytes, QUERY);
	bytes[2] |= RESPONSE;
	reply(bytes, QUERY);
	for (int i = 0; i < 100 / STRAYS; i++) {
		turn();
		expect_no_answer();
	}
	turn();
	expect_answer(5, QUERY, false);
	end();
}

static void an_answer_that_fits_no_frame_is_truncated(void)
{
	static uint8_t bytes[60000];

	begin();
	ask(5, 0, 0, 0x4321, QUERY);
	CHECK_EQUAL(asked(bytes, sizeof bytes), QUERY);
	bytes[2] |= RESPONSE;
	bytes[7] = 9;
	reply(bytes, PART_MAX);
	turn();
	expect_answer(5, PART_MAX, false);
	ask(6, 0, 0, 0x4321, QUERY);
	CHECK_EQUAL(asked(bytes, sizeof bytes), QUERY);
	bytes[2] |= RESPONSE;
	bytes[7] = 9;
	reply(bytes, PART_MAX + 1);
	turn();
	expect_answer(6, QUERY, false);
	CHECK_EQUAL(get16_network(frame_out), 0x4321);
	CHECK(frame_out[2] & TRUNCATED);
	CHECK_EQUAL(get16_network(frame_out + 6), 0);
	end();
}

static void a_flood_is_bounded(void)
{
	uint8_t bytes[QUERY];
	unsigned int count = 0, used = 0;

	begin();
	for (uint32_t i = 0; i < 20000; i++) {
		ask(i, 0, 0, (uint16_t)i, QUERY);
		if (i < 20000 - URUNC_EXCHANGES_UDP)
			(void)asked(bytes, sizeof bytes);
	}
	for (unsigned int i = 0; i < URUNC_EXCHANGES_UDP; i++)
		used += resolver.datagrams[i].used;
	CHECK_EQUAL(used, URUNC_EXCHANGES_UDP);
	/* The latest are answered. What is not read yet may be more than the socket takes. */
	while (asked(bytes, sizeof bytes) == QUERY) {
		uint32_t exchange;
		size_t length;
		bool more;

		bytes[2] |= RESPONSE;
		reply(bytes, QUERY);
		turn();
		if (!answered(&exchange, &length, &more))
			continue;
		CHECK(exchange >= 20000 - URUNC_EXCHANGES_UDP);
		count++;
	}
	CHECK(count > URUNC_EXCHANGES_UDP / 2);
	end();
}

static void a_resolver_that_is_not_there_is_said_to_be(void)
{
	begin();
	ask(1, 1, 0, 1, QUERY);
	turn();
	expect_answer(1, 0, false);
	/* Also where it is only the next question that meets with it. */
	ask(2, 1, 0, 1, QUERY);
	ask(3, 1, 0, 1, QUERY);
	turn();
	for (uint32_t i = 2, count = 0; count < 2; i++) {
		uint32_t exchange;
		size_t length;
		bool more;

		if (!answered(&exchange, &length, &more)) {
			turn();
			continue;
		}
		CHECK_EQUAL(length, 0);
		count++;
	}
	ask(4, 1, URUNC_DNS_BY_TCP, 1, QUERY);
	turn();
	expect_answer(4, 0, false);
	/* More than are remembered. */
	close(resolver.sockets[1]);
	resolver.sockets[1] = -1;
	for (uint32_t i = 0; i < 3 * RESOLVER_REFUSALS; i++)
		ask(i, 1, 0, 1, QUERY);
	for (uint32_t i = 0; i < RESOLVER_REFUSALS; i++)
		expect_answer(i, 0, false);
	expect_no_answer();
	resolver.sockets[1] = dup(0);
	end();
}

static int accept_one(void)
{
	struct pollfd slot = { listener, POLLIN, 0 };
	int fd;

	CHECK_EQUAL(poll(&slot, 1, 1000), 1);
	fd = accept(listener, NULL, NULL);
	CHECK(fd >= 0);
	return fd;
}

/* A connection that has the query, which is checked. */
static int asked_by_tcp(uint32_t exchange, uint32_t length)
{
	static uint8_t bytes[2 + URUNC_DNS_QUERY_MAX];
	int fd;

	ask(exchange, 0, URUNC_DNS_BY_TCP, 0x1234, length);
	turn();
	fd = accept_one();
	CHECK_EQUAL(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT), 2 + length);
	CHECK_EQUAL(get16_network(bytes), length);
	CHECK_EQUAL(get16_network(bytes + 2), 0x1234);
	CHECK_EQUAL(memcmp(bytes + 4, question, sizeof question), 0);
	return fd;
}

static void a_connection_brings_the_largest_answer(void)
{
	static uint8_t bytes[2 + URUNC_DNS_ANSWER_MAX];
	size_t sent = 0;
	int fd;

	begin();
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 7 >> 2);
	put16_network(bytes, URUNC_DNS_ANSWER_MAX);
	fd = asked_by_tcp(77, URUNC_DNS_QUERY_MAX);
	while (sent < sizeof bytes) {
		size_t part = sent < 4 ? 1 : sizeof bytes - sent;

		sent += (size_t)send(fd, bytes + sent, part, MSG_DONTWAIT);
		expect_no_answer();
		turn();
	}
	turn();
	expect_answer(77, 32760, true);
	CHECK_EQUAL(memcmp(frame_out, bytes + 2, 32760), 0);
	expect_answer(77, 32760, true);
	CHECK_EQUAL(memcmp(frame_out, bytes + 2 + 32760, 32760), 0);
	expect_answer(77, 15, false);
	CHECK_EQUAL(memcmp(frame_out, bytes + 2 + 65520, 15), 0);
	expect_no_answer();
	CHECK_EQUAL(resolver.connections[0].step, RESOLVER_FREE);
	close(fd);
	end();
}

static void connections_that_fail_have_an_empty_answer(void)
{
	int fd;

	begin();
	fd = asked_by_tcp(1, QUERY);
	CHECK_EQUAL(send(fd, "\0\20abc", 5, 0), 5);
	close(fd);
	turn();
	turn();
	expect_answer(1, 0, false);
	fd = asked_by_tcp(2, QUERY);
	CHECK_EQUAL(send(fd, "\0\13abcdefghijk", 13, 0), 13);
	turn();
	expect_answer(2, 0, false);
	close(fd);
	fd = asked_by_tcp(3, QUERY);
	CHECK_EQUAL(resolver_deadline(&resolver), now + PATIENCE);
	now += PATIENCE - 1;
	turn();
	expect_no_answer();
	now++;
	turn();
	expect_answer(3, 0, false);
	CHECK_EQUAL(resolver_deadline(&resolver), INT64_MAX);
	close(fd);
	end();
}

static void connections_are_bounded(void)
{
	int fds[URUNC_EXCHANGES_TCP];

	begin();
	for (uint32_t i = 0; i < URUNC_EXCHANGES_TCP; i++)
		fds[i] = asked_by_tcp(i, QUERY);
	for (uint32_t i = 0; i < 10; i++) {
		ask(100 + i, 0, URUNC_DNS_BY_TCP, 1, QUERY);
		expect_answer(100 + i, 0, false);
	}
	for (uint32_t i = 0; i < URUNC_EXCHANGES_TCP; i++) {
		CHECK_EQUAL(send(fds[i], "\0\14abcdefghijkl", 14, 0), 14);
		close(fds[i]);
	}
	turn();
	turn();
	/* In turn. */
	for (uint32_t i = 0; i < URUNC_EXCHANGES_TCP; i++)
		expect_answer((i + 1) % URUNC_EXCHANGES_TCP, 12, false);
	expect_no_answer();
	end();
}

/* Whatever the guest asks, and whatever comes back, nothing is read or written beyond its place. */
static void by_chance(void)
{
	static uint8_t bytes[5000];
	uint32_t state = 12345;

	begin();
	for (int round = 0; round < 20000; round++) {
		uint32_t exchange, length;
		size_t got, size;
		bool more;

		state = state * 1664525 + 1013904223;
		length = 12 + (state >> 8) % 60;
		for (uint32_t i = 8; i < 8 + length; i++)
			payload[i] = (uint8_t)((state >> 16) % 4 == 0 ? (i * state) >> 11 : i % 3);
		urunc_put32(payload, state);
		payload[4] = payload[5] = payload[6] = payload[7] = 0;
		guest(URUNC_DNS_QUERY, 3, payload, 8 + length);
		CHECK_STRING(said, "");
		got = asked(bytes, sizeof bytes);
		if (got == 0)
			continue;
		bytes[2] |= RESPONSE;
		bytes[(state >> 4) % got] ^= (uint8_t)(state >> 24 & (state >> 3));
		reply(bytes, (state >> 7) % (got + 1));
		if (round % 8 == 0)
			turn();
		(void)answered(&exchange, &size, &more);
	}
	end();
}

int main(void)
{
	queries_are_judged();
	a_datagram_goes_with_an_identifier_of_ours();
	what_is_no_answer_is_dropped();
	many_strays_do_not_end_the_service();
	an_answer_that_fits_no_frame_is_truncated();
	a_flood_is_bounded();
	a_resolver_that_is_not_there_is_said_to_be();
	a_connection_brings_the_largest_answer();
	connections_that_fail_have_an_empty_answer();
	connections_are_bounded();
	by_chance();
	return 0;
}
