/*
 * The vsock of Firecracker and Cloud Hypervisor, for QEMU: a device by vhost-user whose other end is unix sockets. Where the
 * guest connects to port P of the host, it connects to the unix socket PATH_P; who connects to PATH and writes "CONNECT P\n"
 * is connected to port P of the guest, and reads "OK NUMBER\n" (Firecracker, docs/vsock.md). It keeps to the credit of
 * both ends (Virtual I/O Device 1.2, 5.10.6.3).
 *
 *   vsock-device PATH CID FD PROGRAM [ARGUMENT]...
 *
 * becomes PROGRAM, whose descriptor FD is the vhost-user socket. The device itself is a child, and ends with that socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "vhost-user.h"

enum operation { REQUEST = 1, RESPONSE, RESET, SHUTDOWN, DATA, CREDIT, ASK_CREDIT };
enum { NO_MORE_TAKEN = 1, NO_MORE_SENT = 2 };
enum { STREAM = 1, HOST = 2 };
/* Queues, by the guest's view. */
enum { RECEIVE, SEND, QUEUES };

#define LINKS 256
#define HELD 65536u
#define REFUSALS 128u
#define FIRST_HOST_PORT (1u << 30)

struct packet {
	uint64_t source_cid, target_cid;
	uint32_t source_port, target_port, length;
	uint16_t type, operation;
	uint32_t flags, allocated, forwarded;
} __attribute__((packed));

enum state { FREE, GREETING, ASKED, OPEN };

struct link {
	enum state state;
	int fd;
	uint32_t host_port, guest_port;
	unsigned say; /* operations that the guest is to be told, by bit */
	/* To the guest: what it has room for, and how much it has got. */
	uint32_t room, taken, sent;
	bool readable, ended;
	/* From the guest. */
	uint8_t held[HELD];
	uint32_t start, length, forwarded, told, done;
	/* Of who connects to PATH. */
	char line[32];
	size_t line_length;
};

static struct link links[LINKS];
static struct {
	uint32_t host_port, guest_port;
} refusals[REFUSALS];
static unsigned refused;
static unsigned turn;
static uint32_t next_host_port = FIRST_HOST_PORT;
static const char *path;
static uint64_t cid;

static struct link *find(uint32_t host_port, uint32_t guest_port)
{
	for (unsigned i = 0; i < LINKS; i++)
		if (links[i].state >= ASKED && links[i].host_port == host_port && links[i].guest_port == guest_port)
			return &links[i];
	return NULL;
}

static struct link *add(enum state state, int fd)
{
	for (unsigned i = 0; i < LINKS; i++)
		if (links[i].state == FREE) {
			links[i] = (struct link){ .state = state, .fd = fd };
			return &links[i];
		}
	close(fd);
	return NULL;
}

/* Nothing more goes to or from the unix socket; the guest is told. */
static void hang_up(struct link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
	link->length = 0;
	link->say = 1u << RESET;
}

static void forget(struct link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	link->state = FREE;
}

static void forget_all(void)
{
	for (unsigned i = 0; i < LINKS; i++)
		if (links[i].state != FREE)
			forget(&links[i]);
	refused = 0;
}

static void refuse(uint32_t host_port, uint32_t guest_port)
{
	refusals[refused].host_port = host_port;
	refusals[refused++].guest_port = guest_port;
}

static bool address_of(struct sockaddr_un *address, const char *format, uint32_t port)
{
	int length = snprintf(address->sun_path, sizeof address->sun_path, format, path, port);

	address->sun_family = AF_UNIX;
	return length > 0 && (size_t)length < sizeof address->sun_path;
}

/* The guest's side: packets from it. */

static void connect_host(const struct packet *packet)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	struct link *link = NULL;

	if (fd >= 0 && address_of(&address, "%s_%u", packet->target_port) &&
	    connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		link = add(OPEN, fd);
	else if (fd >= 0)
		close(fd);
	if (!link) {
		refuse(packet->target_port, packet->source_port);
		return;
	}
	link->host_port = packet->target_port;
	link->guest_port = packet->source_port;
	link->room = packet->allocated;
	link->taken = packet->forwarded;
	link->say = 1u << RESPONSE;
}

static void flush(struct link *link)
{
	while (link->length > 0 && link->fd >= 0) {
		uint32_t part = link->start + link->length > HELD ? HELD - link->start : link->length;
		ssize_t put = send(link->fd, link->held + link->start, part, MSG_NOSIGNAL);

		if (put < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (put < 0) {
			hang_up(link);
			return;
		}
		link->start = (link->start + (uint32_t)put) % HELD;
		link->length -= (uint32_t)put;
		link->forwarded += (uint32_t)put;
		if (link->forwarded - link->told >= HELD / 4)
			link->say |= 1u << CREDIT;
	}
	if (link->fd >= 0 && link->done == (NO_MORE_TAKEN | NO_MORE_SENT))
		hang_up(link);
	else if (link->fd >= 0 && link->done & NO_MORE_SENT)
		shutdown(link->fd, SHUT_WR);
}

/* What does not fit was sent without credit. */
static void hold(struct link *link, const uint8_t *bytes, uint32_t length)
{
	if (link->fd < 0)
		return;
	if (length > HELD - link->length || link->done & NO_MORE_SENT) {
		hang_up(link);
		return;
	}
	for (uint32_t i = 0; i < length; i++)
		link->held[(link->start + link->length + i) % HELD] = bytes[i];
	link->length += length;
	flush(link);
}

static void answer_host(struct link *link)
{
	char text[32];

	if (link->state != ASKED) {
		hang_up(link);
		return;
	}
	link->state = OPEN;
	snprintf(text, sizeof text, "OK %u\n", link->host_port);
	if (send(link->fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		hang_up(link);
}

static void take_packet(const struct packet *packet, const uint8_t *bytes)
{
	struct link *link = find(packet->target_port, packet->source_port);

	if (packet->target_cid != HOST || packet->source_cid != cid || packet->type != STREAM)
		return;
	if (!link && packet->operation == REQUEST) {
		connect_host(packet);
		return;
	}
	if (!link) {
		if (packet->operation != RESET)
			refuse(packet->target_port, packet->source_port);
		return;
	}
	link->room = packet->allocated;
	link->taken = packet->forwarded;
	switch (packet->operation) {
	case RESPONSE:
		answer_host(link);
		break;
	case RESET:
		forget(link);
		break;
	case SHUTDOWN:
		link->done |= packet->flags & (NO_MORE_TAKEN | NO_MORE_SENT);
		flush(link);
		break;
	case DATA:
		hold(link, bytes, packet->length);
		break;
	case ASK_CREDIT:
		link->say |= 1u << CREDIT;
		break;
	case CREDIT:
		break;
	default:
		hang_up(link);
	}
}

/* False: there is none now. */
static bool take_from_guest(struct ring *ring)
{
	static uint8_t bytes[sizeof(struct packet) + HELD];
	struct packet packet;
	struct chain chain;
	size_t length;

	if (refused == REFUSALS || !ring_peek(ring, &chain))
		return false;
	length = chain_read(&chain, bytes, sizeof bytes);
	ring_done(ring, &chain, 0);
	if (length < sizeof packet)
		return true;
	memcpy(&packet, bytes, sizeof packet);
	if (packet.length <= length - sizeof packet)
		take_packet(&packet, bytes + sizeof packet);
	return true;
}

/* The guest's side: packets for it. */

static struct packet packet_of(uint32_t host_port, uint32_t guest_port, enum operation operation)
{
	return (struct packet){ .source_cid = HOST,
				.target_cid = cid,
				.source_port = host_port,
				.target_port = guest_port,
				.type = STREAM,
				.operation = (uint16_t)operation,
				.allocated = HELD };
}

static void put_packet(struct ring *ring, const struct chain *chain, struct link *link, struct packet packet)
{
	if (link) {
		packet.forwarded = link->told = link->forwarded;
		link->say &= ~(1u << CREDIT);
	}
	chain_write(chain, &packet, sizeof packet);
	ring_done(ring, chain, (uint32_t)sizeof packet + packet.length);
}

static bool say(struct ring *ring, const struct chain *chain, struct link *link)
{
	enum operation operation = REQUEST;
	struct packet packet;

	while (!(link->say >> operation & 1))
		operation++;
	packet = packet_of(link->host_port, link->guest_port, operation);
	packet.flags = operation == SHUTDOWN ? NO_MORE_TAKEN | NO_MORE_SENT : 0;
	link->say &= ~(1u << operation);
	put_packet(ring, chain, link, packet);
	if (operation == RESET)
		forget(link);
	return true;
}

static uint32_t credit(const struct link *link)
{
	uint32_t flying = link->sent - link->taken;

	return link->state == OPEN && link->fd >= 0 && !link->ended && flying < link->room ? link->room - flying : 0;
}

/* What the unix socket has to be read, straight into the guest's memory. */
static bool pass(struct ring *ring, const struct chain *chain, struct link *link)
{
	struct packet packet = packet_of(link->host_port, link->guest_port, DATA);
	struct iovec parts[CHAIN_MOST];
	int count = chain_rest(chain, sizeof packet, credit(link), parts);
	ssize_t got = count > 0 ? readv(link->fd, parts, count) : -1;

	link->readable = false;
	if (got < 0 && (count == 0 || errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0) {
		link->ended = true;
		link->say |= 1u << (got < 0 ? RESET : SHUTDOWN);
		return false;
	}
	link->sent += (uint32_t)got;
	packet.length = (uint32_t)got;
	put_packet(ring, chain, link, packet);
	return true;
}

static bool give_link(struct ring *ring, const struct chain *chain, struct link *link)
{
	if (link->state == FREE || link->state == GREETING)
		return false;
	if (link->say == 0 && link->readable && credit(link) > 0 && pass(ring, chain, link))
		return true;
	return link->say != 0 && say(ring, chain, link);
}

/* Each link in its turn. False: there is nothing to give, or no buffer. */
static bool give_to_guest(struct ring *ring)
{
	struct chain chain;

	if (!ring_peek(ring, &chain))
		return false;
	if (chain.length < sizeof(struct packet))
		ring_fail("a buffer is too small");
	if (refused > 0) {
		refused--;
		put_packet(ring, &chain, NULL,
			   packet_of(refusals[refused].host_port, refusals[refused].guest_port, RESET));
		return true;
	}
	for (unsigned i = 0; i < LINKS; i++) {
		turn = (turn + 1) % LINKS;
		if (give_link(ring, &chain, &links[turn]))
			return true;
	}
	return false;
}

/* The host's side. */

static void take_greeting(struct link *link)
{
	unsigned port;
	char end;

	while (link->line_length < sizeof link->line - 1) {
		ssize_t got = read(link->fd, link->line + link->line_length, 1);

		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0)
			break;
		if (link->line[link->line_length++] != '\n')
			continue;
		if (sscanf(link->line, "CONNECT %u%c", &port, &end) != 2 || end != '\n')
			break;
		link->state = ASKED;
		link->guest_port = port;
		link->host_port = next_host_port++;
		link->say = 1u << REQUEST;
		return;
	}
	forget(link);
}

static void serve_link(struct link *link, short events)
{
	if (link->state == GREETING)
		take_greeting(link);
	else if (events & (POLLOUT | POLLERR))
		flush(link);
	if (events & (POLLIN | POLLHUP | POLLERR))
		link->readable = true;
}

static short wanted(const struct link *link, bool buffers)
{
	short events = link->length > 0 ? POLLOUT : 0;

	return link->state == GREETING || (buffers && credit(link) > 0) ? events | POLLIN : events;
}

static int listen_at(void)
{
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;

	umask(0177);
	if (listener < 0 || !address_of(&address, "%s", 0) ||
	    bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 16) < 0)
		ring_fail("the unix socket cannot be made");
	return listener;
}

static _Noreturn void serve(int monitor, int listener)
{
	struct ring rings[QUEUES] = { { .kick = -1, .call = -1 }, { .kick = -1, .call = -1 } };
	struct vhost_user user = { .socket = monitor, .rings = rings, .ring_count = QUEUES, .config = &cid,
				   .config_length = sizeof cid };

	for (;;) {
		struct pollfd slots[2 + QUEUES + LINKS] = { { .fd = monitor, .events = POLLIN },
							    { .fd = listener, .events = POLLIN },
							    { .fd = rings[0].kick, .events = POLLIN },
							    { .fd = rings[1].kick, .events = POLLIN } };
		struct pollfd *own = slots + 2 + QUEUES;
		bool buffers = ring_has_more(&rings[RECEIVE]);

		for (unsigned i = 0; i < LINKS; i++) {
			short events = links[i].state == FREE ? 0 : wanted(&links[i], buffers);

			/* A closed end is reported whatever is asked for. */
			own[i] = (struct pollfd){ .fd = events ? links[i].fd : -1, .events = events };
		}
		if (poll(slots, 2 + QUEUES + LINKS, -1) < 0 && errno != EINTR)
			ring_fail("poll");
		if (slots[0].revents)
			vhost_user_serve(&user);
		if (user.reset)
			forget_all();
		user.reset = false;
		for (unsigned i = 0; i < QUEUES; i++)
			if (slots[2 + i].revents)
				ring_kicked(&rings[i]);
		for (unsigned i = 0; i < LINKS; i++)
			if (own[i].revents && links[i].state != FREE)
				serve_link(&links[i], own[i].revents);
		for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;)
			add(GREETING, fd);
		/* Both, as one makes work for the other. */
		while (take_from_guest(&rings[SEND]) || give_to_guest(&rings[RECEIVE]))
			;
		ring_call(&rings[SEND]);
		ring_call(&rings[RECEIVE]);
	}
}

int main(int count, char *arguments[])
{
	int pair[2], listener, fd;

	if (count < 5)
		ring_fail("usage: vsock-device PATH CID FD PROGRAM [ARGUMENT]...");
	path = arguments[1];
	cid = strtoull(arguments[2], NULL, 10);
	fd = atoi(arguments[3]);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		ring_fail("socketpair");
	listener = listen_at();
	signal(SIGPIPE, SIG_IGN);
	if (fork() == 0) {
		close(pair[0]);
		/* Nothing of the monitor's is held open: who waits for its end waits for this one's too. */
		for (int other = 0; other < 64; other++)
			if (other != pair[1] && other != listener && other != STDERR_FILENO)
				close(other);
		serve(pair[1], listener);
	}
	close(pair[1]);
	close(listener);
	signal(SIGPIPE, SIG_DFL);
	if (pair[0] != fd && dup2(pair[0], fd) < 0)
		ring_fail("dup2");
	if (pair[0] == fd)
		fcntl(fd, F_SETFD, 0);
	execv(arguments[4], arguments + 4);
	ring_fail("the program cannot be run");
}
