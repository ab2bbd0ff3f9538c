#include "channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "transport.h"

static void sleep_milliseconds(long milliseconds)
{
	struct timespec time = { .tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000 };

	(void)nanosleep(&time, NULL);
}

static uint64_t milliseconds_now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

bool channel_open(struct channel *channel, unsigned patience)
{
	uint64_t end = milliseconds_now() + patience;

	channel->in_length = 0;
	channel->out_start = 0;
	channel->out_end = 0;
	for (;;) {
		channel->fd = transport_open(&channel->ends);
		if (channel->fd >= 0)
			return true;
		if (errno != ENODEV || milliseconds_now() >= end)
			return false;
		sleep_milliseconds(1);
	}
}

/* Reads until `wanted` bytes are there. */
static enum channel_result fill(struct channel *channel, size_t wanted)
{
	while (channel->in_length < wanted) {
		ssize_t got = read(channel->fd, channel->in + channel->in_length, wanted - channel->in_length);

		if (got > 0)
			channel->in_length += (size_t)got;
		else if (got < 0 && errno == EINTR)
			continue;
		else if (got < 0 && errno == EAGAIN)
			return CHANNEL_AGAIN;
		else
			/* A port reads as ended while the host's side is closed. */
			return got == 0 && !channel->ends ? CHANNEL_AGAIN : CHANNEL_BROKEN;
	}
	return CHANNEL_FRAME;
}

enum channel_result channel_receive(struct channel *channel, struct urunc_frame *frame, const uint8_t **payload)
{
	enum channel_result result = fill(channel, URUNC_FRAME_HEADER);

	if (result != CHANNEL_FRAME)
		return result;
	if (!urunc_frame_decode(channel->in, frame))
		return CHANNEL_BROKEN;
	result = fill(channel, URUNC_FRAME_HEADER + frame->length);
	if (result != CHANNEL_FRAME)
		return result;
	*payload = channel->in + URUNC_FRAME_HEADER;
	channel->in_length = 0;
	return CHANNEL_FRAME;
}

static void compact(struct channel *channel)
{
	if (channel->out_start == 0)
		return;
	memmove(channel->out, channel->out + channel->out_start, channel->out_end - channel->out_start);
	channel->out_end -= channel->out_start;
	channel->out_start = 0;
}

size_t channel_room(const struct channel *channel)
{
	size_t used = channel->out_end - channel->out_start + CHANNEL_RESERVE + URUNC_FRAME_HEADER;
	size_t room = used < CHANNEL_OUT_MAX ? CHANNEL_OUT_MAX - used : 0;

	return room < URUNC_PAYLOAD_MAX ? room : URUNC_PAYLOAD_MAX;
}

bool channel_has_reserve(const struct channel *channel)
{
	return CHANNEL_OUT_MAX - (channel->out_end - channel->out_start) >= CHANNEL_RESERVE / 2;
}

bool channel_send(struct channel *channel, uint32_t stream, uint16_t type, const void *payload, size_t length)
{
	struct urunc_frame frame = { .length = (uint32_t)length, .type = type, .stream = stream };

	compact(channel);
	if (CHANNEL_OUT_MAX - channel->out_end < URUNC_FRAME_HEADER + length)
		return false;
	urunc_frame_encode(channel->out + channel->out_end, &frame);
	if (length > 0)
		memcpy(channel->out + channel->out_end + URUNC_FRAME_HEADER, payload, length);
	channel->out_end += URUNC_FRAME_HEADER + length;
	return true;
}

uint8_t *channel_data_space(struct channel *channel)
{
	compact(channel);
	return channel->out + channel->out_end + URUNC_FRAME_HEADER;
}

void channel_data_commit(struct channel *channel, uint32_t stream, size_t length)
{
	struct urunc_frame frame = { .length = (uint32_t)length, .type = URUNC_DATA, .stream = stream };

	urunc_frame_encode(channel->out + channel->out_end, &frame);
	channel->out_end += URUNC_FRAME_HEADER + length;
}

bool channel_flush(struct channel *channel)
{
	while (channel->out_start < channel->out_end) {
		ssize_t put = write(channel->fd, channel->out + channel->out_start, channel->out_end - channel->out_start);

		if (put > 0)
			channel->out_start += (size_t)put;
		else if (put < 0 && errno == EINTR)
			continue;
		else
			return put == 0 || errno == EAGAIN;
	}
	return true;
}

void channel_drain(struct channel *channel)
{
	struct pollfd poll_fd = { .fd = channel->fd, .events = POLLOUT };

	while (channel_flush(channel) && channel->out_start < channel->out_end) {
		if (poll(&poll_fd, 1, 1000) <= 0 || !(poll_fd.revents & POLLOUT))
			sleep_milliseconds(1);
	}
}

void channel_linger(const struct channel *channel, int milliseconds)
{
	struct pollfd poll_fd = { .fd = channel->fd };

	if (channel->ends)
		(void)poll(&poll_fd, 1, milliseconds);
}
