/* The agent in the resolvers' place: what it is asked by datagrams and connections, as frames to the host and back. */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../urunit/channel.c"
#include "../urunit/transport.c"
#include "../urunit/failure.c"
#include "../urunit/resolver.c"
#include "check.h"

/* The kernel's part of it has no place here: whoever asks knows the port. */
static uint16_t listens_at;

bool redirect_port(const union urunc_resolver *resolvers, unsigned count, uint16_t from, uint16_t to,
		   struct failure *failure)
{
	(void)failure;
	CHECK(count > 0 && resolvers[0].any.sa_family == AF_INET);
	CHECK_EQUAL(from, 53);
	listens_at = to;
	return true;
}

static struct channel channel;
static int host;
static uint8_t document[512];
static size_t document_length;

static void add_record(uint8_t family, const uint8_t *address, size_t length)
{
	uint8_t *at = document + document_length;

	memset(at, 0, URUNC_RECORD_HEADER + 4 + length);
	urunc_put16(at, URUNC_RESOLVER);
	urunc_put32(at + 4, (uint32_t)(4 + length));
	at[URUNC_RECORD_HEADER] = family;
	memcpy(at + URUNC_RECORD_HEADER + 4, address, length);
	document_length += URUNC_RECORD_HEADER + 4 + length;
}

static const uint8_t ip4[16] = { 127, 0, 0, 11 };

static bool start(struct failure *failure)
{
	return resolver_start((struct urunc_records){ document, document + document_length }, failure);
}

static void begin(void)
{
	struct failure failure;
	int pair[2];

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	memset(&channel, 0, sizeof channel);
	channel.fd = pair[0];
	host = pair[1];
	document_length = 0;
	add_record(4, ip4, 16);
	CHECK(start(&failure));
	CHECK_EQUAL(resolver.count, 1);
}

static void end(void)
{
	for (unsigned i = 0; i < RESOLVER_CONNECTIONS; i++)
		hang_up(&resolver.connections[i]);
	close_all();
	close(channel.fd);
	close(host);
}

/* One turn of the agent's loop. */
static void turn(void)
{
	struct pollfd slots[RESOLVER_SLOTS];

	resolver_poll(&channel, slots);
	CHECK(poll(slots, RESOLVER_SLOTS, 10) >= 0);
	resolver_serve(&channel, slots);
}

static void turns(int count)
{
	while (count-- > 0)
		turn();
}

static int client(int type)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(listens_at) };
	int fd = socket(AF_INET, type, 0);

	memcpy(&address.sin_addr, ip4, 4);
	CHECK_EQUAL(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

/* A query for "a", its identifier, and zeroes up to the length. */
static uint8_t *query(uint16_t id, size_t length)
{
	static uint8_t bytes[2 + 70000];
	static const uint8_t rest[] = { 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1 };

	memset(bytes, 0, sizeof bytes);
	put16_network(bytes, length);
	put16_network(bytes + 2, id);
	memcpy(bytes + 4, rest, sizeof rest);
	return bytes;
}

#define QUERY 19u

static void send_datagram(int fd, uint16_t id, size_t length)
{
	CHECK_EQUAL(send(fd, query(id, length) + 2, length, 0), length);
}

static void send_stream(int fd, uint16_t id, size_t length)
{
	CHECK_EQUAL(send(fd, query(id, length), 2 + length, 0), 2 + length);
}

struct asked {
	uint32_t exchange;
	uint8_t resolver;
	uint8_t flags;
	uint16_t id;
	size_t length;
};

/* The next DNS_QUERY that the host has got; false: none. */
static bool next_query(struct asked *asked)
{
	uint8_t bytes[URUNC_FRAME_HEADER + URUNC_PAYLOAD_MAX];
	const uint8_t *payload = bytes + URUNC_FRAME_HEADER;
	struct urunc_frame frame;

	CHECK(channel_flush(&channel));
	if (recv(host, bytes, URUNC_FRAME_HEADER, MSG_DONTWAIT) != (ssize_t)URUNC_FRAME_HEADER)
		return false;
	CHECK(urunc_frame_decode(bytes, &frame));
	CHECK_EQUAL(frame.type, URUNC_DNS_QUERY);
	CHECK_EQUAL(frame.stream, URUNC_CONTROL);
	CHECK(frame.length >= 8 + 12 && frame.length <= 8 + URUNC_DNS_QUERY_MAX);
	CHECK_EQUAL(recv(host, bytes + URUNC_FRAME_HEADER, frame.length, MSG_DONTWAIT), frame.length);
	CHECK_EQUAL(urunc_get16(payload + 6), 0);
	*asked = (struct asked){ urunc_get32(payload), payload[4], payload[5], get16_network(payload + 8), frame.length - 8 };
	return true;
}

static struct asked expect_query(void)
{
	struct asked asked;

	CHECK(next_query(&asked));
	return asked;
}

static void expect_no_query(void)
{
	struct asked asked;

	CHECK(!next_query(&asked));
}

static uint8_t part[URUNC_PAYLOAD_MAX];

static void answer(uint32_t exchange, uint16_t id, size_t length, uint8_t flags)
{
	struct urunc_frame frame = { (uint32_t)(URUNC_DNS_HEADER + length), URUNC_DNS_ANSWER, URUNC_CONTROL };
	uint8_t *copy = malloc(frame.length);

	/* Of exactly this size: reading on would be noticed. */
	CHECK(copy);
	memset(part, 0, 8);
	urunc_put32(part, exchange);
	part[4] = flags;
	put16_network(part + 8, id);
	memcpy(copy, part, frame.length);
	CHECK(resolver_answer(&frame, copy));
	free(copy);
}

static size_t received(int fd, uint8_t *into, size_t size)
{
	ssize_t got = recv(fd, into, size, MSG_DONTWAIT);

	return got < 0 ? 0 : (size_t)got;
}

static bool closed(int fd)
{
	uint8_t byte;
	ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);

	return got == 0 || (got < 0 && errno == ECONNRESET);
}

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
	connections_carry_several_questions();
	a_large_answer_comes_in_parts();
	connections_are_closed_on_what_is_no_message_or_has_no_answer();
	connections_are_bounded();
	malformed_answers_are_refused();
	return 0;
}
