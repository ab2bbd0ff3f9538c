/* A process, and frames of the host's for it: its streams and what each side may send. */
#include <fcntl.h>
#include <poll.h>

/* Two of the sources have a function of this name. */
#define put put_into_file
#include "../urunit/cgroup.c"
#undef put
#include "../urunit/channel.c"
#include "../urunit/document.c"
#include "../urunit/failure.c"
#include "../urunit/path.c"
#include "../urunit/process.c"
#include "../urunit/program.c"
#include "../urunit/settings.c"
#include "../urunit/signals.c"
#include "../urunit/start.c"
#include "../urunit/transport.c"
#include "channel_pair.h"

/* Queries have tests of their own. */
int query_run(const char *verb, const char *argument)
{
	(void)verb;
	(void)argument;
	return 0;
}

static struct process process;
static uint8_t payload_of[URUNC_PAYLOAD_MAX];

static void begin_frames(enum process_state state)
{
	document_free(&process.document);
	process_init(&process, 1, URUNC_WINDOW_DEFAULT);
	process.state = state;
}

static bool send_bytes(uint16_t type, enum urunc_channel on, uint32_t length)
{
	struct urunc_frame frame = { .length = length, .type = type, .stream = urunc_stream(1, on) };
	uint8_t *exact = malloc(length);
	bool taken;

	CHECK(exact);
	memcpy(exact, payload_of, length);
	taken = process_frame(&process, &frame, exact);
	free(exact);
	return taken;
}

static bool send_u32(uint16_t type, enum urunc_channel on, uint32_t value)
{
	urunc_put32(payload_of, value);
	return send_bytes(type, on, 4);
}

static void test_frames_refused(void)
{
	static const uint16_t others[] = { 0, URUNC_HELLO, URUNC_WELCOME, URUNC_CLOCK, URUNC_ENTROPY, URUNC_START,
					   URUNC_STARTED, URUNC_FAILED, URUNC_EXITED, URUNC_BYE, 17, 0xffff };
	static const struct {
		uint16_t type;
		unsigned channels; /* bit n: channel n */
		uint32_t length;
		uint32_t value;
	} known[] = {
		{ URUNC_DOCUMENT, 8, 4, 100 }, { URUNC_EOF, 7, 0, 0 },	   { URUNC_WINDOW, 6, 4, 1 },
		{ URUNC_SIGNAL, 8, 4, 15 },    { URUNC_RESIZE, 8, 4, 1 },
	};
	enum urunc_channel on;
	uint32_t length;
	size_t i;

	for (on = URUNC_STDIN; on <= URUNC_CONTROL; on++) {
		begin_frames(PROCESS_ABSENT);
		for (i = 0; i < sizeof others / sizeof others[0]; i++)
			CHECK(!send_bytes(others[i], on, 0) && !send_bytes(others[i], on, 4));
		for (i = 0; i < sizeof known / sizeof known[0]; i++) {
			for (length = 0; length < 10; length++) {
				begin_frames(PROCESS_ABSENT);
				urunc_put32(payload_of, known[i].value);
				CHECK_EQUAL(send_bytes(known[i].type, on, length),
					    (known[i].channels >> on & 1) && length == known[i].length);
			}
		}
		begin_frames(PROCESS_ABSENT);
		CHECK_EQUAL(send_bytes(URUNC_DATA, on, 5), on == URUNC_STDIN);
		CHECK_EQUAL(send_u32(URUNC_DOCUMENT, on, 5), on == URUNC_CONTROL);
		CHECK_EQUAL(send_bytes(URUNC_CHUNK, on, 5), on == URUNC_CONTROL);
	}
	begin_frames(PROCESS_ABSENT);
	CHECK(!send_bytes(URUNC_CHUNK, URUNC_CONTROL, 1));
	CHECK(!send_u32(URUNC_DOCUMENT, URUNC_CONTROL, URUNC_DOCUMENT_MAX + 1));
	CHECK(send_u32(URUNC_DOCUMENT, URUNC_CONTROL, 5));
	CHECK(!send_u32(URUNC_DOCUMENT, URUNC_CONTROL, 5));
	CHECK(send_bytes(URUNC_CHUNK, URUNC_CONTROL, 3));
	CHECK(!send_bytes(URUNC_CHUNK, URUNC_CONTROL, 3));
	CHECK(send_bytes(URUNC_CHUNK, URUNC_CONTROL, 2));
	CHECK(document_complete(&process.document));
	/* What crosses with its end. */
	begin_frames(PROCESS_ENDED);
	CHECK(send_bytes(URUNC_DATA, URUNC_STDIN, 5) && send_u32(URUNC_SIGNAL, URUNC_CONTROL, 9));
	CHECK_EQUAL(process.input_length, 0);
	CHECK_EQUAL(process.signals, 0);
}

static void test_frames_taken(void)
{
	begin_frames(PROCESS_ABSENT);
	CHECK(!send_u32(URUNC_SIGNAL, URUNC_CONTROL, 0));
	CHECK(!send_u32(URUNC_SIGNAL, URUNC_CONTROL, 65));
	CHECK(!send_u32(URUNC_SIGNAL, URUNC_CONTROL, UINT32_MAX));
	CHECK_EQUAL(process.signals, 0);
	CHECK(send_u32(URUNC_SIGNAL, URUNC_CONTROL, 1));
	CHECK(send_u32(URUNC_SIGNAL, URUNC_CONTROL, 64));
	CHECK(process.signals == (UINT64_C(1) << 63 | 1));
	CHECK(send_u32(URUNC_WINDOW, URUNC_STDERR, 100));
	CHECK_EQUAL(process.credit[1], URUNC_WINDOW_DEFAULT);
	CHECK_EQUAL(process.credit[2], URUNC_WINDOW_DEFAULT + 100);
	CHECK(send_u32(URUNC_RESIZE, URUNC_CONTROL, 80u << 16 | 24));
	CHECK_EQUAL(process.rows, 24);
	CHECK_EQUAL(process.columns, 80);
}

static void test_input_overflow(void)
{
	begin_frames(PROCESS_ABSENT);
	CHECK(send_bytes(URUNC_DATA, URUNC_STDIN, URUNC_PAYLOAD_MAX));
	CHECK(send_bytes(URUNC_DATA, URUNC_STDIN, URUNC_PAYLOAD_MAX - 1));
	CHECK(!send_bytes(URUNC_DATA, URUNC_STDIN, 2));
	CHECK(send_bytes(URUNC_DATA, URUNC_STDIN, 1));
	CHECK_EQUAL(process.input_length, sizeof process.input);
	CHECK(!send_bytes(URUNC_DATA, URUNC_STDIN, 1));
	CHECK(send_bytes(URUNC_EOF, URUNC_STDIN, 0));
	begin_frames(PROCESS_ABSENT);
	CHECK(send_bytes(URUNC_EOF, URUNC_STDIN, 0));
	CHECK(!send_bytes(URUNC_DATA, URUNC_STDIN, 1));
	/* Nobody reads any more: dropped. */
	process.ended[0] = true;
	CHECK(send_bytes(URUNC_DATA, URUNC_STDIN, 1));
	CHECK_EQUAL(process.input_length, 0);
}

/* Serves its streams once, as the agent's loop does; what goes to the host is counted and dropped. */
static void serve(uint32_t *granted, size_t *data, size_t *ends)
{
	struct pollfd entries[3];
	size_t at;

	process_poll(&process, &channel, entries);
	CHECK(poll(entries, 3, 0) >= 0);
	process_serve(&process, &channel, entries);
	for (at = channel.out_start; at < channel.out_end; at += URUNC_FRAME_HEADER + urunc_get32(channel.out + at)) {
		const uint8_t *frame = channel.out + at;

		switch (urunc_get16(frame + 4)) {
		case URUNC_WINDOW:
			CHECK_EQUAL(urunc_get32(frame + 8), 4);
			*granted += urunc_get32(frame + URUNC_FRAME_HEADER);
			break;
		case URUNC_DATA:
			CHECK_EQUAL(urunc_get32(frame + 8), 5);
			*data += urunc_get32(frame);
			break;
		default:
			CHECK_EQUAL(urunc_get16(frame + 4), URUNC_EOF);
			(*ends)++;
		}
	}
	channel.out_start = channel.out_end = 0;
}

static void test_input_ring(void)
{
	static uint8_t got[URUNC_WINDOW_DEFAULT];
	uint32_t sent = 0, received = 0, granted = 0;
	size_t data = 0, ends = 0;
	int pair[2];

	begin_frames(PROCESS_RUNNING);
	memset(&channel, 0, sizeof channel);
	CHECK_EQUAL(pipe2(pair, O_NONBLOCK), 0);
	process.streams[0] = pair[1];
	while (received < 1000000) {
		uint32_t length = 9973;
		ssize_t part;

		if (sent + length <= granted + URUNC_WINDOW_DEFAULT) {
			for (uint32_t i = 0; i < length; i++)
				payload_of[i] = (uint8_t)((sent + i) * 31 >> 3);
			CHECK(send_bytes(URUNC_DATA, URUNC_STDIN, length));
			sent += length;
		}
		serve(&granted, &data, &ends);
		CHECK_EQUAL(sent - granted, process.input_length);
		part = read(pair[0], got, 4999);
		for (ssize_t i = 0; i < part; i++)
			CHECK_EQUAL(got[i], (uint8_t)((received + (uint32_t)i) * 31 >> 3));
		received += part > 0 ? (uint32_t)part : 0;
	}
	CHECK(send_bytes(URUNC_EOF, URUNC_STDIN, 0));
	while (!process.ended[0]) {
		serve(&granted, &data, &ends);
		(void)read(pair[0], got, sizeof got);
	}
	CHECK_EQUAL(granted, sent);
	CHECK_EQUAL(process.streams[0], -1);
	CHECK_EQUAL(data + ends, 0);
	close(pair[0]);
	/* A reader that has gone is told, once. */
	begin_frames(PROCESS_RUNNING);
	CHECK_EQUAL(pipe2(pair, O_NONBLOCK), 0);
	process.streams[0] = pair[1];
	close(pair[0]);
	serve(&granted, &data, &ends);
	serve(&granted, &data, &ends);
	CHECK_EQUAL(ends, 1);
	CHECK(process.ended[0]);
}

/* The program meets SIGPIPE at its next write; what it has written already is nobody's. */
static void test_output_refused(void)
{
	uint32_t granted = 0;
	size_t data = 0, ends = 0;
	int pair[2];

	(void)signal(SIGPIPE, SIG_IGN);
	begin_frames(PROCESS_RUNNING);
	process.ended[0] = process.ended[2] = true;
	CHECK_EQUAL(pipe2(pair, O_NONBLOCK), 0);
	process.streams[1] = pair[0];
	CHECK_EQUAL(write(pair[1], "x", 1), 1);
	CHECK(send_bytes(URUNC_EOF, URUNC_STDOUT, 0));
	serve(&granted, &data, &ends);
	serve(&granted, &data, &ends);
	CHECK_EQUAL(data, 0);
	CHECK_EQUAL(ends, 1);
	CHECK(process.ended[1] && process.streams[1] == -1);
	CHECK_EQUAL(write(pair[1], "x", 1), -1);
	CHECK_EQUAL(errno, EPIPE);
	close(pair[1]);
	/* Not a terminal's. */
	begin_frames(PROCESS_RUNNING);
	process.ended[0] = process.ended[2] = process.settings.terminal = true;
	CHECK_EQUAL(pipe2(pair, O_NONBLOCK), 0);
	process.streams[1] = pair[0];
	CHECK(send_bytes(URUNC_EOF, URUNC_STDOUT, 0));
	CHECK_EQUAL(write(pair[1], "x", 1), 1);
	serve(&granted, &data, &ends);
	CHECK_EQUAL(data, 1);
	close(pair[0]);
	close(pair[1]);
}

static void test_output_credit(void)
{
	static const uint8_t bytes[100];
	uint32_t granted = 0;
	size_t data = 0, ends = 0;
	int pair[2];

	begin_frames(PROCESS_RUNNING);
	process.credit[1] = 10;
	process.ended[0] = process.ended[2] = true;
	CHECK_EQUAL(pipe2(pair, O_NONBLOCK), 0);
	process.streams[1] = pair[0];
	CHECK_EQUAL(write(pair[1], bytes, sizeof bytes), sizeof bytes);
	serve(&granted, &data, &ends);
	CHECK_EQUAL(data, 10);
	serve(&granted, &data, &ends);
	CHECK_EQUAL(data, 10);
	CHECK(send_u32(URUNC_WINDOW, URUNC_STDOUT, 1000));
	close(pair[1]);
	process.reaped = true;
	CHECK(!process_finished(&process));
	serve(&granted, &data, &ends);
	serve(&granted, &data, &ends);
	CHECK_EQUAL(data, 100);
	CHECK_EQUAL(ends, 1);
	CHECK_EQUAL(process.credit[1], 910);
	CHECK(process_finished(&process));
	process.status = 7 << 8;
	CHECK_EQUAL(process_status(&process), 7);
	process.status = SIGKILL;
	CHECK_EQUAL(process_status(&process), 137);
}

/* Documents that are changed by chance, always the same ones: nothing is read that is not there. */

int main(void)
{
	test_frames_refused();
	test_frames_taken();
	test_input_overflow();
	test_input_ring();
	test_output_refused();
	test_output_credit();
	document_free(&process.document);
	return 0;
}
