/* A guest whose frames a test writes, and what the session makes of them. For tests that include session.c and its parts. */
#ifndef URUNC_SCRIPTED_GUEST_H
#define URUNC_SCRIPTED_GUEST_H

#include "check.h"

/* A scripted guest: frames are put into `wire`, then fed in pieces of `piece` bytes (0: all at once). */
static uint8_t wire[256 * 1024];
static size_t wired;
static size_t piece;

static struct session session;

/* What came out, in short: one word for each event; bytes of DATA on both channels. */
static char events[4096];
static size_t data_bytes[3];
static char said[URUNC_SENTENCE_MAX + 1];
static uint32_t number;

static inline void put_raw(const void *bytes, size_t length)
{
	CHECK(length <= sizeof wire - wired);
	memcpy(wire + wired, bytes, length);
	wired += length;
}

static inline void put(uint16_t type, uint32_t process, uint32_t channel, const void *payload, uint32_t length)
{
	uint8_t header[URUNC_FRAME_HEADER];

	urunc_frame_encode(header, &(struct urunc_frame){ length, type, process * 4 + channel });
	put_raw(header, sizeof header);
	if (length > 0)
		put_raw(payload, length);
}

static inline void put_u32(uint16_t type, uint32_t process, uint32_t channel, uint32_t value)
{
	uint8_t payload[4];

	urunc_put32(payload, value);
	put(type, process, channel, payload, 4);
}

static inline void put_hello_of(uint32_t magic, uint16_t lowest, uint16_t highest)
{
	uint8_t payload[12] = { 0 };

	urunc_put32(payload, magic);
	urunc_put16(payload + 4, lowest);
	urunc_put16(payload + 6, highest);
	put(URUNC_HELLO, 0, URUNC_CONTROL, payload, sizeof payload);
}

static inline void put_hello(void)
{
	put_hello_of(URUNC_MAGIC, 1, 1);
}

static inline void put_failed(uint32_t process, uint32_t status, const char *sentence, uint32_t length)
{
	uint8_t payload[4 + URUNC_SENTENCE_MAX + 16] = { 0 };

	urunc_put32(payload, status);
	memcpy(payload + 4, sentence, length);
	put(URUNC_FAILED, process, URUNC_CONTROL, payload, 4 + length);
}

static inline void put_exited(uint32_t process, uint32_t status, uint32_t flags)
{
	uint8_t payload[8];

	urunc_put32(payload, status);
	urunc_put32(payload + 4, flags);
	put(URUNC_EXITED, process, URUNC_CONTROL, payload, sizeof payload);
}

static inline void put_data(uint32_t channel, uint32_t length)
{
	static uint8_t payload[URUNC_PAYLOAD_MAX];

	put(URUNC_DATA, 1, channel, payload, length);
}

static inline void note(const char *word)
{
	CHECK(strlen(events) + strlen(word) + 2 < sizeof events);
	if (events[0])
		strcat(events, " ");
	strcat(events, word);
}

static inline void note_event(const struct session_event *event)
{
	static const char *const words[] = { "", "hello", "started", "failed", "", "closed", "credit", "exited", "bye", "violation" };
	static const uint8_t entropy[SESSION_ENTROPY];

	if (event->type == SESSION_DATA) {
		CHECK(event->length > 0);
		data_bytes[event->channel] += event->length;
		return;
	}
	note(words[event->type]);
	number = event->number;
	if (event->type == SESSION_HELLO)
		session_welcome(&session, 1, entropy);
	if (event->type == SESSION_FAILED || event->type == SESSION_VIOLATION)
		snprintf(said, sizeof said, "%s", (const char *)event->bytes);
}

static inline void feed_piece(const uint8_t *bytes, size_t length)
{
	/* A copy of exactly this size: reading on would be noticed. */
	uint8_t *copy = malloc(length);
	struct session_span input = { copy, length };
	struct session_event event;

	CHECK(copy);
	memcpy(copy, bytes, length);
	do {
		event = session_next(&session, &input);
		if (event.type != SESSION_NOTHING)
			note_event(&event);
	} while (event.type != SESSION_NOTHING && event.type != SESSION_VIOLATION);
	CHECK(event.type == SESSION_VIOLATION || input.length == 0);
	free(copy);
}

static inline void feed(void)
{
	size_t step = piece ? piece : wired;

	for (size_t at = 0; at < wired && session.state != SESSION_BROKEN; at += step)
		feed_piece(wire + at, wired - at < step ? wired - at : step);
	wired = 0;
}

/* Takes what the host sends, by pieces of `step` bytes; returns how many. */
static inline size_t drain(uint8_t *into, size_t size, size_t step)
{
	size_t got = 0;

	for (;;) {
		struct session_span output = session_output(&session);
		size_t length = output.length < step ? output.length : step;

		if (length == 0)
			return got;
		if (into) {
			CHECK(length <= size - got);
			memcpy(into + got, output.bytes, length);
		}
		session_sent(&session, length);
		got += length;
	}
}

static uint8_t machine_document[70000];
static uint8_t process_document[100];

static inline void begin(bool terminal)
{
	session_init(&session, (struct session_span){ machine_document, sizeof machine_document },
		     (struct session_span){ process_document, sizeof process_document }, terminal);
	wired = 0;
	events[0] = said[0] = '\0';
	memset(data_bytes, 0, sizeof data_bytes);
}

/* Up to a machine that has been asked to start. */
static inline void greet(bool terminal)
{
	begin(terminal);
	put_hello();
	feed();
	drain(NULL, 0, SIZE_MAX);
}

static inline void run_process(bool terminal)
{
	greet(terminal);
	put_u32(URUNC_STARTED, 0, URUNC_CONTROL, 0);
	put_u32(URUNC_STARTED, 1, URUNC_CONTROL, 77);
	feed();
	CHECK_EQUAL(session.state, SESSION_RUNNING);
	events[0] = '\0';
}

static inline void expect_violation(const char *sentence)
{
	feed();
	CHECK_STRING(strrchr(events, ' ') ? strrchr(events, ' ') + 1 : events, "violation");
	CHECK_STRING(said, sentence);
	/* And for good. */
	wired = 0;
	put_hello();
	feed_piece(wire, wired);
	CHECK_STRING(said, sentence);
	CHECK(session_output(&session).length == 0 || session.out_first < session.out_end);
}

#endif
