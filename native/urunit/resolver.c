#include "resolver.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "redirect.h"
#include "resolver_record.h"

/*
 * Where the agent listens: above the ports that the kernel gives out (up to 60,999), so that nobody else is there. Port
 * 53 must stay free: a container may serve names itself, on all addresses.
 */
#define PORT_FIRST 61053u
#define PORT_LAST 61152u
#define BACKLOG 64
/* Datagrams taken in one go, so that the rest of the agent has its turn. */
#define DATAGRAMS 16
/* RFC 1035, 4.1.1 and 4.1.2: a header, a name of 255 bytes, type and class. */
#define QUESTION_MAX (URUNC_DNS_LEAST + 255u + 4u)
#define LENGTH_BYTES 2u

struct exchange {
	uint32_t id; /* 0: a free place */
	unsigned resolver;
	union urunc_resolver client;
	/* Header and question of the message, for an answer that says that there is none. */
	uint16_t length;
	uint8_t question[QUESTION_MAX];
};

struct connection {
	int fd; /* -1: a free place */
	unsigned resolver;
	enum { CONNECTION_READS, CONNECTION_ASKS, CONNECTION_AWAITS, CONNECTION_WRITES } step;
	uint32_t id; /* of the exchange */
	size_t length; /* bytes in the buffer */
	size_t written;
	uint64_t last; /* turn */
	uint8_t *buffer; /* mapped: the message's length, then the message */
};

static struct resolver {
	unsigned count;
	union urunc_resolver addresses[URUNC_RESOLVERS_MAX];
	int datagrams[URUNC_RESOLVERS_MAX];
	int listeners[URUNC_RESOLVERS_MAX];
	size_t awaited_room; /* of the channel, for a datagram that did not fit */
	uint32_t last_id;
	unsigned oldest; /* exchange */
	uint64_t turn;
	struct exchange exchanges[URUNC_EXCHANGES_UDP];
	struct connection connections[RESOLVER_CONNECTIONS];
} resolver;

static uint16_t get16_network(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16_network(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint32_t new_id(void)
{
	if (++resolver.last_id == 0)
		resolver.last_id = 1;
	return resolver.last_id;
}

/* Listening. */

static int open_socket(const union urunc_resolver *address, int type)
{
	int fd = socket(address->any.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (bind(fd, &address->any, urunc_resolver_size(address)) == 0 && (type != SOCK_STREAM || listen(fd, BACKLOG) == 0))
		return fd;
	(void)close(fd);
	return -1;
}

static void close_all(void)
{
	unsigned i;

	for (i = 0; i < resolver.count; i++) {
		if (resolver.datagrams[i] >= 0)
			(void)close(resolver.datagrams[i]);
		if (resolver.listeners[i] >= 0)
			(void)close(resolver.listeners[i]);
	}
}

/* The same port on every address. */
static bool listen_at(uint16_t port)
{
	bool done = true;
	unsigned i;

	for (i = 0; i < resolver.count; i++) {
		urunc_resolver_set_port(&resolver.addresses[i], port);
		resolver.datagrams[i] = open_socket(&resolver.addresses[i], SOCK_DGRAM);
		resolver.listeners[i] = open_socket(&resolver.addresses[i], SOCK_STREAM);
		done = done && resolver.datagrams[i] >= 0 && resolver.listeners[i] >= 0;
	}
	if (!done)
		close_all();
	return done;
}

static bool read_addresses(struct urunc_records machine, struct failure *failure)
{
	struct urunc_record record;

	while (urunc_record_next(&machine, &record) == URUNC_RECORD_OK) {
		if (record.tag != URUNC_RESOLVER)
			continue;
		if (resolver.count == URUNC_RESOLVERS_MAX ||
		    !urunc_resolver_read(&record, &resolver.addresses[resolver.count]))
			return fail(failure, STATUS_OTHER, "a resolver is not a valid record");
		resolver.count++;
	}
	return true;
}

bool resolver_start(struct urunc_records machine, struct failure *failure)
{
	uint16_t port = PORT_FIRST;
	unsigned i;

	memset(&resolver, 0, sizeof(resolver));
	for (i = 0; i < RESOLVER_CONNECTIONS; i++)
		resolver.connections[i].fd = -1;
	if (!read_addresses(machine, failure))
		return false;
	if (resolver.count == 0)
		return true;
	while (!listen_at(port))
		if (++port > PORT_LAST)
			return fail_errno(failure, STATUS_OTHER, "listening for questions about names");
	return redirect_port(resolver.addresses, resolver.count, URUNC_DNS_PORT, port, failure);
}

/* To the host. The channel has room for it. */
static void send_query(struct channel *channel, uint32_t id, unsigned which, uint8_t flags, const uint8_t *message,
		       size_t length)
{
	static uint8_t payload[URUNC_DNS_HEADER + URUNC_DNS_QUERY_MAX];

	urunc_put32(payload, id);
	payload[4] = (uint8_t)which;
	payload[5] = flags;
	urunc_put16(payload + 6, 0);
	memcpy(payload + URUNC_DNS_HEADER, message, length);
	(void)channel_send(channel, urunc_stream(0, URUNC_CONTROL), URUNC_DNS_QUERY, payload, URUNC_DNS_HEADER + length);
}

static bool has_room(const struct channel *channel, size_t message)
{
	return channel_room(channel) >= URUNC_DNS_HEADER + message;
}

/* Datagrams. */

/* Where the question of a message ends; 0: it has not exactly one, in full. */
static size_t question_end(const uint8_t *message, size_t length)
{
	size_t at = URUNC_DNS_LEAST;

	if (get16_network(message + 4) != 1)
		return 0;
	while (at < length && message[at] != 0 && message[at] < 64)
		at += 1u + message[at];
	at += 1 + 4;
	return at <= length && at <= QUESTION_MAX && message[at - 5] == 0 ? at : 0;
}

static void note_exchange(unsigned which, const union urunc_resolver *client, const uint8_t *message, size_t length)
{
	struct exchange *exchange = &resolver.exchanges[resolver.oldest];
	size_t end = question_end(message, length);

	resolver.oldest = (resolver.oldest + 1) % URUNC_EXCHANGES_UDP;
	exchange->id = new_id();
	exchange->resolver = which;
	exchange->client = *client;
	exchange->length = (uint16_t)end;
	memcpy(exchange->question, message, end);
}

/* True: there may be more. */
static bool take_datagram(struct channel *channel, unsigned which)
{
	static uint8_t message[URUNC_DNS_QUERY_MAX];
	union urunc_resolver client;
	socklen_t size = sizeof(client);
	ssize_t length = recv(resolver.datagrams[which], message, 0, MSG_PEEK | MSG_TRUNC);

	/* What is too long or too short for the host is dropped, as any resolver may. */
	if (length >= (ssize_t)URUNC_DNS_LEAST && length <= (ssize_t)URUNC_DNS_QUERY_MAX &&
	    !has_room(channel, (size_t)length)) {
		if (resolver.awaited_room < (size_t)length)
			resolver.awaited_room = (size_t)length;
		return false;
	}
	memset(&client, 0, sizeof(client));
	length = recvfrom(resolver.datagrams[which], message, sizeof(message), MSG_TRUNC, &client.any, &size);
	if (length < 0)
		return errno == EINTR;
	if (length < (ssize_t)URUNC_DNS_LEAST || length > (ssize_t)URUNC_DNS_QUERY_MAX)
		return true;
	note_exchange(which, &client, message, (size_t)length);
	send_query(channel, resolver.last_id, which, 0, message, (size_t)length);
	return true;
}

static void take_datagrams(struct channel *channel, unsigned which)
{
	int i;

	for (i = 0; i < DATAGRAMS; i++)
		if (!take_datagram(channel, which))
			return;
}

/* "Server failure" (RFC 1035, 4.1.1): the client may go on to another resolver at once. */
static size_t server_failure(struct exchange *exchange)
{
	uint8_t *header = exchange->question;

	header[2] = (uint8_t)((header[2] & 0x79) | 0x80); /* a response to the same kind of query */
	header[3] = 0x80 | 2;
	memset(header + 6, 0, URUNC_DNS_LEAST - 6);
	return exchange->length;
}

/* True if it was an exchange by a datagram. */
static bool answer_datagram(uint32_t id, const uint8_t *message, size_t length, bool more)
{
	struct exchange *exchange = resolver.exchanges;
	struct exchange *end = exchange + URUNC_EXCHANGES_UDP;

	while (exchange < end && exchange->id != id)
		exchange++;
	if (exchange == end)
		return false;
	exchange->id = 0;
	if (length == 0) {
		message = exchange->question;
		length = server_failure(exchange);
	}
	/* A datagram comes in one piece; a client that is gone, or takes nothing, goes without. */
	if (length > 0 && !more)
		(void)sendto(resolver.datagrams[exchange->resolver], message, length, MSG_DONTWAIT | MSG_NOSIGNAL,
			     &exchange->client.any, urunc_resolver_size(&exchange->client));
	return true;
}

/* Connections. */

static void hang_up(struct connection *connection)
{
	if (connection->fd >= 0)
		(void)close(connection->fd);
	if (connection->buffer)
		(void)munmap(connection->buffer, LENGTH_BYTES + URUNC_DNS_ANSWER_MAX);
	*connection = (struct connection){ .fd = -1 };
}

static struct connection *free_connection(void)
{
	struct connection *best = resolver.connections;
	unsigned i;

	for (i = 0; i < RESOLVER_CONNECTIONS; i++) {
		struct connection *each = &resolver.connections[i];

		if (each->fd < 0)
			return each;
		if (each->last < best->last)
			best = each;
	}
	hang_up(best);
	return best;
}

static void accept_connections(unsigned which)
{
	int i;

	for (i = 0; i < DATAGRAMS; i++) {
		int fd = accept4(resolver.listeners[which], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		struct connection *connection;
		void *buffer;

		if (fd < 0)
			return;
		connection = free_connection();
		*connection = (struct connection){ .fd = fd, .resolver = which, .last = ++resolver.turn };
		buffer = mmap(NULL, LENGTH_BYTES + URUNC_DNS_ANSWER_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
		if (buffer == MAP_FAILED)
			hang_up(connection);
		else
			connection->buffer = buffer;
	}
}

/* Of the message that is being read, as far as it is known. */
static size_t wanted_length(const struct connection *connection)
{
	return connection->length < LENGTH_BYTES ? LENGTH_BYTES : LENGTH_BYTES + get16_network(connection->buffer);
}

/* No further than to the message's end: the next one is taken when this one is answered. */
static void read_connection(struct connection *connection)
{
	while (connection->step == CONNECTION_READS) {
		size_t wanted = wanted_length(connection);
		ssize_t got = recv(connection->fd, connection->buffer + connection->length, wanted - connection->length, 0);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			hang_up(connection);
			return;
		}
		connection->length += (size_t)got;
		wanted = wanted_length(connection);
		if (wanted > LENGTH_BYTES + URUNC_DNS_QUERY_MAX ||
		    (connection->length >= LENGTH_BYTES && wanted < LENGTH_BYTES + URUNC_DNS_LEAST)) {
			hang_up(connection);
			return;
		}
		if (connection->length == wanted)
			connection->step = CONNECTION_ASKS;
	}
}

static void write_connection(struct connection *connection)
{
	while (connection->written < connection->length) {
		ssize_t put = send(connection->fd, connection->buffer + connection->written,
				   connection->length - connection->written, MSG_NOSIGNAL);

		if (put < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (put < 0) {
			hang_up(connection);
			return;
		}
		connection->written += (size_t)put;
	}
	connection->step = CONNECTION_READS;
	connection->length = 0;
	connection->written = 0;
}

static unsigned awaiting(void)
{
	unsigned count = 0;
	unsigned i;

	for (i = 0; i < RESOLVER_CONNECTIONS; i++)
		if (resolver.connections[i].fd >= 0 && resolver.connections[i].step == CONNECTION_AWAITS)
			count++;
	return count;
}

/* As soon as the channel has room, and the host takes another exchange. */
static void ask(struct channel *channel, struct connection *connection)
{
	size_t length = connection->length - LENGTH_BYTES;

	if (!has_room(channel, length) || awaiting() >= URUNC_EXCHANGES_TCP)
		return;
	connection->id = new_id();
	send_query(channel, connection->id, connection->resolver, URUNC_DNS_BY_TCP, connection->buffer + LENGTH_BYTES, length);
	connection->step = CONNECTION_AWAITS;
	connection->length = LENGTH_BYTES;
}

static void serve_connection(struct channel *channel, struct connection *connection, short events)
{
	if (events)
		connection->last = ++resolver.turn;
	if (events & (POLLERR | POLLNVAL) || (events & POLLHUP && connection->step >= CONNECTION_AWAITS)) {
		hang_up(connection);
		return;
	}
	if (events && connection->step == CONNECTION_READS)
		read_connection(connection);
	if (connection->fd >= 0 && connection->step == CONNECTION_ASKS)
		ask(channel, connection);
	if (connection->fd >= 0 && connection->step == CONNECTION_WRITES)
		write_connection(connection);
}

static void answer_connection(uint32_t id, const uint8_t *part, size_t length, bool more)
{
	struct connection *connection = resolver.connections;
	struct connection *end = connection + RESOLVER_CONNECTIONS;
	size_t whole;

	while (connection < end &&
	       (connection->fd < 0 || connection->step != CONNECTION_AWAITS || connection->id != id))
		connection++;
	/* It has been closed meanwhile. */
	if (connection == end)
		return;
	whole = connection->length + length;
	if (whole > LENGTH_BYTES + URUNC_DNS_ANSWER_MAX || (!more && whole < LENGTH_BYTES + URUNC_DNS_LEAST)) {
		hang_up(connection);
		return;
	}
	memcpy(connection->buffer + connection->length, part, length);
	connection->length = whole;
	if (more)
		return;
	put16_network(connection->buffer, whole - LENGTH_BYTES);
	connection->step = CONNECTION_WRITES;
}

bool resolver_answer(const struct urunc_frame *frame, const uint8_t *payload)
{
	uint32_t id;
	size_t length;
	bool more;

	if (frame->length < URUNC_DNS_HEADER || payload[4] & ~URUNC_DNS_MORE)
		return false;
	id = urunc_get32(payload);
	length = frame->length - URUNC_DNS_HEADER;
	more = payload[4] & URUNC_DNS_MORE;
	if (id != 0 && !answer_datagram(id, payload + URUNC_DNS_HEADER, length, more))
		answer_connection(id, payload + URUNC_DNS_HEADER, length, more);
	return true;
}

/* The loop's side. */

static short connection_events(const struct connection *connection)
{
	return connection->step == CONNECTION_READS ? POLLIN : connection->step == CONNECTION_WRITES ? POLLOUT : 0;
}

void resolver_poll(const struct channel *channel, struct pollfd slots[RESOLVER_SLOTS])
{
	bool room = has_room(channel, resolver.awaited_room);
	unsigned i;

	for (i = 0; i < URUNC_RESOLVERS_MAX; i++) {
		bool used = i < resolver.count;

		slots[2 * i] = (struct pollfd){ .fd = used && room ? resolver.datagrams[i] : -1, .events = POLLIN };
		slots[2 * i + 1] = (struct pollfd){ .fd = used ? resolver.listeners[i] : -1, .events = POLLIN };
	}
	for (i = 0; i < RESOLVER_CONNECTIONS; i++) {
		const struct connection *connection = &resolver.connections[i];

		slots[2 * URUNC_RESOLVERS_MAX + i] = (struct pollfd){
			.fd = resolver.count > 0 && connection->step != CONNECTION_ASKS ? connection->fd : -1,
			.events = connection_events(connection),
		};
	}
}

void resolver_serve(struct channel *channel, const struct pollfd slots[RESOLVER_SLOTS])
{
	unsigned i;

	if (resolver.count == 0)
		return;
	if (has_room(channel, resolver.awaited_room))
		resolver.awaited_room = 0;
	for (i = 0; i < resolver.count; i++)
		if (slots[2 * i].revents)
			take_datagrams(channel, i);
	/* Before further ones are accepted, as the events are of these. */
	for (i = 0; i < RESOLVER_CONNECTIONS; i++)
		if (resolver.connections[i].fd >= 0)
			serve_connection(channel, &resolver.connections[i], slots[2 * URUNC_RESOLVERS_MAX + i].revents);
	for (i = 0; i < resolver.count; i++)
		if (slots[2 * i + 1].revents)
			accept_connections(i);
}
