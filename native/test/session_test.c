/* The protocol's state machine on the host: a machine's life, its streams' credit. */
#include "../standin/session.c"
#include "../standin/session_output.c"
#include "../standin/session_processes.c"
#include "../standin/session_rules.c"
#include "scripted_guest.h"

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

int main(void)
{
	static const size_t pieces[] = { 0, 1, 5, 12, 13, 4096 };

	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
		piece = pieces[i];
		test_good_flow();
		test_opening(SIZE_MAX);
		test_opening(1);
		test_empty_documents();
		test_failures();
		test_output_credit();
		test_refusal();
		test_input_credit();
		test_signal_queue();
	}
	return 0;
}
