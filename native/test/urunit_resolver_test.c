/* The agent in the resolvers' place: what it is asked by datagrams, as frames to the host and back. */
#include "../urunit/channel.c"
#include "../urunit/transport.c"
#include "../urunit/failure.c"
#include "../urunit/resolver.c"
#include "resolver_host.h"

static void records_that_are_none_are_refused(void)
{
	static const uint8_t outside[16] = { 10, 0, 0, 1 };
	static const uint8_t ip6[16] = { [0] = 0xfe, [15] = 1 };
	struct failure failure;

	for (int i = 0; i < 6; i++) {
		document_length = 0;
		if (i == 0)
			add_record(4, ip4, 15);
		else if (i == 1)
			add_record(5, ip4, 16);
		else if (i == 2)
			add_record(4, outside, 16);
		else if (i == 3)
			add_record(6, ip6, 16);
		else if (i == 4) {
			add_record(4, ip4, 16);
			document[URUNC_RECORD_HEADER + 2] = 1;
		} else
			for (int j = 0; j < 4; j++)
				add_record(4, ip4, 16);
		CHECK(!start(&failure));
		CHECK_STRING(failure.sentence, "a resolver is not a valid record");
	}
}

static void without_resolvers_nothing_is_done(void)
{
	struct pollfd slots[RESOLVER_SLOTS];
	struct urunc_frame frame = { URUNC_DNS_HEADER, URUNC_DNS_ANSWER, URUNC_CONTROL };
	static const uint8_t payload[8] = { 1 };
	struct failure failure;

	document_length = 0;
	CHECK(start(&failure));
	resolver_poll(&channel, slots);
	for (unsigned i = 0; i < RESOLVER_SLOTS; i++)
		CHECK_EQUAL(slots[i].fd, -1);
	resolver_serve(&channel, slots);
	CHECK(resolver_answer(&frame, payload));
}

static void another_port_is_taken_where_one_is_in_use(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(PORT_FIRST) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	memcpy(&address.sin_addr, ip4, 4);
	(void)bind(fd, (struct sockaddr *)&address, sizeof address);
	begin();
	CHECK(listens_at > PORT_FIRST && listens_at <= PORT_LAST);
	end();
	close(fd);
}

static void datagrams_find_their_way_back(void)
{
	uint8_t got[512];
	int one, other;
	struct asked first, second;

	begin();
	one = client(SOCK_DGRAM);
	other = client(SOCK_DGRAM);
	send_datagram(one, 7, QUERY);
	turn();
	send_datagram(other, 7, 100);
	turn();
	first = expect_query();
	second = expect_query();
	CHECK(first.exchange != second.exchange);
	CHECK_EQUAL(first.length, QUERY);
	CHECK_EQUAL(first.flags, 0);
	CHECK_EQUAL(second.length, 100);
	CHECK_EQUAL(second.id, 7);
	answer(second.exchange, 7, 60, 0);
	answer(first.exchange, 7, 40, 0);
	CHECK_EQUAL(received(one, got, sizeof got), 40);
	CHECK_EQUAL(get16_network(got), 7);
	CHECK_EQUAL(received(other, got, sizeof got), 60);
	/* Once. */
	answer(first.exchange, 7, 40, 0);
	answer(99999, 7, 40, 0);
	answer(0, 7, 40, 0);
	CHECK_EQUAL(received(one, got, sizeof got), 0);
	close(one);
	close(other);
	end();
}

static void datagrams_that_are_no_queries_are_dropped(void)
{
	int fd;

	begin();
	fd = client(SOCK_DGRAM);
	send_datagram(fd, 1, 11);
	send_datagram(fd, 2, 0);
	send_datagram(fd, 3, URUNC_DNS_QUERY_MAX + 1);
	send_datagram(fd, 4, 60000);
	send_datagram(fd, 5, URUNC_DNS_QUERY_MAX);
	turns(2);
	CHECK_EQUAL(expect_query().id, 5);
	expect_no_query();
	close(fd);
	end();
}

static void no_answer_is_a_server_failure(void)
{
	uint8_t got[512];
	struct asked asked;
	int fd;

	begin();
	fd = client(SOCK_DGRAM);
	send_datagram(fd, 0x1234, 200);
	turn();
	asked = expect_query();
	answer(asked.exchange, 0, 0, 0);
	CHECK_EQUAL(received(fd, got, sizeof got), QUERY);
	CHECK_EQUAL(get16_network(got), 0x1234);
	CHECK_EQUAL(get16_network(got + 2), 0x8182);
	CHECK_EQUAL(get16_network(got + 4), 1);
	CHECK_EQUAL(memcmp(got + 12, query(0, QUERY) + 14, QUERY - 12), 0);
	/* A message without a question has nothing to be answered with. */
	CHECK_EQUAL(send(fd, "\0\1\1\0\0\0\0\0\0\0\0\0", 12, 0), 12);
	turn();
	asked = expect_query();
	answer(asked.exchange, 0, 0, 0);
	CHECK_EQUAL(received(fd, got, sizeof got), 0);
	close(fd);
	end();
}

static void questions_are_read_within_their_message(void)
{
	uint8_t bytes[600] = { 0 };

	put16_network(bytes + 4, 1);
	CHECK_EQUAL(question_end(bytes, 17), 17);
	CHECK_EQUAL(question_end(bytes, 16), 0);
	bytes[12] = 63;
	CHECK_EQUAL(question_end(bytes, 12 + 64 + 5), 12 + 64 + 5);
	CHECK_EQUAL(question_end(bytes, 40), 0);
	/* A pointer, and a name that is too long. */
	bytes[12] = 0xc0;
	CHECK_EQUAL(question_end(bytes, 100), 0);
	for (int i = 0; i < 6; i++)
		bytes[12 + 64 * i] = 63;
	CHECK_EQUAL(question_end(bytes, sizeof bytes), 0);
	put16_network(bytes + 4, 2);
	CHECK_EQUAL(question_end(bytes, 17), 0);
}

static void a_further_exchange_replaces_the_oldest(void)
{
	uint8_t got[64];
	struct asked first = { 0 }, asked = { 0 };
	int fd;

	begin();
	fd = client(SOCK_DGRAM);
	for (unsigned i = 0; i <= URUNC_EXCHANGES_UDP; i++) {
		send_datagram(fd, (uint16_t)i, QUERY);
		turn();
		asked = expect_query();
		if (i == 0)
			first = asked;
	}
	answer(first.exchange, 0, 20, 0);
	CHECK_EQUAL(received(fd, got, sizeof got), 0);
	answer(asked.exchange, 1, 20, 0);
	CHECK_EQUAL(received(fd, got, sizeof got), 20);
	close(fd);
	end();
}

/* Neither is lost nor asked again and again. */
static void questions_wait_for_room(void)
{
	struct pollfd slots[RESOLVER_SLOTS];
	uint32_t full = 0;
	uint8_t sink[4096];
	struct asked asked;
	int datagram, stream;

	begin();
	datagram = client(SOCK_DGRAM);
	stream = client(SOCK_STREAM);
	turn();
	while (channel_room(&channel) > 1000) {
		(void)channel_data_space(&channel);
		channel_data_commit(&channel, 1, 900);
		full++;
	}
	send_datagram(datagram, 1, 2000);
	send_stream(stream, 2, 2000);
	turns(3);
	resolver_poll(&channel, slots);
	CHECK_EQUAL(slots[0].fd, -1);
	CHECK_EQUAL(poll(slots, RESOLVER_SLOTS, 0), 0);
	while (full > 0) {
		CHECK(channel_flush(&channel));
		for (ssize_t got; (got = recv(host, sink, URUNC_FRAME_HEADER + 900, MSG_DONTWAIT)) > 0; full--)
			CHECK_EQUAL(got, URUNC_FRAME_HEADER + 900);
	}
	turns(3);
	for (int i = 0; i < 2; i++) {
		asked = expect_query();
		CHECK_EQUAL(asked.length, 2000);
		CHECK_EQUAL(asked.flags, asked.id == 2 ? URUNC_DNS_BY_TCP : 0);
	}
	expect_no_query();
	close(datagram);
	close(stream);
	end();
}

static void malformed_answers_are_refused(void)
{
	struct urunc_frame frame = { URUNC_DNS_HEADER - 1, URUNC_DNS_ANSWER, URUNC_CONTROL };
	uint8_t payload[URUNC_DNS_HEADER] = { 1 };

	begin();
	CHECK(!resolver_answer(&frame, payload));
	frame.length = URUNC_DNS_HEADER;
	CHECK(resolver_answer(&frame, payload));
	payload[4] = 2;
	CHECK(!resolver_answer(&frame, payload));
	end();
}

int main(void)
{
	records_that_are_none_are_refused();
	without_resolvers_nothing_is_done();
	another_port_is_taken_where_one_is_in_use();
	datagrams_find_their_way_back();
	datagrams_that_are_no_queries_are_dropped();
	no_answer_is_a_server_failure();
	questions_are_read_within_their_message();
	a_further_exchange_replaces_the_oldest();
	questions_wait_for_room();
	malformed_answers_are_refused();
	return 0;
}
