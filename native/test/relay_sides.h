/* A session with relays, a guest and clients that a test speaks for. For tests that include relay.c and the session's parts. */
#ifndef URUNC_RELAY_SIDES_H
#define URUNC_RELAY_SIDES_H

#include "check.h"

#define COUNT 3

static struct session session;
static struct relay relays[COUNT];
static size_t piece;
static char said[URUNC_SENTENCE_MAX + 1];
static uint8_t zeroes[URUNC_PAYLOAD_MAX];

/* What has gone to the guest, and to each client. */
static uint8_t to_guest[1 << 20];
static size_t to_guest_length;
static uint8_t to_client[COUNT][1 << 20];
static size_t to_client_length[COUNT];

static inline void guest_bytes(const uint8_t *bytes, size_t length)
{
	struct session_span input = { bytes, length };
	struct session_event event;

	do {
		event = session_next(&session, &input);
		if (event.type == SESSION_VIOLATION)
			snprintf(said, sizeof said, "%s", (const char *)event.bytes);
		if (event.added)
			CHECK(relay_event((struct relay *)(void *)event.added, &event));
	} while (event.type != SESSION_NOTHING && event.type != SESSION_VIOLATION);
}

static inline size_t make_frame(uint8_t *at, uint16_t type, uint32_t stream, const void *payload, uint32_t length)
{
	urunc_frame_encode(at, &(struct urunc_frame){ length, type, stream });
	if (length > 0)
		memcpy(at + URUNC_FRAME_HEADER, payload, length);
	return URUNC_FRAME_HEADER + length;
}

static inline void guest(uint16_t type, uint32_t number, uint32_t channel, const void *payload, uint32_t length)
{
	static uint8_t frame[URUNC_FRAME_HEADER + URUNC_PAYLOAD_MAX];
	size_t whole = make_frame(frame, type, number * 4 + channel, payload, length);
	size_t step = piece ? piece : whole;

	for (size_t at = 0; at < whole; at += step)
		guest_bytes(frame + at, whole - at < step ? whole - at : step);
}

static inline void guest_u32(uint16_t type, uint32_t number, uint32_t channel, uint32_t value)
{
	uint8_t payload[4];

	urunc_put32(payload, value);
	guest(type, number, channel, payload, 4);
}

static inline void guest_exits(uint32_t number, uint32_t status)
{
	uint8_t payload[8] = { 0 };

	urunc_put32(payload, status);
	guest(URUNC_EXITED, number, URUNC_CONTROL, payload, 8);
}

/* Gives the client's bytes as far as they are taken; false: it broke the protocol. */
static inline bool client_bytes(struct relay *relay, const uint8_t *bytes, size_t length, size_t *taken)
{
	*taken = 0;
	while (*taken < length && relay_in_room(relay) > 0) {
		size_t part = relay_in_room(relay);

		if (piece && part > piece)
			part = piece;
		if (part > length - *taken)
			part = length - *taken;
		memcpy(relay_in_at(relay), bytes + *taken, part);
		*taken += part;
		if (!relay_in(relay, part))
			return false;
	}
	return true;
}

static inline void drain_guest(void)
{
	for (;;) {
		struct session_span output = session_output(&session);

		if (output.length == 0)
			return;
		CHECK(output.length <= sizeof to_guest - to_guest_length);
		memcpy(to_guest + to_guest_length, output.bytes, output.length);
		to_guest_length += output.length;
		session_sent(&session, output.length);
	}
}

static inline void settle(void)
{
	bool more = true;

	drain_guest();
	while (more) {
		more = false;
		for (size_t i = 0; i < COUNT; i++) {
			if (!relay_waits(&relays[i]) || !session_room(&session))
				continue;
			relay_put(&relays[i], &session);
			more = true;
			drain_guest();
		}
	}
}

static inline void drain_client(size_t which)
{
	for (;;) {
		struct session_span out = relay_out(&relays[which]);
		size_t length = piece && out.length > piece ? piece : out.length;

		if (length == 0)
			return;
		CHECK(length <= sizeof to_client[0] - to_client_length[which]);
		memcpy(to_client[which] + to_client_length[which], out.bytes, length);
		to_client_length[which] += length;
		relay_out_sent(&relays[which], length);
	}
}

static inline bool client_on(size_t which, uint32_t number, uint16_t type, uint32_t channel, const void *payload, uint32_t length)
{
	static uint8_t frame[URUNC_FRAME_HEADER + URUNC_PAYLOAD_MAX];
	size_t whole = make_frame(frame, type, number * 4 + channel, payload, length), taken;
	bool good;

	good = client_bytes(&relays[which], frame, whole, &taken);
	CHECK(!good || taken == whole);
	return good;
}

static inline bool client(size_t which, uint16_t type, uint32_t channel, const void *payload, uint32_t length)
{
	bool good = client_on(which, 1, type, channel, payload, length);

	if (good)
		settle();
	return good;
}

static inline bool client_u32(size_t which, uint16_t type, uint32_t channel, uint32_t value)
{
	uint8_t payload[4];

	urunc_put32(payload, value);
	return client(which, type, channel, payload, 4);
}

static inline void begin(void)
{
	static const uint8_t entropy[SESSION_ENTROPY];
	uint8_t hello[12] = { 0 };

	session_init(&session, (struct session_span){ zeroes, 5 }, (struct session_span){ zeroes, 5 }, false);
	said[0] = '\0';
	urunc_put32(hello, URUNC_MAGIC);
	urunc_put16(hello + 4, 1);
	urunc_put16(hello + 6, 1);
	guest(URUNC_HELLO, 0, 3, hello, 12);
	session_welcome(&session, 1, entropy);
	to_guest_length = 0;
	drain_guest();
	guest_u32(URUNC_STARTED, 0, 3, 0);
	guest_u32(URUNC_STARTED, 1, 3, 50);
	CHECK_EQUAL(session.state, SESSION_RUNNING);
	to_guest_length = 0;
	for (size_t i = 0; i < COUNT; i++) {
		memset(&relays[i], 0, sizeof relays[i]);
		CHECK(relay_open(&relays[i], &session));
		CHECK_EQUAL(relays[i].process.number, i + 2);
		to_client_length[i] = 0;
	}
}

static inline void ask(size_t which)
{
	CHECK(client_u32(which, URUNC_DOCUMENT, 3, 10));
	CHECK(client(which, URUNC_CHUNK, 3, "01234", 5));
	CHECK(client(which, URUNC_CHUNK, 3, "56789", 5));
	CHECK(client(which, URUNC_START, 3, NULL, 0));
}

static inline void run(size_t which)
{
	ask(which);
	guest_u32(URUNC_STARTED, (uint32_t)which + 2, 3, 70 + (uint32_t)which);
	CHECK_STRING(said, "");
}

static inline void begin_running(void)
{
	begin();
	for (size_t i = 0; i < COUNT; i++)
		run(i);
	for (size_t i = 0; i < COUNT; i++) {
		drain_client(i);
		to_client_length[i] = 0;
	}
	to_guest_length = 0;
}

#endif
