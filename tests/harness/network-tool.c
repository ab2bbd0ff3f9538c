/*
 * What a network carries, seen by programs: `network-tool VERB ARGUMENT...`. Static, for any image. Hosts are addresses
 * of either family. Servers say `ready`; what is asked of them is answered with the asker's address before it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/icmp6.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 1024
#define WAIT_MS 30000
#define CHUNK (256 * 1024)

/* Of linux/if_packet.h, which musl does not have. */
#define VLAN_VALID (1u << 4)

struct auxdata {
	uint32_t status, length, captured;
	uint16_t mac, network, vlan, vlan_protocol;
};

static char chunk[CHUNK];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int number(int result, const char *what)
{
	if (result < 0)
		fail(what);
	return result;
}

static void set(int socket, int level, int option, int value)
{
	number(setsockopt(socket, level, option, &value, sizeof value), "setsockopt");
}

/* At most the time that a packet and its answer may take on a busy machine. */
static void limit_wait(int socket)
{
	struct timeval wait = { .tv_sec = WAIT_MS / 1000 };

	number(setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), "setsockopt");
}

static void say_ready(void)
{
	printf("ready\n");
	fflush(stdout);
}

struct place {
	struct sockaddr_storage address;
	socklen_t length;
};

static struct place place_of(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM }, *found;
	struct place place = { .length = 0 };
	int error = getaddrinfo(host, port, &hints, &found);

	if (error) {
		fprintf(stderr, "%s: %s\n", host, gai_strerror(error));
		exit(2);
	}
	memcpy(&place.address, found->ai_addr, found->ai_addrlen);
	place.length = found->ai_addrlen;
	freeaddrinfo(found);
	return place;
}

/* A group of the link's own needs to be told which link. */
static struct place group_of(const char *group, const char *port, const char *interface)
{
	struct place place = place_of(group, port);

	if (place.address.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&place.address)->sin6_scope_id = if_nametoindex(interface);
	return place;
}

static const char *name_of(const struct place *place)
{
	static char name[NI_MAXHOST];

	if (getnameinfo((const struct sockaddr *)&place->address, place->length, name, sizeof name, NULL, 0, NI_NUMERICHOST))
		return "?";
	return strncmp(name, "::ffff:", 7) ? name : name + 7;
}

/* Of both families, on every address. */
static int listening(int type, const char *port)
{
	struct place place = place_of("::", port);
	int listener = number(socket(AF_INET6, type, 0), "socket");

	set(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	set(listener, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	number(bind(listener, (struct sockaddr *)&place.address, place.length), "bind");
	if (type == SOCK_STREAM)
		number(listen(listener, CONNECTIONS), "listen");
	return listener;
}

static void answer(int client, bool by_datagram)
{
	struct place peer = { .length = sizeof peer.address };
	char text[2048];
	char reply[4096];
	ssize_t length = recvfrom(client, text, sizeof text - 1, 0, (struct sockaddr *)&peer.address, &peer.length);

	if (length <= 0)
		return;
	text[length] = 0;
	if (!by_datagram) {
		peer.length = sizeof peer.address;
		number(getpeername(client, (struct sockaddr *)&peer.address, &peer.length), "getpeername");
	}
	length = snprintf(reply, sizeof reply, "%s %s", name_of(&peer), text);
	if (sendto(client, reply, (size_t)length, MSG_NOSIGNAL, by_datagram ? (struct sockaddr *)&peer.address : NULL,
		   by_datagram ? peer.length : 0) < 0)
		perror("send");
}

/* echo PORT: by TCP and UDP, any number of connections at once. */
_Noreturn static void echo(const char *port)
{
	struct pollfd files[CONNECTIONS + 2] = {
		{ .fd = listening(SOCK_STREAM, port), .events = POLLIN },
		{ .fd = listening(SOCK_DGRAM, port), .events = POLLIN },
	};
	nfds_t count = 2;

	say_ready();
	for (;;) {
		number(poll(files, count, -1), "poll");
		for (nfds_t i = count; i-- > 2;) {
			char byte;

			if (!files[i].revents)
				continue;
			if (recv(files[i].fd, &byte, 1, MSG_PEEK) > 0) {
				answer(files[i].fd, false);
				continue;
			}
			close(files[i].fd);
			files[i] = files[--count];
		}
		if (files[1].revents)
			answer(files[1].fd, true);
		if (files[0].revents && count < CONNECTIONS + 2) {
			files[count] = (struct pollfd){ .fd = number(accept(files[0].fd, NULL, NULL), "accept"), .events = POLLIN };
			count++;
		}
	}
}

static int connected(int type, const char *host, const char *port)
{
	struct place place = place_of(host, port);
	int client = number(socket(place.address.ss_family, type, 0), "socket");

	limit_wait(client);
	number(connect(client, (struct sockaddr *)&place.address, place.length), "connect");
	return client;
}

/* ask tcp|udp HOST PORT TEXT: prints the answer. */
static int ask(const char *way, const char *host, const char *port, const char *text)
{
	bool by_datagram = !strcmp(way, "udp");
	int client = connected(by_datagram ? SOCK_DGRAM : SOCK_STREAM, host, port);
	char reply[4096];
	ssize_t length;

	number((int)send(client, text, strlen(text), MSG_NOSIGNAL), "send");
	length = recv(client, reply, sizeof reply, 0);
	number((int)length, "recv");
	printf("%.*s\n", (int)length, reply);
	return 0;
}

/* many HOST PORT COUNT: so many connections, all of which are there before any is used. */
static int many(const char *host, const char *port, int count)
{
	int clients[CONNECTIONS];
	int answered = 0;

	if (count > CONNECTIONS)
		return 2;
	for (int i = 0; i < count; i++)
		clients[i] = connected(SOCK_STREAM, host, port);
	for (int i = 0; i < count; i++)
		number(dprintf(clients[i], "number %d", i), "write");
	for (int i = 0; i < count; i++) {
		char reply[256] = "";
		char wanted[32];

		snprintf(wanted, sizeof wanted, " number %d", i);
		if (recv(clients[i], reply, sizeof reply - 1, 0) > 0 && strstr(reply, wanted) &&
		    !strcmp(strstr(reply, wanted), wanted))
			answered++;
	}
	printf("%d answered\n", answered);
	return answered != count;
}

/* listen GROUP PORT INTERFACE: prints the first datagram that comes to a multicast group, or to a broadcast address. */
static int listen_to(const char *group, const char *port, const char *interface)
{
	struct place place = group_of(group, port, interface);
	struct group_req request = { .gr_interface = if_nametoindex(interface) };
	int listener = number(socket(place.address.ss_family, SOCK_DGRAM, 0), "socket");
	char text[2048];
	ssize_t length;

	limit_wait(listener);
	set(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	memcpy(&request.gr_group, &place.address, sizeof request.gr_group);
	number(bind(listener, (struct sockaddr *)&place.address, place.length), "bind");
	if (strcmp(group, "255.255.255.255"))
		number(setsockopt(listener, place.address.ss_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, MCAST_JOIN_GROUP,
				  &request, sizeof request),
		       "join");
	say_ready();
	length = recv(listener, text, sizeof text, 0);
	number((int)length, "recv");
	printf("%.*s\n", (int)length, text);
	return 0;
}

/* tell GROUP PORT INTERFACE TEXT: one datagram. */
static int tell(const char *group, const char *port, const char *interface, const char *text)
{
	struct place place = group_of(group, port, interface);
	int index = (int)if_nametoindex(interface);
	struct ip_mreqn by = { .imr_ifindex = index };
	int sender = number(socket(place.address.ss_family, SOCK_DGRAM, 0), "socket");

	set(sender, SOL_SOCKET, SO_BROADCAST, 1);
	number(setsockopt(sender, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)), "device");
	if (place.address.ss_family == AF_INET)
		number(setsockopt(sender, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof by), "interface");
	else
		set(sender, IPPROTO_IPV6, IPV6_MULTICAST_IF, index);
	number((int)sendto(sender, text, strlen(text), 0, (struct sockaddr *)&place.address, place.length), "send");
	return 0;
}

/* advertise INTERFACE PREFIX: a router advertisement with a prefix of 64 bits (RFC 4861, 4.2), every second. */
static int advertise(const char *interface, const char *prefix)
{
	struct {
		struct nd_router_advert advert;
		struct nd_opt_prefix_info option;
	} message = {
		.advert = { .nd_ra_hdr.icmp6_type = ND_ROUTER_ADVERT, .nd_ra_curhoplimit = 64, .nd_ra_router_lifetime = htons(1800) },
		.option = { .nd_opt_pi_type = ND_OPT_PREFIX_INFORMATION,
			    .nd_opt_pi_len = 4,
			    .nd_opt_pi_prefix_len = 64,
			    .nd_opt_pi_flags_reserved = ND_OPT_PI_FLAG_ONLINK | ND_OPT_PI_FLAG_AUTO,
			    .nd_opt_pi_valid_time = htonl(86400),
			    .nd_opt_pi_preferred_time = htonl(14400) },
	};
	struct place all = place_of("ff02::1", "0");
	int sender = number(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), "socket");

	if (inet_pton(AF_INET6, prefix, &message.option.nd_opt_pi_prefix) != 1)
		return 2;
	set(sender, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255);
	set(sender, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)if_nametoindex(interface));
	for (;;) {
		/* An interface that has just come up has no address of its own yet. */
		if (sendto(sender, &message, sizeof message, 0, (struct sockaddr *)&all.address, all.length) < 0 &&
		    errno != EADDRNOTAVAIL)
			fail("send");
		sleep(1);
	}
}

#define TAGGED 0x88b5 /* For experiments (IEEE 802). */

static int packet_socket(const char *interface, uint16_t protocol)
{
	struct sockaddr_ll place = { .sll_family = AF_PACKET,
				     .sll_protocol = htons(protocol),
				     .sll_ifindex = (int)if_nametoindex(interface) };
	int file = number(socket(AF_PACKET, SOCK_RAW, htons(protocol)), "socket");

	number(bind(file, (struct sockaddr *)&place, sizeof place), "bind");
	return file;
}

/* tagged INTERFACE: prints the VLAN and the text of the first tagged frame that comes. */
static int tagged(const char *interface)
{
	int file = packet_socket(interface, ETH_P_ALL);

	limit_wait(file);
	set(file, SOL_PACKET, PACKET_AUXDATA, 1);
	say_ready();
	for (;;) {
		uint8_t frame[2048] = { 0 };
		uint8_t control[CMSG_SPACE(sizeof(struct auxdata))];
		struct iovec part = { frame, sizeof frame - 1 };
		struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
		struct cmsghdr *header;
		struct auxdata about;

		number((int)recvmsg(file, &message, 0), "recv");
		header = CMSG_FIRSTHDR(&message);
		if (!header || header->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&about, CMSG_DATA(header), sizeof about);
		/* The kernel has taken the tag out of the frame. */
		if (!(about.status & VLAN_VALID) || frame[12] != TAGGED >> 8 || frame[13] != (TAGGED & 0xff))
			continue;
		printf("%d %s\n", about.vlan & 0xfff, (char *)frame + 14);
		return 0;
	}
}

/* tag INTERFACE VLAN TEXT: one tagged frame to everybody. */
static int tag(const char *interface, int vlan, const char *text)
{
	uint8_t frame[1024] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0x77, 0x81, 0x00 };
	int file = packet_socket(interface, 0);

	frame[14] = (uint8_t)(vlan >> 8);
	frame[15] = (uint8_t)vlan;
	frame[16] = TAGGED >> 8;
	frame[17] = TAGGED & 0xff;
	(void)snprintf((char *)frame + 18, sizeof frame - 18, "%s", text);
	number((int)send(file, frame, 18 + strlen(text) + 1, 0), "send");
	return 0;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* sink PORT: for each connection, reads it to its end and answers with the bytes per second that came. */
_Noreturn static void sink(const char *port)
{
	int listener = listening(SOCK_STREAM, port);

	say_ready();
	for (;;) {
		int client = number(accept(listener, NULL, NULL), "accept");
		double began = now();
		uint64_t total = 0;
		ssize_t length;

		while ((length = recv(client, chunk, sizeof chunk, 0)) > 0)
			total += (uint64_t)length;
		(void)dprintf(client, "%.0f\n", (double)total / (now() - began));
		close(client);
	}
}

/* stream HOST PORT SECONDS: sends by TCP for so long; prints the bytes per second that have arrived at a sink. */
static int stream(const char *host, const char *port, double seconds)
{
	int client = connected(SOCK_STREAM, host, port);
	double end = now() + seconds;
	ssize_t length;

	while (now() < end)
		number((int)send(client, chunk, sizeof chunk, MSG_NOSIGNAL), "send");
	shutdown(client, SHUT_WR);
	length = recv(client, chunk, sizeof chunk, 0);
	number((int)length, "recv");
	printf("%.*s", (int)length, chunk);
	return 0;
}

#define ON_THEIR_WAY 16

/*
 * rally HOST PORT SECONDS SIZE: datagrams to an echo and back, several on their way at once, for so long; prints how many a
 * second came back. After a silence those on their way are taken as lost.
 */
static int rally(const char *host, const char *port, double seconds, size_t size)
{
	int client = connected(SOCK_DGRAM, host, port);
	struct timeval silence = { .tv_usec = 200000 };
	double began = now();
	uint64_t total = 0;
	int away = 0;

	memset(chunk, 'x', size);
	number(setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence), "setsockopt");
	while (now() < began + seconds) {
		char reply[4096];

		for (; away < ON_THEIR_WAY; away++)
			number((int)send(client, chunk, size, 0), "send");
		if (recv(client, reply, sizeof reply, 0) < 0) {
			away = 0;
			continue;
		}
		away--;
		total++;
	}
	printf("%.0f\n", (double)total / (now() - began));
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (!strcmp(verb, "echo") && argc == 3)
		echo(argv[2]);
	if (!strcmp(verb, "ask") && argc == 6)
		return ask(argv[2], argv[3], argv[4], argv[5]);
	if (!strcmp(verb, "many") && argc == 5)
		return many(argv[2], argv[3], atoi(argv[4]));
	if (!strcmp(verb, "listen") && argc == 5)
		return listen_to(argv[2], argv[3], argv[4]);
	if (!strcmp(verb, "tell") && argc == 6)
		return tell(argv[2], argv[3], argv[4], argv[5]);
	if (!strcmp(verb, "advertise") && argc == 4)
		return advertise(argv[2], argv[3]);
	if (!strcmp(verb, "tagged") && argc == 3)
		return tagged(argv[2]);
	if (!strcmp(verb, "tag") && argc == 5)
		return tag(argv[2], atoi(argv[3]), argv[4]);
	if (!strcmp(verb, "sink") && argc == 3)
		sink(argv[2]);
	if (!strcmp(verb, "stream") && argc == 5)
		return stream(argv[2], argv[3], atof(argv[4]));
	if (!strcmp(verb, "rally") && argc == 6)
		return rally(argv[2], argv[3], atof(argv[4]), (size_t)atoi(argv[5]));
	fprintf(stderr, "network-tool: no %s with %d arguments\n", verb, argc - 2);
	return 2;
}
