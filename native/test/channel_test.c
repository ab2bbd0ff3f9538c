/* The channel's frames, whatever pieces it gives and takes. */
#include <limits.h>
#include <signal.h>

#include "../urunit/channel.c"
#include "../urunit/failure.c"
#include "../urunit/transport.c"
#include "channel_pair.h"

static void host_sends(uint32_t length, uint16_t type, uint16_t reserved, uint32_t stream)
{
	uint8_t header[URUNC_FRAME_HEADER];

	urunc_put32(header, length);
	urunc_put16(header + 4, type);
	urunc_put16(header + 6, reserved);
	urunc_put32(header + 8, stream);
	CHECK_EQUAL(write(host, header, sizeof header), sizeof header);
}

static void test_channel_input(void)
{
	static uint8_t bytes[URUNC_FRAME_HEADER + URUNC_PAYLOAD_MAX];
	struct urunc_frame frame = { .length = URUNC_PAYLOAD_MAX, .type = URUNC_DATA, .stream = 0x01020304 };
	const uint8_t *payload = NULL;
	size_t i;

	connect_channel();
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_AGAIN);
	frame = (struct urunc_frame){ .length = URUNC_PAYLOAD_MAX, .type = URUNC_DATA, .stream = 0x01020304 };
	urunc_frame_encode(bytes, &frame);
	for (i = 0; i < URUNC_PAYLOAD_MAX; i++)
		bytes[URUNC_FRAME_HEADER + i] = (uint8_t)(i * 7);
	for (i = 0; i < sizeof bytes; i++) {
		memset(&frame, 0, sizeof frame);
		CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_AGAIN);
		CHECK_EQUAL(write(host, bytes + i, 1), 1);
	}
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_FRAME);
	CHECK_EQUAL(frame.length, URUNC_PAYLOAD_MAX);
	CHECK_EQUAL(frame.type, URUNC_DATA);
	CHECK_EQUAL(frame.stream, 0x01020304);
	CHECK(!memcmp(payload, bytes + URUNC_FRAME_HEADER, URUNC_PAYLOAD_MAX));
	/* Several at once come one by one. */
	host_sends(0, URUNC_START, 0, 3);
	host_sends(2, URUNC_CHUNK, 0, 7);
	CHECK_EQUAL(write(host, "ab", 2), 2);
	host_sends(0, URUNC_EOF, 0, 4);
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_FRAME);
	CHECK_EQUAL(frame.type, URUNC_START);
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_FRAME);
	CHECK_EQUAL(frame.type, URUNC_CHUNK);
	CHECK(!memcmp(payload, "ab", 2));
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_FRAME);
	CHECK_EQUAL(frame.stream, 4);
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_AGAIN);
	/* A port whose other side is closed for a moment. */
	channel_linger(&channel, INT_MAX);
	close(host);
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_AGAIN);
	channel.ends = true;
	channel_linger(&channel, INT_MAX);
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_BROKEN);
	close(channel.fd);
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_BROKEN);
}

static void expect_broken(uint32_t length, uint16_t reserved)
{
	struct urunc_frame frame;
	const uint8_t *payload;

	connect_channel();
	host_sends(length, URUNC_DATA, reserved, 4);
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_BROKEN);
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_BROKEN);
	disconnect_channel();
}

static void test_channel_output(void)
{
	static const uint8_t payload[URUNC_PAYLOAD_MAX];
	uint32_t put_in = 0, taken = 0;
	size_t frames = 0, received = 0, small = 0, room;

	connect_channel();
	for (int turn = 0; turn < 20; turn++) {
		while ((room = channel_room(&channel)) > 0) {
			uint8_t *space = channel_data_space(&channel);

			CHECK(room <= URUNC_PAYLOAD_MAX);
			CHECK(space + room <= channel.out + CHANNEL_OUT_MAX);
			for (size_t i = 0; i < room; i++)
				space[i] = (uint8_t)put_in++;
			channel_data_commit(&channel, 5, room);
			frames++;
		}
		/* Data has to wait, other frames do not, until they say so. */
		if (turn == 0) {
			CHECK(!channel_send(&channel, 5, URUNC_DATA, payload, URUNC_PAYLOAD_MAX));
			for (; channel_has_reserve(&channel); frames++)
				CHECK(channel_send(&channel, 3, URUNC_FAILED, payload, 4 + URUNC_SENTENCE_MAX));
			while (channel_send(&channel, 3, URUNC_BYE, NULL, 0))
				small++;
			CHECK(small >= 100);
			CHECK(CHANNEL_OUT_MAX - channel.out_end < URUNC_FRAME_HEADER);
			CHECK_EQUAL(channel_room(&channel), 0);
			frames += small;
		}
		CHECK(channel_flush(&channel));
		received += host_takes(&taken);
	}
	do {
		CHECK(channel_flush(&channel));
		received += host_takes(&taken);
	} while (channel.out_start < channel.out_end);
	CHECK_EQUAL(received, frames);
	CHECK_EQUAL(taken, put_in);
	CHECK(put_in > CHANNEL_OUT_MAX);
	/* Everything that there is room for again. */
	CHECK_EQUAL(channel_room(&channel), URUNC_PAYLOAD_MAX);
	CHECK(channel_send(&channel, 3, URUNC_BYE, NULL, 0));
	channel_drain(&channel);
	CHECK_EQUAL(host_takes(&taken), 1);
	(void)signal(SIGPIPE, SIG_IGN);
	close(host);
	CHECK(channel_send(&channel, 3, URUNC_BYE, NULL, 0));
	CHECK(!channel_flush(&channel));
	close(channel.fd);
}

int main(void)
{
	test_channel_input();
	expect_broken(URUNC_PAYLOAD_MAX + 1, 0);
	expect_broken(UINT32_MAX, 0);
	expect_broken(0, 1);
	expect_broken(4, 0x8000);
	test_channel_output();
	return 0;
}
