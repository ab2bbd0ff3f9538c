/* The protocol's state machine on the host against a hostile guest. */
#include "../standin/session.c"
#include "../standin/session_output.c"
#include "../standin/session_processes.c"
#include "../standin/session_rules.c"
#include "scripted_guest.h"

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

int main(void)
{
	static const size_t pieces[] = { 0, 1, 5, 12, 13, 4096 };

	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
		piece = pieces[i];
		test_bad_greetings();
		test_bad_frames();
		test_bad_streams();
		test_bad_order();
		test_bad_ends();
		test_noise();
	}
	return 0;
}
