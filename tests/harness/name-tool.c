/*
 * A small resolver and a small client, for tests of names (RFC 1035).
 *
 *   name-tool serve ADDRESS          answers on its port 53, UDP and TCP
 *   name-tool ask ADDRESS NAME WAY N asks N times at once for NAME's IPv4 addresses
 *
 * WAY is by what: one connected socket (udp), one connection (tcp), one socket that is not connected (loose), and the same
 * of IPv6 with the address mapped into it (mapped).
 *
 * The server knows NAME.test: 192.0.2.7, and big.test, which has many addresses: more than a datagram takes. It says of
 * every other name that it does not exist. The client prints a line for each kind of answer: how often it came, the
 * response code, whether it was truncated, how many addresses it has, and the last of them.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_MAX 65535
#define BIG_COUNT 2500
#define CLIENTS 64
#define PATIENCE 20000

static uint8_t message[2 + MESSAGE_MAX + 1];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static unsigned get16(const uint8_t *at)
{
	return (unsigned)(at[0] << 8 | at[1]);
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static size_t question_end(const uint8_t *query, size_t length)
{
	size_t at = 12;

	while (at < length && query[at] != 0)
		at += 1u + query[at];
	return at + 5 <= length ? at + 5 : 0;
}

/* Writes what there is to be said into the query's place; gives its length. */
static size_t answer(uint8_t *query, size_t length, int by_tcp)
{
	static const uint8_t test[] = "\4test";
	size_t end = length < 12 ? 0 : question_end(query, length);
	unsigned count = 1;
	int known, big;

	if (end == 0)
		return 0;
	known = end >= 12 + 5 + sizeof test && memcmp(query + end - 4 - sizeof test, test, sizeof test) == 0;
	big = known && memcmp(query + 12, "\3big\4test", 10) == 0;
	if (big)
		count = by_tcp ? BIG_COUNT : 0;
	if (!known || get16(query + end - 4) != 1)
		count = 0;
	put16(query + 2, 0x8480 | (big && !by_tcp ? 0x0200 : 0) | (known ? 0 : 3));
	put16(query + 6, count);
	put16(query + 8, 0);
	put16(query + 10, 0);
	for (unsigned i = 0; i < count; i++) {
		uint8_t record[16] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7 };

		if (big) {
			record[13] = (uint8_t)(i >> 8);
			record[14] = (uint8_t)i;
		}
		memcpy(query + end, record, sizeof record);
		end += sizeof record;
	}
	return end;
}

union address {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
};

static union address parse(const char *text)
{
	union address address;

	memset(&address, 0, sizeof address);
	address.ip4.sin_family = AF_INET;
	address.ip4.sin_port = htons(53);
	if (inet_pton(AF_INET, text, &address.ip4.sin_addr) == 1)
		return address;
	address.ip6.sin6_family = AF_INET6;
	if (inet_pton(AF_INET6, text, &address.ip6.sin6_addr) != 1)
		die("address");
	return address;
}

/* Without SO_REUSEADDR: nobody else may have the port. */
static int bound(const union address *address, int type)
{
	int fd = socket(address->any.sa_family, type, 0);

	if (fd < 0 || bind(fd, &address->any, sizeof *address) < 0)
		die(type == SOCK_STREAM ? "bind TCP" : "bind UDP");
	return fd;
}

/* Reads exactly so much; false at the end. */
static int read_all(int fd, uint8_t *at, size_t length)
{
	while (length > 0) {
		ssize_t got = read(fd, at, length);

		if (got <= 0)
			return 0;
		at += got;
		length -= (size_t)got;
	}
	return 1;
}

static void write_all(int fd, const uint8_t *at, size_t length)
{
	while (length > 0) {
		ssize_t put = write(fd, at, length);

		if (put <= 0)
			return;
		at += put;
		length -= (size_t)put;
	}
}

static int serve_stream(int fd)
{
	size_t length;

	if (!read_all(fd, message, 2) || !read_all(fd, message + 2, get16(message)))
		return 0;
	length = answer(message + 2, get16(message), 1);
	put16(message, (unsigned)length);
	write_all(fd, message, 2 + length);
	return 1;
}

static void serve_datagram(int fd)
{
	union address client;
	socklen_t size = sizeof client;
	ssize_t got = recvfrom(fd, message, MESSAGE_MAX, 0, &client.any, &size);

	if (got > 0)
		(void)!sendto(fd, message, answer(message, (size_t)got, 0), 0, &client.any, size);
}

static _Noreturn void serve(const char *where)
{
	union address address = parse(where);
	struct pollfd slots[2 + CLIENTS];
	int udp = bound(&address, SOCK_DGRAM), tcp = bound(&address, SOCK_STREAM);

	if (listen(tcp, CLIENTS) < 0)
		die("listen");
	for (int i = 0; i < CLIENTS; i++)
		slots[2 + i].fd = -1;
	puts("ready");
	fflush(stdout);
	for (;;) {
		slots[0] = (struct pollfd){ udp, POLLIN, 0 };
		slots[1] = (struct pollfd){ tcp, POLLIN, 0 };
		for (int i = 2; i < 2 + CLIENTS; i++)
			slots[i].events = POLLIN;
		if (poll(slots, 2 + CLIENTS, -1) < 0)
			die("poll");
		if (slots[0].revents)
			serve_datagram(udp);
		for (int i = 2; i < 2 + CLIENTS; i++) {
			if (slots[i].fd < 0 || !slots[i].revents || serve_stream(slots[i].fd))
				continue;
			close(slots[i].fd);
			slots[i].fd = -1;
		}
		for (int i = 2; slots[1].revents && i < 2 + CLIENTS; i++) {
			if (slots[i].fd >= 0)
				continue;
			slots[i].fd = accept(tcp, NULL, NULL);
			break;
		}
	}
}

static size_t make_query(const char *name, unsigned id)
{
	uint8_t *at = message + 2;
	const char *label = name;

	memset(at, 0, 12);
	put16(at, id);
	put16(at + 2, 0x0100);
	put16(at + 4, 1);
	at += 12;
	while (*label) {
		size_t length = strcspn(label, ".");

		*at++ = (uint8_t)length;
		memcpy(at, label, length);
		at += length;
		label += length + (label[length] == '.');
	}
	*at++ = 0;
	put16(at, 1);
	put16(at + 2, 1);
	return (size_t)(at + 4 - (message + 2));
}

static unsigned port_of(const union address *address)
{
	return ntohs(address->any.sa_family == AF_INET ? address->ip4.sin_port : address->ip6.sin6_port);
}

static size_t receive(int fd, int by_tcp, int connected)
{
	struct pollfd slot = { fd, POLLIN, 0 };
	union address from;
	socklen_t size = sizeof from;
	ssize_t got;

	if (poll(&slot, 1, PATIENCE) <= 0)
		die("no answer");
	if (by_tcp) {
		if (!read_all(fd, message, 2) || !read_all(fd, message + 2, get16(message)))
			return 0;
		return get16(message);
	}
	got = recvfrom(fd, message + 2, MESSAGE_MAX, 0, &from.any, &size);
	if (got < 0)
		die("recv");
	if (!connected && port_of(&from) != 53)
		die("the answer's port");
	return (size_t)got;
}

static void describe(char *line, size_t size, size_t length)
{
	const uint8_t *got = message + 2;
	unsigned count = get16(got + 6);
	char text[INET_ADDRSTRLEN] = "";

	if (count > 0)
		inet_ntop(AF_INET, got + length - 4, text, sizeof text);
	snprintf(line, size, "rcode %u%s, %u addresses %s", get16(got + 2) & 15, get16(got + 2) & 0x0200 ? " truncated" : "",
		 count, text);
}

/* A socket that is used in that way; `connected` says whether it is connected. */
static int open_way(union address *server, const char *way, int *connected)
{
	union address peer;
	socklen_t size = sizeof peer;
	int fd;

	if (strcmp(way, "mapped") == 0) {
		union address mapped = { .ip6 = { .sin6_family = AF_INET6, .sin6_port = server->ip4.sin_port } };

		memset(mapped.ip6.sin6_addr.s6_addr + 10, 0xff, 2);
		memcpy(mapped.ip6.sin6_addr.s6_addr + 12, &server->ip4.sin_addr, 4);
		*server = mapped;
	}
	*connected = strcmp(way, "udp") == 0 || strcmp(way, "tcp") == 0;
	fd = socket(server->any.sa_family, strcmp(way, "tcp") == 0 ? SOCK_STREAM : SOCK_DGRAM, 0);
	if (fd < 0)
		die("socket");
	if (!*connected)
		return fd;
	if (connect(fd, &server->any, sizeof *server) < 0)
		die("connect");
	if (getpeername(fd, &peer.any, &size) < 0 || port_of(&peer) != 53)
		die("the peer's port");
	return fd;
}

static int ask(const char *where, const char *name, const char *way, unsigned times)
{
	union address server = parse(where);
	char lines[8][128];
	unsigned counts[8] = { 0 }, kinds = 0;
	static uint8_t seen[65536];
	int by_tcp = strcmp(way, "tcp") == 0, connected, fd = open_way(&server, way, &connected);

	for (unsigned i = 0; i < times; i++) {
		size_t length = make_query(name, 1 + i);

		put16(message, (unsigned)length);
		if (by_tcp)
			write_all(fd, message, length + 2);
		else if (sendto(fd, message + 2, length, 0, connected ? NULL : &server.any, connected ? 0 : sizeof server) < 0)
			die("send");
	}
	for (unsigned i = 0; i < times; i++) {
		char line[128];
		size_t length = receive(fd, by_tcp, connected);
		unsigned id, kind = 0;

		if (length < 12)
			die("the connection was closed");
		id = get16(message + 2);
		if (id < 1 || id > times || seen[id]++)
			die("an answer to nothing");
		describe(line, sizeof line, length);
		while (kind < kinds && strcmp(lines[kind], line) != 0)
			kind++;
		if (kind == 8)
			die("too many kinds of answers");
		if (kind == kinds)
			strcpy(lines[kinds++], line);
		counts[kind]++;
	}
	for (unsigned i = 0; i < kinds; i++)
		printf("%u: %s\n", counts[i], lines[i]);
	return 0;
}

int main(int count, char *arguments[])
{
	if (count == 3 && strcmp(arguments[1], "serve") == 0)
		serve(arguments[2]);
	if (count == 6 && strcmp(arguments[1], "ask") == 0)
		return ask(arguments[2], arguments[3], arguments[4], (unsigned)atoi(arguments[5]));
	fputs("usage: name-tool serve ADDRESS | ask ADDRESS NAME WAY N\n", stderr);
	return 2;
}
