/* The agent's channel over a socket pair: `host` is the other end. For tests that include channel.c. */
#ifndef URUNC_CHANNEL_PAIR_H
#define URUNC_CHANNEL_PAIR_H

#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static struct channel channel;
static int host;

static inline void connect_channel(void)
{
	int ends[2];

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
	memset(&channel, 0, sizeof channel);
	channel.fd = ends[0];
	host = ends[1];
}

static inline void disconnect_channel(void)
{
	close(channel.fd);
	close(host);
}

/* Takes everything that the agent has written; checks the frames' headers, and that data is 0, 1, 2, … */
static inline size_t host_takes(uint32_t *counter)
{
	static uint8_t bytes[URUNC_FRAME_HEADER + URUNC_PAYLOAD_MAX];
	static size_t length;
	size_t frames = 0;
	ssize_t got;

	for (;;) {
		size_t wanted = URUNC_FRAME_HEADER;

		if (length >= URUNC_FRAME_HEADER)
			wanted += urunc_get32(bytes);
		CHECK(wanted <= sizeof bytes);
		if (length >= URUNC_FRAME_HEADER && length == wanted) {
			for (size_t i = URUNC_FRAME_HEADER; urunc_get16(bytes + 4) == URUNC_DATA && i < length; i++)
				CHECK_EQUAL(bytes[i], (uint8_t)(*counter)++);
			length = 0;
			frames++;
			continue;
		}
		got = read(host, bytes + length, wanted - length);
		if (got <= 0)
			return frames;
		length += (size_t)got;
	}
}

#endif
