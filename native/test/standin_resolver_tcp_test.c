/* Names on the host's side by connections, and whatever comes by both. */
#include "../standin/resolver.c"
#include "../standin/session.c"
#include "../standin/session_output.c"
#include "../standin/session_processes.c"
#include "../standin/session_rules.c"
#include "resolver_guest.h"

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
	a_connection_brings_the_largest_answer();
	connections_that_fail_have_an_empty_answer();
	connections_are_bounded();
	by_chance();
	return 0;
}
