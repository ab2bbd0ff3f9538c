/* The agent's channel to the host: whole frames in, frames out through a bounded queue. Never blocks. */
#ifndef URUNIT_CHANNEL_H
#define URUNIT_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"

#define CHANNEL_OUT_MAX (4u * (URUNC_FRAME_HEADER + URUNC_PAYLOAD_MAX))
/* Kept free for frames that are not data. */
#define CHANNEL_RESERVE (4u * (URUNC_SENTENCE_MAX + 64u))

struct channel {
	int fd;
	bool ends; /* nothing to read is the end, see transport_open */
	size_t in_length;
	size_t out_start;
	size_t out_end;
	uint8_t in[URUNC_FRAME_HEADER + URUNC_PAYLOAD_MAX];
	uint8_t out[CHANNEL_OUT_MAX];
};

enum channel_result { CHANNEL_FRAME, CHANNEL_AGAIN, CHANNEL_BROKEN };

/*
 * Opens the host's end, waiting for it up to `patience` milliseconds: a port appears some time after the kernel has
 * found the device. False, with errno: it is not there (ENODEV), or the host refuses.
 */
bool channel_open(struct channel *channel, unsigned patience);

/* The next whole frame; its payload lies in the channel until the next call. */
enum channel_result channel_receive(struct channel *channel, struct urunc_frame *frame, const uint8_t **payload);

/* Bytes of payload that one DATA frame may have now; 0: wait. */
size_t channel_room(const struct channel *channel);

/*
 * True if there is room for a frame of a sentence, and for what every process may have to say about its end behind it.
 * What makes another frame than those must wait until it is.
 */
bool channel_has_reserve(const struct channel *channel);

/* Queues a frame. False: no room, which is a bug for anything but data. */
bool channel_send(struct channel *channel, uint32_t stream, uint16_t type, const void *payload, size_t length);

/* Where to put the payload of a DATA frame of at most channel_room() bytes, and the frame around it. */
uint8_t *channel_data_space(struct channel *channel);
void channel_data_commit(struct channel *channel, uint32_t stream, size_t length);

/* Writes as much as goes without waiting. False: the channel is broken. */
bool channel_flush(struct channel *channel);

/* Writes everything, waiting for the host. */
void channel_drain(struct channel *channel);

/*
 * Waits until the host has closed the channel, but not longer. What is written to a socket is sent by and by, and would be
 * lost with the machine; a port has it at once, and nothing is waited for.
 */
void channel_linger(const struct channel *channel, int milliseconds);

#endif
