/* The agent in the resolvers' place, programs that ask it, and the host that answers. For tests that include urunit/resolver.c. */
#ifndef URUNC_RESOLVER_HOST_H
#define URUNC_RESOLVER_HOST_H

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

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

static inline void add_record(uint8_t family, const uint8_t *address, size_t length)
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

static inline bool start(struct failure *failure)
{
	return resolver_start((struct urunc_records){ document, document + document_length }, failure);
}

static inline void begin(void)
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

static inline void end(void)
{
	for (unsigned i = 0; i < RESOLVER_CONNECTIONS; i++)
		hang_up(&resolver.connections[i]);
	close_all();
	close(channel.fd);
	close(host);
}

/* One turn of the agent's loop. */
static inline void turn(void)
{
	struct pollfd slots[RESOLVER_SLOTS];

	resolver_poll(&channel, slots);
	CHECK(poll(slots, RESOLVER_SLOTS, 10) >= 0);
	resolver_serve(&channel, slots);
}

static inline void turns(int count)
{
	while (count-- > 0)
		turn();
}

static inline int client(int type)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(listens_at) };
	int fd = socket(AF_INET, type, 0);

	memcpy(&address.sin_addr, ip4, 4);
	CHECK_EQUAL(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

/* A query for "a", its identifier, and zeroes up to the length. */
static inline uint8_t *query(uint16_t id, size_t length)
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

static inline void send_datagram(int fd, uint16_t id, size_t length)
{
	CHECK_EQUAL(send(fd, query(id, length) + 2, length, 0), length);
}

static inline void send_stream(int fd, uint16_t id, size_t length)
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
static inline bool next_query(struct asked *asked)
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

static inline struct asked expect_query(void)
{
	struct asked asked;

	CHECK(next_query(&asked));
	return asked;
}

static inline void expect_no_query(void)
{
	struct asked asked;

	CHECK(!next_query(&asked));
}

static uint8_t part[URUNC_PAYLOAD_MAX];

static inline void answer(uint32_t exchange, uint16_t id, size_t length, uint8_t flags)
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

static inline size_t received(int fd, uint8_t *into, size_t size)
{
	ssize_t got = recv(fd, into, size, MSG_DONTWAIT);

	return got < 0 ? 0 : (size_t)got;
}

static inline bool closed(int fd)
{
	uint8_t byte;
	ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);

	return got == 0 || (got < 0 && errno == ECONNRESET);
}

#endif
