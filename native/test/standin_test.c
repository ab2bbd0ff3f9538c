/* The stand-in's parts: the protocol's state machine against a hostile guest, the launch document, logs, sentences. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../standin/launch.c"
#include "../standin/log.c"
#include "../standin/sentence.c"
#include "../standin/session.c"
#include "../standin/session_output.c"
#include "../standin/session_processes.c"
#include "../standin/session_rules.c"
#include "../standin/streams.c"
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

static void put_raw(const void *bytes, size_t length)
{
	CHECK(length <= sizeof wire - wired);
	memcpy(wire + wired, bytes, length);
	wired += length;
}

static void put(uint16_t type, uint32_t process, uint32_t channel, const void *payload, uint32_t length)
{
	uint8_t header[URUNC_FRAME_HEADER];

	urunc_frame_encode(header, &(struct urunc_frame){ length, type, process * 4 + channel });
	put_raw(header, sizeof header);
	if (length > 0)
		put_raw(payload, length);
}

static void put_u32(uint16_t type, uint32_t process, uint32_t channel, uint32_t value)
{
	uint8_t payload[4];

	urunc_put32(payload, value);
	put(type, process, channel, payload, 4);
}

static void put_hello_of(uint32_t magic, uint16_t lowest, uint16_t highest)
{
	uint8_t payload[12] = { 0 };

	urunc_put32(payload, magic);
	urunc_put16(payload + 4, lowest);
	urunc_put16(payload + 6, highest);
	put(URUNC_HELLO, 0, URUNC_CONTROL, payload, sizeof payload);
}

static void put_hello(void)
{
	put_hello_of(URUNC_MAGIC, 1, 1);
}

static void put_failed(uint32_t process, uint32_t status, const char *sentence, uint32_t length)
{
	uint8_t payload[4 + URUNC_SENTENCE_MAX + 16] = { 0 };

	urunc_put32(payload, status);
	memcpy(payload + 4, sentence, length);
	put(URUNC_FAILED, process, URUNC_CONTROL, payload, 4 + length);
}

static void put_exited(uint32_t process, uint32_t status, uint32_t flags)
{
	uint8_t payload[8];

	urunc_put32(payload, status);
	urunc_put32(payload + 4, flags);
	put(URUNC_EXITED, process, URUNC_CONTROL, payload, sizeof payload);
}

static void put_data(uint32_t channel, uint32_t length)
{
	static uint8_t payload[URUNC_PAYLOAD_MAX];

	put(URUNC_DATA, 1, channel, payload, length);
}

static void note(const char *word)
{
	CHECK(strlen(events) + strlen(word) + 2 < sizeof events);
	if (events[0])
		strcat(events, " ");
	strcat(events, word);
}

static void note_event(const struct session_event *event)
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

static void feed_piece(const uint8_t *bytes, size_t length)
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

static void feed(void)
{
	size_t step = piece ? piece : wired;

	for (size_t at = 0; at < wired && session.state != SESSION_BROKEN; at += step)
		feed_piece(wire + at, wired - at < step ? wired - at : step);
	wired = 0;
}

/* Takes what the host sends, by pieces of `step` bytes; returns how many. */
static size_t drain(uint8_t *into, size_t size, size_t step)
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

static void begin(bool terminal)
{
	session_init(&session, (struct session_span){ machine_document, sizeof machine_document },
		     (struct session_span){ process_document, sizeof process_document }, terminal);
	wired = 0;
	events[0] = said[0] = '\0';
	memset(data_bytes, 0, sizeof data_bytes);
}

/* Up to a machine that has been asked to start. */
static void greet(bool terminal)
{
	begin(terminal);
	put_hello();
	feed();
	drain(NULL, 0, SIZE_MAX);
}

static void run_process(bool terminal)
{
	greet(terminal);
	put_u32(URUNC_STARTED, 0, URUNC_CONTROL, 0);
	put_u32(URUNC_STARTED, 1, URUNC_CONTROL, 77);
	feed();
	CHECK_EQUAL(session.state, SESSION_RUNNING);
	events[0] = '\0';
}

static void expect_violation(const char *sentence)
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

static void test_good_flow(void)
{
	greet(false);
	CHECK_STRING(events, "hello");
	CHECK(session_documents_sent(&session));
	put_u32(URUNC_STARTED, 0, URUNC_CONTROL, 0);
	put_u32(URUNC_STARTED, 1, URUNC_CONTROL, 77);
	feed();
	CHECK_STRING(events, "hello started");
	CHECK_EQUAL(number, 77);
	put_data(URUNC_STDOUT, 3);
	put_data(URUNC_STDERR, 32768);
	put_data(URUNC_STDERR, 32768);
	put(URUNC_EOF, 1, URUNC_STDOUT, NULL, 0);
	put(URUNC_EOF, 1, URUNC_STDIN, NULL, 0);
	put(URUNC_EOF, 1, URUNC_STDERR, NULL, 0);
	put_exited(1, 255, URUNC_EXITED_OOM);
	feed();
	CHECK_EQUAL(data_bytes[1], 3);
	CHECK_EQUAL(data_bytes[2], 65536);
	CHECK_EQUAL(number, 255);
	CHECK(!session_input_wanted(&session));
	put(URUNC_BYE, 0, URUNC_CONTROL, NULL, 0);
	feed();
	CHECK_STRING(events, "hello started closed closed closed exited bye");
	put(URUNC_BYE, 0, URUNC_CONTROL, NULL, 0);
	expect_violation("it sent BYE out of turn");
}

static const uint8_t *expect_frame(const uint8_t *at, uint16_t type, uint32_t stream, uint32_t length)
{
	struct urunc_frame frame;

	CHECK(urunc_frame_decode(at, &frame));
	CHECK_EQUAL(frame.type, type);
	CHECK_EQUAL(frame.stream, stream);
	CHECK_EQUAL(frame.length, length);
	return at + URUNC_FRAME_HEADER;
}

static const uint8_t *expect_document(const uint8_t *at, uint32_t process, const uint8_t *bytes, uint32_t length)
{
	at = expect_frame(at, URUNC_DOCUMENT, process * 4 + 3, 4);
	CHECK_EQUAL(urunc_get32(at), length);
	at += 4;
	for (uint32_t sent = 0; sent < length;) {
		uint32_t part = length - sent < URUNC_PAYLOAD_MAX ? length - sent : URUNC_PAYLOAD_MAX;

		at = expect_frame(at, URUNC_CHUNK, process * 4 + 3, part);
		CHECK(memcmp(at, bytes + sent, part) == 0);
		at += part;
		sent += part;
	}
	return expect_frame(at, URUNC_START, process * 4 + 3, 0);
}

/* All that the host says before the process runs, in its order, whatever pieces the channel takes. */
static void test_opening(size_t step)
{
	static uint8_t sent[80000];
	const uint8_t *at = sent;
	size_t length;

	for (size_t i = 0; i < sizeof machine_document; i++)
		machine_document[i] = (uint8_t)(i * 7);
	begin(true);
	session_signal(&session, 15);
	session_signal(&session, 2);
	session_resize(&session, 1, 2);
	session_resize(&session, 24, 80);
	CHECK_EQUAL(session_output(&session).length, 0);
	put_hello();
	feed();
	length = drain(sent, sizeof sent, step);
	at = expect_frame(at, URUNC_WELCOME, 3, 8);
	CHECK_EQUAL(urunc_get16(at), 1);
	CHECK_EQUAL(urunc_get32(at + 4), 65536);
	at = expect_frame(at + 8, URUNC_CLOCK, 3, 8);
	at = expect_frame(at + 8, URUNC_ENTROPY, 3, 256);
	at = expect_document(at + 256, 0, machine_document, sizeof machine_document);
	at = expect_document(at, 1, process_document, sizeof process_document);
	at = expect_frame(at, URUNC_SIGNAL, 7, 4);
	CHECK_EQUAL(urunc_get32(at), 15);
	at = expect_frame(at + 4, URUNC_SIGNAL, 7, 4);
	CHECK_EQUAL(urunc_get32(at), 2);
	at = expect_frame(at + 4, URUNC_RESIZE, 7, 4);
	CHECK_EQUAL(urunc_get16(at), 24);
	CHECK_EQUAL(urunc_get16(at + 2), 80);
	CHECK_EQUAL(at + 4 - sent, length);
}

static void test_empty_documents(void)
{
	session_init(&session, (struct session_span){ machine_document, 0 }, (struct session_span){ NULL, 0 }, false);
	events[0] = '\0';
	put_hello();
	feed();
	CHECK_EQUAL(drain(NULL, 0, SIZE_MAX), 3 * 12 + 8 + 8 + 256 + 2 * (16 + 12));
	CHECK(session_documents_sent(&session));
}

static void test_failures(void)
{
	static char longest[URUNC_SENTENCE_MAX + 1];

	greet(false);
	put_failed(0, 128, "no disk", 8);
	put(URUNC_BYE, 0, URUNC_CONTROL, NULL, 0);
	feed();
	CHECK_STRING(events, "hello failed bye");
	CHECK_STRING(said, "no disk");

	greet(false);
	put_u32(URUNC_STARTED, 0, URUNC_CONTROL, 0);
	memset(longest, 'x', sizeof longest);
	longest[URUNC_SENTENCE_MAX - 1] = '\0';
	put_failed(1, 127, longest, URUNC_SENTENCE_MAX);
	feed();
	CHECK_EQUAL(number, 127);
	CHECK_EQUAL(strlen(said), URUNC_SENTENCE_MAX - 1);
	put_u32(URUNC_STARTED, 1, URUNC_CONTROL, 5);
	expect_violation("it spoke of a start out of turn");

	/* The machine may fail before it has all of its document, and is then sent no more of it. */
	begin(false);
	put_hello();
	feed();
	put_failed(0, 128, "", 1);
	feed();
	CHECK_STRING(events, "hello failed");
	CHECK_EQUAL(drain(NULL, 0, SIZE_MAX), 3 * 12 + 8 + 8 + 256);
	CHECK(session_documents_sent(&session));

	greet(false);
	put_failed(0, 128, "nul\0inside", 11);
	expect_violation("its sentence does not end where it should");
	greet(false);
	put_failed(0, 128, "no nul", 6);
	expect_violation("its sentence does not end where it should");
	greet(false);
	put_failed(0, 1, "status", 7);
	expect_violation("it failed with a status that is none of 126, 127 and 128");
	greet(false);
	put_failed(1, 128, "early", 6);
	expect_violation("it spoke of a start out of turn");
	greet(false);
	put_failed(0, 128, "", 0);
	expect_violation("it sent a frame whose size does not fit its type");
	greet(false);
	longest[URUNC_SENTENCE_MAX - 1] = 'x';
	longest[URUNC_SENTENCE_MAX] = '\0';
	put_failed(0, 128, longest, URUNC_SENTENCE_MAX + 1);
	expect_violation("it sent a frame whose size does not fit its type");
}

static void test_bad_greetings(void)
{
	static const uint8_t noise[64] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };

	begin(false);
	put_hello_of(URUNC_MAGIC ^ 1, 1, 1);
	expect_violation("its HELLO is not of this protocol");
	begin(false);
	put_hello_of(URUNC_MAGIC, 2, 3);
	expect_violation("it does not speak version 1");
	begin(false);
	put_hello_of(URUNC_MAGIC, 0, 0);
	expect_violation("it does not speak version 1");
	begin(false);
	put_hello_of(URUNC_MAGIC, 0, 65535);
	feed();
	CHECK_STRING(events, "hello");
	begin(false);
	put_hello();
	put_hello();
	expect_violation("it sent HELLO twice");
	begin(false);
	put_u32(URUNC_STARTED, 0, URUNC_CONTROL, 0);
	expect_violation("it did not begin with HELLO");
	begin(false);
	put_raw(noise, sizeof noise);
	expect_violation("it sent a frame that is too long");
	begin(false);
	put(URUNC_HELLO, 1, URUNC_CONTROL, noise, 12);
	expect_violation("it sent a frame on a stream of another kind");
	begin(false);
	put(URUNC_HELLO, 0, URUNC_CONTROL, noise, 13);
	expect_violation("it sent a frame whose size does not fit its type");
}

static void test_bad_frames(void)
{
	static const uint16_t hosts[] = { 0,  URUNC_WELCOME, URUNC_CLOCK,  URUNC_ENTROPY, URUNC_DOCUMENT, URUNC_CHUNK,
					  URUNC_START, URUNC_SIGNAL, URUNC_RESIZE, URUNC_DNS_ANSWER, 0x0108, 65535 };
	uint8_t header[URUNC_FRAME_HEADER] = { 0 };

	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
		run_process(false);
		put_u32(hosts[i], 1, URUNC_CONTROL, 1);
		expect_violation("it sent a frame of a type that guests do not send");
	}
	for (uint32_t process = 2; process < 70000; process += 33997) {
		run_process(false);
		put_u32(URUNC_STARTED, process, URUNC_CONTROL, 1);
		expect_violation("it sent a frame for a process that does not exist");
	}
	run_process(false);
	put_u32(URUNC_STARTED, UINT32_MAX / 4, URUNC_CONTROL, 1);
	expect_violation("it sent a frame for a process that does not exist");
	run_process(false);
	urunc_put32(header, URUNC_PAYLOAD_MAX + 1);
	urunc_put16(header + 4, URUNC_DATA);
	urunc_put32(header + 8, 5);
	put_raw(header, sizeof header);
	expect_violation("it sent a frame that is too long");
	run_process(false);
	urunc_put32(header, 1);
	header[6] = 1;
	put_raw(header, sizeof header);
	expect_violation("it sent a frame that is too long");
}

static void test_bad_streams(void)
{
	static const struct {
		uint16_t type;
		uint32_t process;
		uint32_t channel;
		uint32_t length;
	} frames[] = {
		{ URUNC_DATA, 1, URUNC_STDIN, 4 },   { URUNC_DATA, 1, URUNC_CONTROL, 4 },
		{ URUNC_DATA, 0, URUNC_STDOUT, 4 },  { URUNC_EOF, 1, URUNC_CONTROL, 0 },
		{ URUNC_EOF, 0, URUNC_STDOUT, 0 },   { URUNC_WINDOW, 1, URUNC_STDOUT, 4 },
		{ URUNC_WINDOW, 1, URUNC_CONTROL, 4 }, { URUNC_WINDOW, 0, URUNC_STDIN, 4 },
		{ URUNC_STARTED, 1, URUNC_STDOUT, 4 }, { URUNC_FAILED, 1, URUNC_STDERR, 5 },
		{ URUNC_EXITED, 0, URUNC_CONTROL, 8 }, { URUNC_EXITED, 1, URUNC_STDIN, 8 },
		{ URUNC_BYE, 1, URUNC_CONTROL, 0 },  { URUNC_BYE, 0, URUNC_STDOUT, 0 },
	};
	static const struct {
		uint16_t type;
		uint32_t channel;
		uint32_t length;
	} sizes[] = {
		{ URUNC_DATA, URUNC_STDOUT, 0 },     { URUNC_EOF, URUNC_STDOUT, 1 },   { URUNC_WINDOW, URUNC_STDIN, 3 },
		{ URUNC_WINDOW, URUNC_STDIN, 5 },    { URUNC_EXITED, URUNC_CONTROL, 4 }, { URUNC_EXITED, URUNC_CONTROL, 9 },
		{ URUNC_STARTED, URUNC_CONTROL, 0 }, { URUNC_STARTED, URUNC_CONTROL, 32768 },
	};
	static const uint8_t payload[URUNC_PAYLOAD_MAX];

	for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
		run_process(false);
		put(frames[i].type, frames[i].process, frames[i].channel, payload, frames[i].length);
		expect_violation("it sent a frame on a stream of another kind");
	}
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		run_process(false);
		put(sizes[i].type, 1, sizes[i].channel, payload, sizes[i].length);
		expect_violation("it sent a frame whose size does not fit its type");
	}
	run_process(false);
	put(URUNC_BYE, 0, URUNC_CONTROL, payload, 1);
	expect_violation("it sent a frame whose size does not fit its type");
}

static void test_bad_order(void)
{
	/* Asked for nothing yet: the host has not sent a START. */
	begin(false);
	put_hello();
	put_u32(URUNC_STARTED, 0, URUNC_CONTROL, 0);
	expect_violation("it spoke of a start that it was not asked for");
	greet(false);
	put_u32(URUNC_STARTED, 1, URUNC_CONTROL, 1);
	expect_violation("it spoke of a start out of turn");
	greet(false);
	put_u32(URUNC_STARTED, 0, URUNC_CONTROL, 1);
	expect_violation("it gave the machine a process id");
	greet(false);
	put_u32(URUNC_STARTED, 0, URUNC_CONTROL, 0);
	put_u32(URUNC_STARTED, 0, URUNC_CONTROL, 0);
	expect_violation("it spoke of a start out of turn");
	for (uint32_t id = 0; id < 2; id++) {
		greet(false);
		put_u32(URUNC_STARTED, 0, URUNC_CONTROL, 0);
		put_u32(URUNC_STARTED, 1, URUNC_CONTROL, id ? UINT32_MAX : 0);
		expect_violation("it gave a process id that is none");
	}
	run_process(false);
	put_u32(URUNC_STARTED, 1, URUNC_CONTROL, 9);
	expect_violation("it spoke of a start out of turn");
	run_process(false);
	put(URUNC_BYE, 0, URUNC_CONTROL, NULL, 0);
	expect_violation("it sent BYE out of turn");
	greet(false);
	put_data(URUNC_STDOUT, 1);
	expect_violation("it sent a frame for a process that does not run");
	greet(false);
	put_exited(1, 0, 0);
	expect_violation("it sent a frame for a process that does not run");
}

static void put_end(uint32_t status)
{
	put(URUNC_EOF, 1, URUNC_STDOUT, NULL, 0);
	put(URUNC_EOF, 1, URUNC_STDERR, NULL, 0);
	put_exited(1, status, 0);
}

static void test_bad_ends(void)
{
	run_process(false);
	put_end(0);
	put_exited(1, 0, 0);
	expect_violation("it sent a frame for a process that does not run");
	run_process(false);
	put_end(0);
	put_data(URUNC_STDOUT, 1);
	expect_violation("it sent a frame for a process that does not run");
	run_process(false);
	put_end(256);
	expect_violation("it gave an exit status that is none");
	run_process(false);
	put(URUNC_EOF, 1, URUNC_STDOUT, NULL, 0);
	put_exited(1, 0, 0);
	expect_violation("it ended the process before its output");
	run_process(true);
	put(URUNC_EOF, 1, URUNC_STDERR, NULL, 0);
	put_exited(1, 0, 0);
	expect_violation("it ended the process before its output");
	run_process(true);
	put(URUNC_EOF, 1, URUNC_STDOUT, NULL, 0);
	put_exited(1, 0, 2);
	expect_violation("it gave an exit status that is none");
	run_process(true);
	put(URUNC_EOF, 1, URUNC_STDOUT, NULL, 0);
	put_exited(1, 7, 0);
	feed();
	CHECK_STRING(events, "closed exited");
	for (uint32_t channel = 0; channel < 3; channel++) {
		run_process(false);
		put(URUNC_EOF, 1, channel, NULL, 0);
		put(URUNC_EOF, 1, channel, NULL, 0);
		expect_violation("it ended a stream twice");
	}
	run_process(false);
	put(URUNC_EOF, 1, URUNC_STDOUT, NULL, 0);
	put_data(URUNC_STDOUT, 1);
	expect_violation("it sent data after their end");
}

static void test_output_credit(void)
{
	run_process(false);
	put_data(URUNC_STDOUT, 32768);
	put_data(URUNC_STDOUT, 32768);
	feed();
	put_data(URUNC_STDOUT, 1);
	expect_violation("it sent more data than it had credit for");
	CHECK_EQUAL(data_bytes[1], 65536);

	run_process(false);
	put_data(URUNC_STDOUT, 32767);
	put_data(URUNC_STDOUT, 32768);
	put_data(URUNC_STDOUT, 2);
	expect_violation("it sent more data than it had credit for");

	/* What is granted may come; one channel's credit is not another's. */
	run_process(false);
	memset(data_bytes, 0, sizeof data_bytes);
	put_data(URUNC_STDOUT, 32768);
	feed();
	session_grant(&session, URUNC_STDOUT, SESSION_GRANT_LEAST - 1);
	CHECK_EQUAL(drain(NULL, 0, SIZE_MAX), 0);
	session_grant(&session, URUNC_STDOUT, 1);
	expect_frame(session_output(&session).bytes, URUNC_WINDOW, 5, 4);
	CHECK_EQUAL(urunc_get32(session_output(&session).bytes + 12), SESSION_GRANT_LEAST);
	CHECK_EQUAL(drain(NULL, 0, SIZE_MAX), 16);
	put_data(URUNC_STDOUT, 32768);
	put_data(URUNC_STDERR, 32768);
	put_data(URUNC_STDERR, 32768);
	put_data(URUNC_STDOUT, SESSION_GRANT_LEAST);
	feed();
	CHECK_STRING(events, "");
	put_data(URUNC_STDOUT, 1);
	expect_violation("it sent more data than it had credit for");
	CHECK_EQUAL(data_bytes[1], 65536 + SESSION_GRANT_LEAST);

	run_process(true);
	put_data(URUNC_STDERR, 1);
	expect_violation("it sent standard error apart from the terminal");
}

static void test_refusal(void)
{
	greet(false);
	drain(NULL, 0, SIZE_MAX);
	session_refuse(&session, URUNC_STDERR);
	/* Not before the process runs. */
	CHECK_EQUAL(session_output(&session).length, 0);
	run_process(false);
	session_refuse(&session, URUNC_STDERR);
	expect_frame(session_output(&session).bytes, URUNC_EOF, 6, 0);
	CHECK_EQUAL(drain(NULL, 0, SIZE_MAX), 12);
	put(URUNC_EOF, 1, URUNC_STDOUT, NULL, 0);
	feed();
	session_refuse(&session, URUNC_STDOUT);
	CHECK_EQUAL(session_output(&session).length, 0);
}

static void test_input_credit(void)
{
	static const uint32_t wrong[] = { 0, 1, 65536, 16u << 20, UINT32_MAX };

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		run_process(false);
		put_u32(URUNC_WINDOW, 1, URUNC_STDIN, wrong[i]);
		expect_violation("it granted credit for data that it was not sent");
	}
	run_process(false);
	CHECK_EQUAL(session_input_room(&session), 32768);
	session_input(&session, 32768);
	CHECK_EQUAL(session_input_room(&session), 0);
	CHECK_EQUAL(drain(NULL, 0, 1000), 32780);
	session_input(&session, 32767);
	drain(NULL, 0, SIZE_MAX);
	CHECK_EQUAL(session_input_room(&session), 1);
	session_input(&session, 1);
	drain(NULL, 0, SIZE_MAX);
	CHECK_EQUAL(session_input_room(&session), 0);
	put_u32(URUNC_WINDOW, 1, URUNC_STDIN, 65535);
	feed();
	CHECK_EQUAL(session_input_room(&session), 32768);
	put_u32(URUNC_WINDOW, 1, URUNC_STDIN, 2);
	expect_violation("it granted credit for data that it was not sent");
	CHECK_EQUAL(session_input_room(&session), 0);

	/* Nobody reads: none is sent. Nor after the end. */
	run_process(false);
	put(URUNC_EOF, 1, URUNC_STDIN, NULL, 0);
	feed();
	CHECK(!session_input_wanted(&session) && session_input_room(&session) == 0);
	run_process(false);
	session_input_end(&session);
	CHECK_EQUAL(drain(NULL, 0, SIZE_MAX), 12);
	CHECK(!session_input_wanted(&session) && session_input_room(&session) == 0);
}

static void test_signal_queue(void)
{
	run_process(false);
	for (unsigned int i = 0; i < 3 * SESSION_SIGNALS; i++) {
		CHECK_EQUAL(session_signal_room(&session), i < SESSION_SIGNALS);
		session_signal(&session, (uint8_t)(i % 64 + 1));
	}
	for (unsigned int i = 0; i < SESSION_SIGNALS; i++) {
		CHECK_EQUAL(urunc_get32(session_output(&session).bytes + 12), i + 1);
		session_sent(&session, 16);
	}
	CHECK_EQUAL(session_output(&session).length, 0);
}

/* Noise after a greeting: whatever it is, it ends in a violation or waits for more, within the bounds. */
static void test_noise(void)
{
	uint32_t seed = 1;

	for (int round = 0; round < 20000; round++) {
		run_process(round % 2);
		for (int i = 0; i < 8; i++) {
			uint8_t payload[64];
			uint32_t length;

			for (size_t at = 0; at < sizeof payload; at++)
				payload[at] = (uint8_t)((seed = seed * 1103515245u + 12345u) >> 16) % 3 ? 0 : (uint8_t)(seed >> 20);
			length = (seed >> 8) % 13;
			put((uint16_t)((seed >> 4) % 18), (seed >> 16) % 3, (seed >> 24) % 4, payload, length);
		}
		feed();
		session_grant(&session, 1, 20000);
		drain(NULL, 0, 7);
		CHECK(session.main.credit[1] <= 65536 + 20000);
	}
}

/* The launch document. */

static uint8_t launch_bytes[4096];
static size_t launch_length;
static struct launch launch;

static void add(uint16_t tag, const void *value, uint32_t length)
{
	uint8_t *at = launch_bytes + launch_length;

	urunc_put16(at, tag);
	urunc_put16(at + 2, 0);
	urunc_put32(at + 4, length);
	memcpy(at + 8, value, length);
	launch_length += 8 + length;
}

static void add_launch(void)
{
	static const uint8_t timeout[4] = { 0x10, 0x27 };

	launch_length = 0;
	add(URUNC_MONITOR_ARG, "/bin/monitor", 13);
	add(URUNC_MONITOR_ARG, "", 1);
	add(URUNC_MONITOR_ARG, "-x", 3);
	add(URUNC_MACHINE, "machine", 7);
	add(URUNC_PROCESS, "process", 7);
	add(URUNC_BOOT_TIMEOUT, timeout, 4);
}

static const char *parse(void)
{
	memset(&launch, 0, sizeof launch);
	launch.bytes = launch_bytes;
	launch.length = launch_length;
	return launch_parse(&launch);
}

#define REJECTED "the launch document has a record that is unknown, repeated or malformed"

static void test_launch(void)
{
	add_launch();
	CHECK(!parse());
	CHECK_STRING(launch.arguments[0], "/bin/monitor");
	CHECK_STRING(launch.arguments[1], "");
	CHECK_STRING(launch.arguments[2], "-x");
	CHECK(!launch.arguments[3] && !launch.terminal && !launch.agent_socket);
	CHECK_EQUAL(launch.boot_timeout, 10000);
	CHECK(launch.machine_length == 7 && memcmp(launch.machine, "machine", 7) == 0);
	add(URUNC_LAUNCH_TERMINAL, "", 0);
	add(URUNC_AGENT_SOCKET, "/run/agent", 11);
	CHECK(!parse());
	CHECK(launch.terminal && launch.memory_limit == 0);
	CHECK_STRING(launch.agent_socket, "/run/agent");
	CHECK(!launch.console_on_stdio);
	add(URUNC_CONSOLE_ON_STDIO, "", 0);
	CHECK(!parse());
	CHECK(launch.console_on_stdio);
	add(URUNC_MEMORY_LIMIT, "\0\0\0\0\1\0\0\0", 8);
	CHECK(!parse());
	CHECK(launch.memory_limit == UINT64_C(1) << 32);
	CHECK(!launch.server[0]);
	add(URUNC_FILE_SERVER, "/bin/server", 12);
	add(URUNC_FILE_SERVER, "-y", 3);
	CHECK(!parse());
	CHECK_STRING(launch.server[0], "/bin/server");
	CHECK_STRING(launch.server[1], "-y");
	CHECK(!launch.server[2] && !launch.arguments[3]);
	CHECK(launch.device_count == 0);
	add(URUNC_LAUNCH_EXCLUSIVE, "/dev/disk-root", 15);
	CHECK(!parse() && launch.device_count == 1);
	CHECK_STRING(launch.devices[0], "/dev/disk-root");
	for (size_t cut = 1; cut < launch_length; cut++) {
		memset(&launch, 0, sizeof launch);
		launch.bytes = launch_bytes + launch_length - cut;
		launch.length = cut;
		launch_parse(&launch);
	}
	launch_length--;
	CHECK_STRING(parse(), "the launch document is malformed");
}

static void test_bad_launch(void)
{
	static const struct {
		uint16_t tag;
		const char *value;
		uint32_t length;
	} records[] = {
		{ 0x0300, "", 0 }, { URUNC_ARG, "x", 2 }, { URUNC_MACHINE, "again", 5 }, { URUNC_PROCESS, "", 0 },
		{ URUNC_BOOT_TIMEOUT, "\1\0\0\0", 4 }, { URUNC_LAUNCH_TERMINAL, "x", 1 }, { URUNC_AGENT_SOCKET, "relative", 9 },
		{ URUNC_MEMORY_LIMIT, "\0\0\0\0\0\0\0\0", 8 }, { URUNC_MEMORY_LIMIT, "\1\0\0\0", 4 },
		{ URUNC_AGENT_SOCKET, "/no-nul", 7 }, { URUNC_CONSOLE_ON_STDIO, "x", 1 }, { URUNC_MONITOR_ARG, "a\0b", 4 }, { URUNC_MONITOR_ARG, "", 0 },
		{ URUNC_FILE_SERVER, "relative", 9 }, { URUNC_FILE_SERVER, "/no-nul", 7 }, { URUNC_FILE_SERVER, "", 1 },
		{ URUNC_LAUNCH_EXCLUSIVE, "relative", 9 }, { URUNC_LAUNCH_EXCLUSIVE, "/no-nul", 7 },
	};
	static char path[110];

	for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
		add_launch();
		add(records[i].tag, records[i].value, records[i].length);
		CHECK_STRING(parse(), REJECTED);
	}
	add_launch();
	for (size_t i = 0; i < LAUNCH_SERVER_ARGUMENTS; i++)
		add(URUNC_FILE_SERVER, "/", 2);
	CHECK(!parse());
	add(URUNC_FILE_SERVER, "/", 2);
	CHECK_STRING(parse(), REJECTED);
	add_launch();
	for (size_t i = 0; i < LAUNCH_DEVICES; i++)
		add(URUNC_LAUNCH_EXCLUSIVE, "/", 2);
	CHECK(!parse());
	add(URUNC_LAUNCH_EXCLUSIVE, "/", 2);
	CHECK_STRING(parse(), REJECTED);
	add_launch();
	memset(path, '/', sizeof path - 1);
	add(URUNC_AGENT_SOCKET, path, sizeof path);
	CHECK_STRING(parse(), REJECTED);
	add_launch();
	add(URUNC_CONSOLE_ON_STDIO, "", 0);
	add(URUNC_CONSOLE_ON_STDIO, "", 0);
	CHECK_STRING(parse(), REJECTED);
	launch_length = 0;
	CHECK_STRING(parse(), "the launch document is incomplete");
	add(URUNC_MONITOR_ARG, "relative", 9);
	CHECK_STRING(parse(), REJECTED);
	launch_length = 0;
	add(URUNC_MACHINE, "", 0);
	add(URUNC_PROCESS, "", 0);
	add(URUNC_BOOT_TIMEOUT, "\0\0\0\0", 4);
	CHECK_STRING(parse(), REJECTED);
	add_launch();
	add(URUNC_LAUNCH_TERMINAL, "", 0);
	add(URUNC_LAUNCH_TERMINAL, "", 0);
	CHECK_STRING(parse(), REJECTED);
}

static const char *parse_added(void)
{
	memset(&launch, 0, sizeof launch);
	launch.bytes = launch_bytes;
	launch.length = launch_length;
	return launch_parse_added(&launch);
}

static void test_added_launch(void)
{
	launch_length = 0;
	add(URUNC_PROCESS, "process", 7);
	CHECK(!parse_added());
	CHECK(!launch.terminal && !launch.attached);
	add(URUNC_LAUNCH_ATTACHED, "", 0);
	add(URUNC_LAUNCH_TERMINAL, "", 0);
	CHECK(!parse_added());
	CHECK(launch.terminal && launch.attached && launch.process_length == 7);
	add(URUNC_LAUNCH_ATTACHED, "", 0);
	CHECK_STRING(parse_added(), REJECTED);
	launch_length = 0;
	add(URUNC_PROCESS, "process", 7);
	add(URUNC_LAUNCH_ATTACHED, "x", 1);
	CHECK_STRING(parse_added(), REJECTED);
	launch_length = 0;
	add(URUNC_PROCESS, "process", 7);
	add(URUNC_MACHINE, "machine", 7);
	CHECK_STRING(parse_added(), REJECTED);
	add_launch();
	add(URUNC_LAUNCH_ATTACHED, "", 0);
	CHECK(!parse());
	CHECK(launch.attached);
}

static void test_launch_resolvers(void)
{
	static const char docker[20] = { 4, 0, 0, 0, 127, 0, 0, 11 }, own[20] = { 6, [19] = 1 };
	static const char outside[20] = { 4, 0, 0, 0, 8, 8, 8, 8 }, no_family[20] = { 5, 0, 0, 0, 127 };
	const char *const bad[] = { outside, no_family, docker + 1 };

	add_launch();
	add(URUNC_LAUNCH_RESOLVER, docker, sizeof docker);
	add(URUNC_LAUNCH_RESOLVER, own, sizeof own);
	CHECK(!parse());
	CHECK_EQUAL(launch.resolver_count, 2);
	CHECK_EQUAL(ntohl(launch.resolvers[0].ip4.sin_addr.s_addr), 0x7f00000b);
	CHECK_EQUAL(ntohs(launch.resolvers[0].ip4.sin_port), 53);
	CHECK_EQUAL(ntohs(launch.resolvers[1].ip6.sin6_port), 53);
	add(URUNC_LAUNCH_RESOLVER, docker, sizeof docker);
	CHECK(!parse());
	add(URUNC_LAUNCH_RESOLVER, docker, sizeof docker);
	CHECK_STRING(parse(), REJECTED);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		add_launch();
		add(URUNC_LAUNCH_RESOLVER, bad[i], bad[i] == docker + 1 ? 19 : 20);
		CHECK_STRING(parse(), REJECTED);
	}
}

static char directory[] = "/tmp/standin-test-XXXXXX";
static char path_of_file[64];

static const char *path_of(const char *name)
{
	snprintf(path_of_file, sizeof path_of_file, "%s/%s", directory, name);
	return path_of_file;
}

static void test_launch_file(void)
{
	int file = open(path_of("launch"), O_WRONLY | O_CREAT, 0600);

	add_launch();
	CHECK_EQUAL(write(file, launch_bytes, launch_length), launch_length);
	close(file);
	memset(&launch, 0, sizeof launch);
	CHECK(!launch_read(&launch, path_of("launch")));
	CHECK(access(path_of("launch"), F_OK) != 0);
	CHECK_STRING(launch.arguments[0], "/bin/monitor");
	launch_forget(&launch);
	CHECK(!launch.bytes && !launch.machine);
	CHECK_STRING(launch_read(&launch, path_of("launch")),
		     "there is no launch document: the container was not started by urunc");
	file = open(path_of("launch"), O_WRONLY | O_CREAT, 0600);
	CHECK_STRING(launch_read(&launch, path_of("launch")), "the launch document is empty or too large");
	CHECK_EQUAL(ftruncate(file, LAUNCH_MOST + 1), 0);
	CHECK_STRING(launch_read(&launch, path_of("launch")), "the launch document is empty or too large");
	close(file);
	CHECK_EQUAL(unlink(path_of("launch")), 0);
	CHECK_EQUAL(symlink("/etc/passwd", path_of("launch")), 0);
	CHECK_STRING(launch_read(&launch, path_of("launch")),
		     "there is no launch document: the container was not started by urunc");
	CHECK_EQUAL(unlink(path_of("launch")), 0);
	CHECK_STRING(launch_read(&launch, directory), "the launch document is not a file");
}

/* Logs: bytes are numbered, so that what is kept can be told. */

static void append_numbered(struct log *log, uint32_t from, uint32_t count)
{
	for (uint32_t i = from; i < from + count; i++) {
		uint8_t bytes[4];

		urunc_put32(bytes, i);
		log_append(log, bytes, sizeof bytes);
	}
}

static void test_log(void)
{
	static uint8_t large[LOG_MOST / 2];
	struct log log;
	struct stat status;
	uint8_t bytes[8];
	uint32_t last = 1000000;

	CHECK(log_open(&log, path_of("log")));
	CHECK_EQUAL(log_tail(&log, bytes, sizeof bytes), 0);
	append_numbered(&log, 0, LOG_MOST / 4);
	CHECK_EQUAL(log.size, LOG_MOST);
	append_numbered(&log, LOG_MOST / 4, 1);
	CHECK_EQUAL(log.size, LOG_MOST / 2 + 4);
	CHECK_EQUAL(pread(log.file, bytes, 4, 0), 4);
	CHECK_EQUAL(urunc_get32(bytes), LOG_MOST / 8);
	append_numbered(&log, LOG_MOST / 4 + 1, last - LOG_MOST / 4);
	CHECK_EQUAL(fstat(log.file, &status), 0);
	CHECK_EQUAL(status.st_size, log.size);
	CHECK(log.size <= LOG_MOST && log.size > LOG_MOST / 2);
	CHECK_EQUAL(status.st_mode & 0777, 0600);
	for (int64_t at = 0; at < log.size; at += 4) {
		CHECK_EQUAL(pread(log.file, bytes, 4, at), 4);
		CHECK_EQUAL(urunc_get32(bytes), last - (uint32_t)(log.size - at - 4) / 4);
	}
	CHECK_EQUAL(log_tail(&log, bytes, sizeof bytes), 8);
	CHECK_EQUAL(urunc_get32(bytes + 4), last);
	for (int i = 0; i < 5; i++)
		log_append(&log, large, sizeof large);
	CHECK_EQUAL(log.size, LOG_MOST);
	close(log.file);
	CHECK_EQUAL(unlink(path_of("log")), 0);
	CHECK_EQUAL(symlink("elsewhere", path_of("log")), 0);
	CHECK(!log_open(&log, path_of("log")));
	CHECK_EQUAL(unlink(path_of("log")), 0);
	/* Without a file nothing happens. */
	log_append(&log, bytes, sizeof bytes);
	CHECK_EQUAL(log_tail(&log, bytes, sizeof bytes), 0);
}

static const char *clean(const char *text, size_t size)
{
	static char line[64];

	CHECK(size <= sizeof line);
	memset(line, 'Z', sizeof line);
	sentence_clean(line, size, (const uint8_t *)text, strlen(text));
	return line;
}

static void test_sentences(void)
{
	static const char *const bad[] = { "\x80", "\xc0", "\xc1", "\xff", "\xf5" };
	char line[16];

	CHECK_STRING(clean("plain", 64), "plain");
	CHECK_STRING(clean("  a\nfailed 1\x1b[2J\x7f\r\n", 64), "a failed 1 [2J");
	CHECK_STRING(clean("", 64), "");
	CHECK_STRING(clean("\n \t", 64), "");
	CHECK_STRING(clean("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", 64),
		     "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
	CHECK_STRING(clean("a\xc2\x9b" "31mb", 64), "a 31mb");
	CHECK_STRING(clean("a\xe2\x80\xae" "b\xe2\x80\xa8" "c\xe2\x81\xa6" "d", 64), "a b c d");
	CHECK_STRING(clean("a\xed\xa0\x80" "b", 64), "a???b");
	CHECK_STRING(clean("a\xe0\x80\x80" "b\xf4\x90\x80\x80", 64), "a???b????");
	CHECK_STRING(clean("a\xe2\x82", 64), "a??");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		CHECK_STRING(clean(bad[i], 64), "?");
	CHECK_STRING(clean("12345678", 8), "1234567");
	CHECK_STRING(clean("123456\xc3\xbc", 8), "123456");
	CHECK_STRING(clean("x", 1), "");
	sentence_last_line(line, sizeof line, (const uint8_t *)"one\ntwo\n\n \n", 11);
	CHECK_STRING(line, "two");
	sentence_last_line(line, sizeof line, (const uint8_t *)"one", 3);
	CHECK_STRING(line, "one");
	sentence_last_line(line, sizeof line, (const uint8_t *)"\n\n", 2);
	CHECK_STRING(line, "");
	sentence_last_line(line, sizeof line, (const uint8_t *)"", 0);
	CHECK_STRING(line, "");
}

/* Outputs: a pipe of which little is read, so that the ring wraps, and one that nobody reads. */

static struct output output;

static void test_output(void)
{
	static uint8_t bytes[URUNC_WINDOW_DEFAULT];
	static uint8_t got[URUNC_WINDOW_DEFAULT];
	uint32_t put_count = 0, got_count = 0, passed = 0;
	int ends[2];

	CHECK_EQUAL(pipe(ends), 0);
	output_open(&output, ends[1]);
	CHECK_EQUAL(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
	while (got_count < 3000000) {
		struct pollfd slot = { ends[1], POLLOUT, 0 };
		size_t length = 7001;
		ssize_t part;

		for (size_t i = 0; i < length; i++)
			bytes[i] = (uint8_t)((put_count + i) * 31 >> 3);
		if (output_put(&output, bytes, length))
			put_count += (uint32_t)length;
		if (poll(&slot, 1, 0) > 0)
			output_flush(&output);
		passed += output_passed(&output);
		CHECK_EQUAL(put_count - passed, output.length);
		if (output.length < 30000 && passed - got_count < 5000)
			continue;
		part = read(ends[0], got, 4999);
		for (ssize_t i = 0; i < part; i++)
			CHECK_EQUAL(got[i], (uint8_t)((got_count + (uint32_t)i) * 31 >> 3));
		got_count += (uint32_t)part;
	}
	while (output_put(&output, bytes, 1))
		put_count++;
	CHECK_EQUAL(output.length, sizeof output.ring);
	signal(SIGPIPE, SIG_IGN);
	close(ends[0]);
	output_flush(&output);
	CHECK_EQUAL(output_passed(&output), sizeof output.ring);
	CHECK(!output_waits(&output));
	CHECK(output_refused(&output) && !output_refused(&output));
	CHECK(output_put(&output, bytes, sizeof bytes));
	CHECK(!output_waits(&output));
	CHECK_EQUAL(output_passed(&output), sizeof bytes);
	close(ends[1]);
}

static void test_broken_output(void)
{
	char path[64];
	int ends[2];

	/* A pipe without a name is noticed before anything is written to it. */
	CHECK_EQUAL(pipe(ends), 0);
	output_open(&output, ends[1]);
	CHECK(output.stream.nameless);
	CHECK(output_put(&output, (const uint8_t *)"x", 1));
	output_broken(&output);
	CHECK(output_refused(&output));
	CHECK_EQUAL(output_passed(&output), 1);
	output_broken(&output);
	CHECK(!output_refused(&output));
	close(ends[0]);
	close(ends[1]);
	/* One with a name may have another reader later. */
	snprintf(path, sizeof path, "%s", path_of("fifo"));
	CHECK_EQUAL(mkfifo(path, 0600), 0);
	ends[0] = open(path, O_RDWR);
	output_open(&output, ends[0]);
	CHECK(!output.stream.nameless);
	close(ends[0]);
	CHECK_EQUAL(unlink(path), 0);
}

static void test_input(void)
{
	struct stream stream;
	uint8_t bytes[8];
	int ends[2];

	CHECK_EQUAL(pipe(ends), 0);
	stream_open(&stream, ends[0], O_RDONLY);
	CHECK_EQUAL(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
	CHECK_EQUAL(stream_read(&stream, bytes, sizeof bytes), -1);
	CHECK_EQUAL(write(ends[1], "hello", 5), 5);
	CHECK_EQUAL(stream_read(&stream, bytes, sizeof bytes), 5);
	close(ends[1]);
	CHECK_EQUAL(stream_read(&stream, bytes, sizeof bytes), 0);
	CHECK_EQUAL(stream.shared, -1);
	close(ends[0]);
	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	stream_open(&stream, ends[0], O_RDONLY);
	CHECK_EQUAL(stream_read(&stream, bytes, sizeof bytes), -1);
	close(ends[0]);
	close(ends[1]);
	stream_open(&stream, ends[0], O_RDONLY);
	CHECK_EQUAL(stream.shared, -1);
	CHECK_EQUAL(open("/dev/null", O_RDONLY), ends[0]);
	stream_open(&stream, ends[0], O_RDONLY);
	CHECK_EQUAL(stream_read(&stream, bytes, sizeof bytes), 0);
	close(ends[0]);
}

static void test_session(void)
{
	test_good_flow();
	test_opening(SIZE_MAX);
	test_opening(1);
	test_empty_documents();
	test_failures();
	test_bad_greetings();
	test_bad_frames();
	test_bad_streams();
	test_bad_order();
	test_bad_ends();
	test_output_credit();
	test_refusal();
	test_input_credit();
	test_signal_queue();
	test_noise();
}

int main(void)
{
	static const size_t pieces[] = { 0, 1, 5, 12, 13, 4096 };

	CHECK(mkdtemp(directory));
	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
		piece = pieces[i];
		test_session();
	}
	test_launch();
	test_bad_launch();
	test_added_launch();
	test_launch_resolvers();
	test_launch_file();
	test_log();
	test_sentences();
	test_output();
	test_broken_output();
	test_input();
	CHECK_EQUAL(rmdir(directory), 0);
	return 0;
}
