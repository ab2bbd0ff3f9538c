#include "resolver.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

/* Milliseconds from a query to the last byte of its answer. A resolver that asks others itself gives up earlier. */
#define PATIENCE 20000
#define LENGTH_BYTES 2u
#define AREA (LENGTH_BYTES + URUNC_DNS_ANSWER_MAX)
#define PART_MAX (URUNC_PAYLOAD_MAX - URUNC_DNS_HEADER)
/* RFC 1035, 4.1.1: the bits of the third byte. */
#define RESPONSE 0x80
#define TRUNCATED 0x02
/* Datagrams that are no answers, in one go. */
#define STRAYS 32

static uint16_t get16_network(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16_network(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static int open_datagrams(const union urunc_resolver *address)
{
	int fd = socket(address->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* Connected: the kernel lets in answers of this resolver alone. */
	if (fd < 0 || connect(fd, &address->any, urunc_resolver_size(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

void resolver_open(struct resolver *resolver, const union urunc_resolver *addresses, unsigned int count)
{
	memset(resolver, 0, sizeof *resolver);
	resolver->count = count;
	for (unsigned int i = 0; i < count; i++) {
		resolver->addresses[i] = addresses[i];
		resolver->sockets[i] = open_datagrams(&addresses[i]);
	}
}

static void refuse(struct resolver *resolver, uint32_t exchange)
{
	if (resolver->refusal_count == RESOLVER_REFUSALS)
		return;
	resolver->refusals[(resolver->refusal_first + resolver->refusal_count) % RESOLVER_REFUSALS] = exchange;
	resolver->refusal_count++;
}

/* Datagrams. */

static uint8_t lower(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 'a' - 'A') : byte;
}

/*
 * Where the question ends (RFC 1035, 4.1.2), 0 if there is not exactly one, and a sum of it (FNV-1a) that is not 0.
 * Resolvers may change the case of letters.
 */
static size_t read_question(const uint8_t *message, size_t length, uint32_t *sum)
{
	size_t at = URUNC_DNS_LEAST, end;

	if (get16_network(message + 4) != 1)
		return 0;
	while (at < length && message[at] != 0 && message[at] < 64)
		at += 1u + message[at];
	end = at + 1 + 4;
	if (end > length || message[at] != 0)
		return 0;
	*sum = 2166136261u;
	for (at = URUNC_DNS_LEAST; at < end; at++)
		*sum = (*sum ^ lower(message[at])) * 16777619u;
	if (*sum == 0)
		*sum = 1;
	return end;
}

static struct resolver_datagram *find_datagram(struct resolver *resolver, unsigned int which, uint16_t id)
{
	for (unsigned int i = 0; i < URUNC_EXCHANGES_UDP; i++) {
		struct resolver_datagram *each = &resolver->datagrams[i];

		if (each->used && each->which == which && each->id == id)
			return each;
	}
	return NULL;
}

/* One that nobody can guess, and that no exchange has. There are many more of them than exchanges. */
static bool choose_id(struct resolver *resolver, unsigned int which, uint16_t *id)
{
	do {
		if (getrandom(id, sizeof *id, GRND_NONBLOCK) != (ssize_t)sizeof *id)
			return false;
	} while (find_datagram(resolver, which, *id));
	return true;
}

static void refuse_all(struct resolver *resolver, unsigned int which)
{
	for (unsigned int i = 0; i < URUNC_EXCHANGES_UDP; i++) {
		struct resolver_datagram *each = &resolver->datagrams[i];

		if (!each->used || each->which != which)
			continue;
		each->used = false;
		refuse(resolver, each->exchange);
	}
}

static void send_datagram(struct resolver *resolver, unsigned int which, uint32_t exchange, const uint8_t *query,
			  size_t length)
{
	struct resolver_datagram *place = &resolver->datagrams[resolver->oldest];
	uint8_t message[URUNC_DNS_QUERY_MAX];
	uint32_t question = 0;
	uint16_t id;

	if (resolver->sockets[which] < 0 || !choose_id(resolver, which, &id)) {
		refuse(resolver, exchange);
		return;
	}
	if (read_question(query, length, &question) == 0)
		question = 0;
	resolver->oldest = (resolver->oldest + 1) % URUNC_EXCHANGES_UDP;
	*place = (struct resolver_datagram){
		.used = true, .which = (uint8_t)which, .id = id, .guest_id = get16_network(query), .exchange = exchange,
		.question = question,
	};
	memcpy(message, query, length);
	put16_network(message, id);
	if (send(resolver->sockets[which], message, length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return;
	place->used = false;
	/* It tells of an earlier datagram that nobody listens; this one has not gone. */
	if (errno == ECONNREFUSED) {
		refuse_all(resolver, which);
		place->used = send(resolver->sockets[which], message, length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
	}
	if (!place->used)
		refuse(resolver, exchange);
}

/* Too long for a frame: the client is told to ask by TCP. What is left of the message; 0: nothing sensible. */
static size_t truncate_message(uint8_t *message, size_t length)
{
	uint32_t sum;

	message[2] |= TRUNCATED;
	memset(message + 6, 0, URUNC_DNS_LEAST - 6);
	return read_question(message, length, &sum);
}

/* The exchange that a message answers, if it does; what remains is the guest's own identifier. */
static struct resolver_datagram *match(struct resolver *resolver, unsigned int which, const uint8_t *message, size_t length)
{
	struct resolver_datagram *datagram;
	uint32_t question;

	if (length < URUNC_DNS_LEAST || !(message[2] & RESPONSE))
		return NULL;
	datagram = find_datagram(resolver, which, get16_network(message));
	if (!datagram)
		return NULL;
	/* A resolver that could not read the query may leave the question out. */
	if (datagram->question != 0 && get16_network(message + 4) != 0 &&
	    (read_question(message, length, &question) == 0 || question != datagram->question))
		return NULL;
	return datagram;
}

/* Directly into the frame that goes to the guest. False: there is none. */
static bool put_datagram(struct resolver *resolver, unsigned int which, struct session *session)
{
	uint8_t *message = session_answer_at(session);

	for (int i = 0; i < STRAYS; i++) {
		ssize_t got = recv(resolver->sockets[which], message, PART_MAX, MSG_DONTWAIT | MSG_TRUNC);
		size_t length = got < 0 ? 0 : (size_t)got;
		struct resolver_datagram *datagram;

		if (got < 0) {
			resolver->readable[which] = false;
			if (errno == ECONNREFUSED)
				refuse_all(resolver, which);
			return false;
		}
		datagram = match(resolver, which, message, length < PART_MAX ? length : PART_MAX);
		if (!datagram)
			continue;
		if (length > PART_MAX)
			length = truncate_message(message, PART_MAX);
		put16_network(message, datagram->guest_id);
		datagram->used = false;
		session_answer(session, datagram->exchange, length, false);
		return true;
	}
	resolver->readable[which] = false;
	return false;
}

/* Connections. */

static void forget(struct resolver_connection *connection)
{
	if (connection->socket >= 0)
		close(connection->socket);
	if (connection->area)
		munmap(connection->area, AREA);
	memset(connection, 0, sizeof *connection);
}

static void give_up(struct resolver *resolver, struct resolver_connection *connection)
{
	refuse(resolver, connection->exchange);
	forget(connection);
}

/* True: it is under way. */
static bool begin_connection(struct resolver_connection *connection, const union urunc_resolver *address)
{
	void *area;

	connection->socket = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (connection->socket < 0)
		return false;
	area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return false;
	connection->area = area;
	return connect(connection->socket, &address->any, urunc_resolver_size(address)) == 0 || errno == EINPROGRESS;
}

static void open_connection(struct resolver *resolver, unsigned int which, uint32_t exchange, const uint8_t *query,
			    size_t length, int64_t now)
{
	unsigned int i = 0;
	struct resolver_connection *connection;

	while (i < URUNC_EXCHANGES_TCP && resolver->connections[i].step != RESOLVER_FREE)
		i++;
	if (i == URUNC_EXCHANGES_TCP) {
		refuse(resolver, exchange);
		return;
	}
	connection = &resolver->connections[i];
	connection->step = RESOLVER_SENDS;
	connection->exchange = exchange;
	connection->deadline = now + PATIENCE;
	if (!begin_connection(connection, &resolver->addresses[which])) {
		give_up(resolver, connection);
		return;
	}
	put16_network(connection->area, length);
	memcpy(connection->area + LENGTH_BYTES, query, length);
	connection->length = LENGTH_BYTES + length;
}

/* The following two: false if the connection is of no use any more. */

static bool send_query(struct resolver_connection *connection)
{
	while (connection->passed < connection->length) {
		ssize_t sent = send(connection->socket, connection->area + connection->passed,
				    connection->length - connection->passed, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0)
			return errno == EAGAIN || errno == EINTR;
		connection->passed += (size_t)sent;
	}
	connection->step = RESOLVER_RECEIVES;
	connection->length = connection->passed = 0;
	return true;
}

static bool receive_answer(struct resolver_connection *connection)
{
	for (;;) {
		size_t wanted = LENGTH_BYTES;
		ssize_t got;

		if (connection->length >= LENGTH_BYTES)
			wanted += get16_network(connection->area);
		if (connection->length >= LENGTH_BYTES && wanted < LENGTH_BYTES + URUNC_DNS_LEAST)
			return false;
		if (connection->length == wanted)
			break;
		got = recv(connection->socket, connection->area + connection->length, wanted - connection->length,
			   MSG_DONTWAIT);
		if (got < 0)
			return errno == EAGAIN || errno == EINTR;
		if (got == 0)
			return false;
		connection->length += (size_t)got;
	}
	connection->step = RESOLVER_ANSWERS;
	connection->passed = LENGTH_BYTES;
	close(connection->socket);
	connection->socket = -1;
	return true;
}

static void serve_connection(struct resolver *resolver, struct resolver_connection *connection, short events, int64_t now)
{
	bool good = true;

	if (connection->step == RESOLVER_SENDS && events)
		good = send_query(connection);
	if (good && connection->step == RESOLVER_RECEIVES && events)
		good = receive_answer(connection);
	if (connection->step != RESOLVER_ANSWERS && now >= connection->deadline)
		good = false;
	if (!good)
		give_up(resolver, connection);
}

static void put_part(struct resolver_connection *connection, struct session *session)
{
	size_t left = connection->length - connection->passed;
	size_t length = left < PART_MAX ? left : PART_MAX;

	memcpy(session_answer_at(session), connection->area + connection->passed, length);
	session_answer(session, connection->exchange, length, length < left);
	connection->passed += length;
	if (length == left)
		forget(connection);
}

static bool put_connection(struct resolver *resolver, struct session *session)
{
	for (unsigned int i = 1; i <= URUNC_EXCHANGES_TCP; i++) {
		unsigned int which = (resolver->last + i) % URUNC_EXCHANGES_TCP;

		if (resolver->connections[which].step != RESOLVER_ANSWERS)
			continue;
		resolver->last = which;
		put_part(&resolver->connections[which], session);
		return true;
	}
	return false;
}

/* The loop's side. */

void resolver_query(struct resolver *resolver, const struct session_event *event, int64_t now)
{
	const uint8_t *query = event->bytes + URUNC_DNS_HEADER;
	size_t length = event->length - URUNC_DNS_HEADER;
	unsigned int which = event->bytes[4];

	if (event->bytes[5] & URUNC_DNS_BY_TCP)
		open_connection(resolver, which, event->number, query, length, now);
	else
		send_datagram(resolver, which, event->number, query, length);
}

void resolver_choose(const struct resolver *resolver, struct pollfd slots[RESOLVER_SLOTS])
{
	for (unsigned int i = 0; i < URUNC_RESOLVERS_MAX; i++) {
		/* What is known to be there is not asked for again: it waits for room towards the guest. */
		bool asks = i < resolver->count && !resolver->readable[i];

		slots[i] = (struct pollfd){ asks ? resolver->sockets[i] : -1, POLLIN, 0 };
	}
	for (unsigned int i = 0; i < URUNC_EXCHANGES_TCP; i++) {
		const struct resolver_connection *connection = &resolver->connections[i];
		bool active = connection->step == RESOLVER_SENDS || connection->step == RESOLVER_RECEIVES;

		slots[URUNC_RESOLVERS_MAX + i] = (struct pollfd){
			active ? connection->socket : -1, connection->step == RESOLVER_SENDS ? POLLOUT : POLLIN, 0,
		};
	}
}

void resolver_serve(struct resolver *resolver, const struct pollfd slots[RESOLVER_SLOTS], int64_t now)
{
	for (unsigned int i = 0; i < resolver->count; i++)
		if (slots[i].revents)
			resolver->readable[i] = true;
	for (unsigned int i = 0; i < URUNC_EXCHANGES_TCP; i++)
		if (resolver->connections[i].step != RESOLVER_FREE)
			serve_connection(resolver, &resolver->connections[i], slots[URUNC_RESOLVERS_MAX + i].revents, now);
}

int64_t resolver_deadline(const struct resolver *resolver)
{
	int64_t first = INT64_MAX;

	for (unsigned int i = 0; i < URUNC_EXCHANGES_TCP; i++) {
		const struct resolver_connection *connection = &resolver->connections[i];
		bool active = connection->step == RESOLVER_SENDS || connection->step == RESOLVER_RECEIVES;

		if (active && connection->deadline < first)
			first = connection->deadline;
	}
	return first;
}

bool resolver_waits(const struct resolver *resolver)
{
	for (unsigned int i = 0; i < resolver->count; i++)
		if (resolver->readable[i])
			return true;
	for (unsigned int i = 0; i < URUNC_EXCHANGES_TCP; i++)
		if (resolver->connections[i].step == RESOLVER_ANSWERS)
			return true;
	return resolver->refusal_count > 0;
}

bool resolver_put(struct resolver *resolver, struct session *session)
{
	if (!session_room(session))
		return false;
	for (unsigned int i = 0; i < resolver->count; i++)
		if (resolver->readable[i] && put_datagram(resolver, i, session))
			return true;
	if (put_connection(resolver, session))
		return true;
	if (resolver->refusal_count == 0)
		return false;
	session_answer(session, resolver->refusals[resolver->refusal_first], 0, false);
	resolver->refusal_first = (resolver->refusal_first + 1) % RESOLVER_REFUSALS;
	resolver->refusal_count--;
	return true;
}
