/* The agent in the resolvers' place: what it is asked by connections. */
#include "../urunit/channel.c"
#include "../urunit/transport.c"
#include "../urunit/failure.c"
#include "../urunit/resolver.c"
#include "resolver_host.h"

static void connections_carry_several_questions(void)
{
	uint8_t got[256];
	const uint8_t *bytes;
	struct asked asked;
	int fd;

	begin();
	fd = client(SOCK_STREAM);
	bytes = query(1, QUERY);
	for (size_t i = 0; i < 2 + QUERY; i++) {
		expect_no_query();
		CHECK_EQUAL(send(fd, bytes + i, 1, 0), 1);
		turn();
	}
	send_stream(fd, 2, QUERY);
	send_stream(fd, 3, QUERY);
	shutdown(fd, SHUT_WR);
	for (uint16_t id = 1; id <= 3; id++) {
		turns(3);
		asked = expect_query();
		CHECK_EQUAL(asked.id, id);
		CHECK_EQUAL(asked.flags, URUNC_DNS_BY_TCP);
		expect_no_query();
		answer(asked.exchange, id, 30, 0);
		turns(2);
		CHECK_EQUAL(received(fd, got, sizeof got), 32);
		CHECK_EQUAL(get16_network(got), 30);
		CHECK_EQUAL(get16_network(got + 2), id);
	}
	turns(2);
	CHECK(closed(fd));
	close(fd);
	end();
}

static void a_large_answer_comes_in_parts(void)
{
	static uint8_t got[2 + URUNC_DNS_ANSWER_MAX];
	size_t length = 0;
	uint32_t exchange;
	int fd;

	begin();
	fd = client(SOCK_STREAM);
	send_stream(fd, 9, QUERY);
	turns(3);
	exchange = expect_query().exchange;
	answer(exchange, 9, 32760, URUNC_DNS_MORE);
	answer(exchange, 9, 0, URUNC_DNS_MORE);
	answer(exchange, 9, 32760, URUNC_DNS_MORE);
	answer(exchange, 9, 15, 0);
	for (int i = 0; i < 50 && length < sizeof got; i++) {
		turn();
		length += received(fd, got + length, sizeof got - length);
	}
	CHECK_EQUAL(length, sizeof got);
	CHECK_EQUAL(get16_network(got), URUNC_DNS_ANSWER_MAX);
	/* And one that is larger than any may be. */
	send_stream(fd, 10, QUERY);
	turns(3);
	exchange = expect_query().exchange;
	answer(exchange, 10, 32760, URUNC_DNS_MORE);
	answer(exchange, 10, 32760, URUNC_DNS_MORE);
	answer(exchange, 10, 16, URUNC_DNS_MORE);
	CHECK(closed(fd));
	close(fd);
	end();
}

static void connections_are_closed_on_what_is_no_message_or_has_no_answer(void)
{
	static const size_t lengths[] = { 0, 11, URUNC_DNS_QUERY_MAX + 1, 65535 };
	uint32_t exchange;
	int fd;

	begin();
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		fd = client(SOCK_STREAM);
		CHECK_EQUAL(send(fd, query(1, lengths[i]), 2, 0), 2);
		turns(3);
		CHECK(closed(fd));
		close(fd);
	}
	for (size_t length = 0; length < 12; length += 11) {
		fd = client(SOCK_STREAM);
		send_stream(fd, 1, QUERY);
		turns(3);
		exchange = expect_query().exchange;
		answer(exchange, 1, length, 0);
		CHECK(closed(fd));
		close(fd);
	}
	expect_no_query();
	end();
}

static void connections_are_bounded(void)
{
	int fds[RESOLVER_CONNECTIONS + 1];
	struct asked asked;

	begin();
	for (unsigned i = 0; i <= RESOLVER_CONNECTIONS; i++) {
		fds[i] = client(SOCK_STREAM);
		turn();
	}
	CHECK(closed(fds[0]));
	CHECK(!closed(fds[1]));
	/* The host takes eight exchanges at a time. */
	for (unsigned i = 1; i <= 10; i++)
		send_stream(fds[i], (uint16_t)i, QUERY);
	turns(5);
	for (unsigned i = 1; i <= URUNC_EXCHANGES_TCP; i++)
		asked = expect_query();
	expect_no_query();
	answer(asked.exchange, asked.id, 20, 0);
	turn();
	asked = expect_query();
	expect_no_query();
	/* A client may be gone: with the answer its place is free. */
	close(fds[asked.id]);
	fds[asked.id] = -1;
	answer(asked.exchange, asked.id, 20, 0);
	turns(3);
	(void)expect_query();
	answer(asked.exchange, asked.id, 20, 0);
	for (unsigned i = 0; i <= RESOLVER_CONNECTIONS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	turns(5);
	end();
}

int main(void)
{
	connections_carry_several_questions();
	a_large_answer_comes_in_parts();
	connections_are_closed_on_what_is_no_message_or_has_no_answer();
	connections_are_bounded();
	return 0;
}
