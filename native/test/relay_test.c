/* Processes that are added to a machine: the relay between a hostile client and a hostile guest. */
#include "../standin/launch.c"
#include "../standin/relay.c"
#include "../standin/session.c"
#include "../standin/session_output.c"
#include "../standin/session_processes.c"
#include "../standin/session_rules.c"
#include "relay_sides.h"

static char events[256];

/* The frames of a stream in short, "TYPE/STREAM/LENGTH"; of those of four bytes, the number. */
static const char *list(const uint8_t *at, size_t length)
{
	events[0] = '\0';
	while (length > 0) {
		struct urunc_frame frame;
		char word[64];

		CHECK(length >= URUNC_FRAME_HEADER && urunc_frame_decode(at, &frame));
		CHECK(length >= URUNC_FRAME_HEADER + frame.length);
		if (frame.type != URUNC_DATA && frame.length == 4)
			snprintf(word, sizeof word, "%u/%u=%u", frame.type, frame.stream, urunc_get32(at + URUNC_FRAME_HEADER));
		else
			snprintf(word, sizeof word, "%u/%u/%u", frame.type, frame.stream, frame.length);
		CHECK(strlen(events) + strlen(word) + 2 < sizeof events);
		if (events[0])
			strcat(events, " ");
		strcat(events, word);
		at += URUNC_FRAME_HEADER + frame.length;
		length -= URUNC_FRAME_HEADER + frame.length;
	}
	return events;
}

static const char *list_guest(void)
{
	list(to_guest, to_guest_length);
	to_guest_length = 0;
	return events;
}

static const char *list_client(size_t which)
{
	drain_client(which);
	list(to_client[which], to_client_length[which]);
	to_client_length[which] = 0;
	return events;
}

static void test_flow(void)
{
	begin();
	ask(1);
	CHECK(client_u32(1, URUNC_SIGNAL, 3, 15));
	CHECK_STRING(list_guest(), "5/15=10 6/15/5 6/15/5 7/15/0 13/15=15");
	guest_u32(URUNC_STARTED, 3, 3, 71);
	CHECK_STRING(list_client(1), "8/7=71");
	CHECK(client(1, URUNC_DATA, 0, "abc", 3));
	CHECK(client(1, URUNC_EOF, 0, NULL, 0));
	CHECK(client_u32(1, URUNC_RESIZE, 3, 80u << 16 | 24));
	CHECK_STRING(list_guest(), "10/12/3 11/12/0 14/15=5242904");
	guest_u32(URUNC_WINDOW, 3, 0, 3);
	guest(URUNC_DATA, 3, 1, "xy", 2);
	guest(URUNC_DATA, 3, 2, "z", 1);
	guest(URUNC_EOF, 3, 0, NULL, 0);
	guest(URUNC_EOF, 3, 1, NULL, 0);
	guest(URUNC_EOF, 3, 2, NULL, 0);
	guest_exits(3, 9);
	CHECK(!relay_over(&relays[1]));
	CHECK_STRING(list_client(1), "12/4=3 11/4/0 10/6/1 10/5/2 11/6/0 11/5/0 15/7/8");
	CHECK_EQUAL(urunc_get32(relays[1].end_payload), 9);
	CHECK(relay_over(&relays[1]));
	/* What crosses with the end is dropped. */
	CHECK(client_u32(1, URUNC_SIGNAL, 3, 15));
	CHECK(client_u32(1, URUNC_WINDOW, 1, 2));
	CHECK_STRING(list_guest(), "");
	relay_close(&relays[1], &session);
	guest(URUNC_DATA, 3, 1, "x", 1);
	CHECK_STRING(said, "it sent a frame for a process that does not exist");
}

static void test_failures(void)
{
	begin();
	ask(0);
	guest(URUNC_FAILED, 2, 3, "\x7f\0\0\0no\0", 7);
	CHECK(!relay_over(&relays[0]));
	CHECK_STRING(list_client(0), "9/7/7");
	CHECK(relay_over(&relays[0]));
	/* Before its START: what the client still sends is dropped. */
	CHECK(client_u32(1, URUNC_DOCUMENT, 3, 10));
	guest(URUNC_FAILED, 3, 3, "\x80\0\0\0many\0", 9);
	to_guest_length = 0;
	CHECK(client(1, URUNC_CHUNK, 3, zeroes, 10));
	CHECK(client(1, URUNC_START, 3, NULL, 0));
	CHECK_STRING(list_guest(), "");
	CHECK_STRING(list_client(1), "9/7/9");
	CHECK(memcmp(relays[1].end_payload, "\x80\0\0\0many\0", 9) == 0);
}

static void test_credit(void)
{
	begin_running();
	/* The guest's: 65536 and no more, however little the client reads. */
	guest(URUNC_DATA, 2, 1, zeroes, 32768);
	guest(URUNC_DATA, 2, 1, zeroes, 32768);
	CHECK(!client_u32(0, URUNC_WINDOW, 1, 1));
	begin_running();
	guest(URUNC_DATA, 2, 1, zeroes, 32768);
	guest(URUNC_DATA, 2, 1, zeroes, 32768);
	CHECK_STRING(list_client(0), "10/5/32768 10/5/32768");
	CHECK(client_u32(0, URUNC_WINDOW, 1, 40000));
	CHECK_STRING(list_guest(), "12/9=40000");
	CHECK_EQUAL(relays[0].process.credit[1], 40000);
	guest(URUNC_DATA, 2, 1, zeroes, 32768);
	guest(URUNC_DATA, 2, 2, zeroes, 32768);
	CHECK_STRING(said, "");
	CHECK(!client_u32(0, URUNC_WINDOW, 1, 65536 - 40000 + 32768 + 1));
	guest(URUNC_DATA, 2, 1, zeroes, 7233);
	CHECK_STRING(said, "it sent more data than it had credit for");

	/* The client's. */
	begin_running();
	CHECK(client(0, URUNC_DATA, 0, zeroes, 32768));
	CHECK(client(0, URUNC_DATA, 0, zeroes, 32767));
	CHECK(!client(0, URUNC_DATA, 0, zeroes, 2));
	begin_running();
	CHECK(client(0, URUNC_DATA, 0, zeroes, 100));
	guest_u32(URUNC_WINDOW, 2, 0, 100);
	CHECK_STRING(said, "");
	guest_u32(URUNC_WINDOW, 2, 0, 1);
	CHECK_STRING(said, "it granted credit for data that it was not sent");
	/* Not before the data have gone to the guest. */
	begin_running();
	CHECK(client_on(0, 1, URUNC_DATA, 0, zeroes, 100));
	CHECK_EQUAL(relay_in_room(&relays[0]), 0);
	guest_u32(URUNC_WINDOW, 2, 0, 100);
	CHECK_STRING(said, "it granted credit for data that it was not sent");
}

static void test_bad_clients(void)
{
	static const uint16_t guests[] = { 0, URUNC_HELLO, URUNC_WELCOME, URUNC_CLOCK, URUNC_ENTROPY, URUNC_STARTED,
					   URUNC_FAILED, URUNC_EXITED, URUNC_BYE, 17, 65535 };
	static const struct {
		uint16_t type;
		uint32_t channel;
		uint32_t length;
	} wrong[] = {
		{ URUNC_DATA, 1, 4 },   { URUNC_DATA, 3, 4 },   { URUNC_DATA, 0, 0 },   { URUNC_EOF, 3, 0 },
		{ URUNC_EOF, 0, 1 },    { URUNC_WINDOW, 0, 4 }, { URUNC_WINDOW, 3, 4 }, { URUNC_WINDOW, 1, 3 },
		{ URUNC_SIGNAL, 0, 4 }, { URUNC_SIGNAL, 3, 5 }, { URUNC_RESIZE, 1, 4 }, { URUNC_RESIZE, 3, 8 },
		{ URUNC_SIGNAL, 3, 4 }, { URUNC_WINDOW, 1, 4 }, { URUNC_DOCUMENT, 3, 4 }, { URUNC_CHUNK, 3, 1 },
		{ URUNC_START, 3, 0 },  { URUNC_CHUNK, 3, 0 },
	};
	static const uint32_t numbers[] = { 0, 2, 3, 65535, UINT32_MAX / 4 };
	uint8_t header[URUNC_FRAME_HEADER];
	size_t taken;

	for (size_t i = 0; i < sizeof guests / sizeof guests[0]; i++) {
		begin_running();
		CHECK(!client(0, guests[i], 3, zeroes, 4));
	}
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		begin_running();
		CHECK(!client(0, wrong[i].type, wrong[i].channel, zeroes, wrong[i].length));
		CHECK_EQUAL(to_guest_length, 0);
	}
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		begin_running();
		CHECK(!client_on(0, numbers[i], URUNC_DATA, 0, zeroes, 4));
	}
	begin_running();
	CHECK(!client_u32(0, URUNC_SIGNAL, 3, 65));
	begin_running();
	make_frame(header, URUNC_DATA, 4, NULL, 0);
	urunc_put32(header, URUNC_PAYLOAD_MAX + 1);
	CHECK(!client_bytes(&relays[0], header, sizeof header, &taken));
	begin_running();
	make_frame(header, URUNC_EOF, 4, NULL, 0);
	header[6] = 1;
	CHECK(!client_bytes(&relays[0], header, sizeof header, &taken));
	begin_running();
	CHECK(client(0, URUNC_EOF, 0, NULL, 0));
	CHECK(!client(0, URUNC_DATA, 0, zeroes, 1));
	begin_running();
	CHECK(client(0, URUNC_EOF, 0, NULL, 0));
	CHECK(!client(0, URUNC_EOF, 0, NULL, 0));
	begin_running();
	CHECK(client(0, URUNC_EOF, 1, NULL, 0));
	CHECK(!client(0, URUNC_EOF, 1, NULL, 0));
}

/* An output that the client does not want any more. */
static void test_refusal(void)
{
	begin_running();
	to_guest_length = 0;
	CHECK(client(0, URUNC_EOF, 2, NULL, 0));
	CHECK(client(0, URUNC_EOF, 1, NULL, 0));
	CHECK(client(0, URUNC_DATA, 0, "x", 1));
	CHECK_STRING(list_guest(), "11/10/0 11/9/0 10/8/1");
	/* Once the guest has ended it, nothing is to be said. */
	begin_running();
	to_guest_length = 0;
	guest(URUNC_EOF, 2, 1, NULL, 0);
	CHECK(client(0, URUNC_EOF, 1, NULL, 0));
	CHECK_STRING(list_guest(), "");
}

static void test_bad_order_of_clients(void)
{
	begin();
	CHECK(!client(0, URUNC_START, 3, NULL, 0));
	CHECK(!client(1, URUNC_CHUNK, 3, zeroes, 1));
	CHECK(!client_u32(2, URUNC_SIGNAL, 3, 9));
	begin();
	CHECK(!client_u32(0, URUNC_DOCUMENT, 3, URUNC_DOCUMENT_MAX + 1));
	CHECK(client_u32(1, URUNC_DOCUMENT, 3, 2));
	CHECK(!client(1, URUNC_CHUNK, 3, zeroes, 3));
	CHECK(client_u32(2, URUNC_DOCUMENT, 3, 2));
	CHECK(!client(2, URUNC_START, 3, NULL, 0));
	begin();
	CHECK(client_u32(0, URUNC_DOCUMENT, 3, 0));
	CHECK(client(0, URUNC_START, 3, NULL, 0));
	CHECK(!client(0, URUNC_START, 3, NULL, 0));
	ask(1);
	CHECK(!client(1, URUNC_DATA, 0, zeroes, 1));
	ask(2);
	CHECK(!client_u32(2, URUNC_WINDOW, 1, 1));
	CHECK_EQUAL(session.state, SESSION_RUNNING);
}

#define BAD_GUEST(what, sentence)            \
	do {                                 \
		begin_running();             \
		what;                        \
		CHECK_STRING(said, sentence); \
	} while (0)

static void test_bad_guests(void)
{
	BAD_GUEST(guest_u32(URUNC_STARTED, 2, 3, 9), "it spoke of a start out of turn");
	BAD_GUEST(guest(URUNC_FAILED, 2, 3, "\x7f\0\0\0", 5), "it spoke of a start out of turn");
	BAD_GUEST(guest(URUNC_DATA, 5, 1, zeroes, 1), "it sent a frame for a process that does not exist");
	BAD_GUEST(guest(URUNC_DATA, 65536 + 2, 1, zeroes, 1), "it sent a frame for a process that does not exist");
	BAD_GUEST(guest(URUNC_DATA, UINT32_MAX / 4, 1, zeroes, 1), "it sent a frame for a process that does not exist");
	BAD_GUEST(guest(URUNC_FAILED, UINT32_MAX / 4, 3, "\x7f\0\0\0", 5), "it sent a frame for a process that does not exist");
	BAD_GUEST(guest(URUNC_DATA, 2, 0, zeroes, 1), "it sent a frame on a stream of another kind");
	BAD_GUEST(guest(URUNC_BYE, 2, 3, NULL, 0), "it sent a frame on a stream of another kind");
	BAD_GUEST(guest(URUNC_HELLO, 2, 3, zeroes, 12), "it sent a frame on a stream of another kind");
	BAD_GUEST(guest(URUNC_SIGNAL, 2, 3, zeroes, 4), "it sent a frame of a type that guests do not send");
	BAD_GUEST(guest(URUNC_DATA, 2, 1, zeroes, 0), "it sent a frame whose size does not fit its type");
	BAD_GUEST(guest_exits(2, 0), "it ended the process before its output");
	BAD_GUEST((guest(URUNC_EOF, 2, 1, NULL, 0), guest(URUNC_DATA, 2, 2, "x", 1), guest_exits(2, 0)),
		  "it ended the process before its output");
	BAD_GUEST((guest(URUNC_EOF, 2, 1, NULL, 0), guest_exits(2, 0)), "");
	BAD_GUEST((guest(URUNC_EOF, 2, 1, NULL, 0), guest_exits(2, 256)), "it gave an exit status that is none");
	BAD_GUEST((guest(URUNC_EOF, 2, 1, NULL, 0), guest_exits(2, 0), guest_exits(2, 0)),
		  "it sent a frame for a process that does not run");
	BAD_GUEST((guest(URUNC_EOF, 2, 1, NULL, 0), guest(URUNC_EOF, 2, 1, NULL, 0)), "it ended a stream twice");
	BAD_GUEST((guest(URUNC_EOF, 2, 1, NULL, 0), guest(URUNC_DATA, 2, 1, "x", 1)), "it sent data after their end");
	BAD_GUEST(guest_u32(URUNC_WINDOW, 2, 0, 1), "it granted credit for data that it was not sent");
	begin();
	guest_u32(URUNC_STARTED, 2, 3, 9);
	CHECK_STRING(said, "it spoke of a start out of turn");
	begin();
	guest(URUNC_FAILED, 2, 3, "\x7f\0\0\0", 5);
	CHECK_STRING(said, "it spoke of a start out of turn");
	begin();
	CHECK(client_u32(0, URUNC_DOCUMENT, 3, 10));
	guest_u32(URUNC_STARTED, 2, 3, 9);
	CHECK_STRING(said, "it spoke of a start out of turn");
	begin();
	ask(0);
	guest(URUNC_DATA, 2, 1, "x", 1);
	CHECK_STRING(said, "it sent a frame for a process that does not run");
	begin();
	ask(0);
	guest_u32(URUNC_STARTED, 2, 3, 0);
	CHECK_STRING(said, "it gave a process id that is none");
	begin();
	ask(0);
	guest(URUNC_FAILED, 2, 3, "\x01\0\0\0", 5);
	CHECK_STRING(said, "it failed with a status that is none of 126, 127 and 128");
}

static void test_leaving(void)
{
	/* Nothing has been said of it. */
	begin();
	relay_leave(&relays[0]);
	CHECK(relay_over(&relays[0]) && !relay_waits(&relays[0]));
	/* Its document is on its way: the number is not used again, until its FAILED comes. */
	CHECK(client_u32(1, URUNC_DOCUMENT, 3, 10));
	to_guest_length = 0;
	relay_leave(&relays[1]);
	CHECK(!relay_over(&relays[1]));
	settle();
	CHECK_STRING(list_guest(), "13/15=9");
	CHECK(relay_over(&relays[1]));
	relay_close(&relays[1], &session);
	CHECK(session_is_given_up(&session, 3));
	guest(URUNC_FAILED, 3, 3, "\x80\0\0\0", 5);
	CHECK_STRING(said, "");
	CHECK(!session_is_given_up(&session, 3));
	guest(URUNC_FAILED, 3, 3, "\x80\0\0\0", 5);
	CHECK_STRING(said, "it sent a frame for a process that does not exist");

	/* It runs: killed, and its output dropped, with credit, in the midst of a frame of the client's and of the guest's. */
	begin_running();
	guest(URUNC_DATA, 2, 1, zeroes, 30000);
	CHECK(client_on(0, 1, URUNC_DATA, 0, zeroes, 10));
	relay_leave(&relays[0]);
	settle();
	CHECK_STRING(list_guest(), "13/11=9 12/9=30000");
	for (int i = 0; i < 100; i++) {
		guest(URUNC_DATA, 2, 1, zeroes, 20000);
		guest(URUNC_DATA, 2, 2, zeroes, 20000);
		settle();
	}
	CHECK_STRING(said, "");
	CHECK_EQUAL(relay_out(&relays[0]).length, 0);
	CHECK(!relay_over(&relays[0]));
	guest(URUNC_EOF, 2, 1, NULL, 0);
	guest(URUNC_EOF, 2, 2, NULL, 0);
	guest_exits(2, 137);
	CHECK(relay_over(&relays[0]));
	relay_close(&relays[0], &session);
	CHECK(!session_is_given_up(&session, 2));
	/* Asked, not started. */
	begin();
	ask(0);
	to_guest_length = 0;
	relay_leave(&relays[0]);
	settle();
	CHECK_STRING(list_guest(), "13/11=9");
	guest_u32(URUNC_STARTED, 2, 3, 7);
	CHECK(!relay_over(&relays[0]));
	guest(URUNC_EOF, 2, 1, NULL, 0);
	guest_exits(2, 137);
	CHECK(relay_over(&relays[0]));
	CHECK_STRING(said, "");
}

static void test_numbers(void)
{
	static struct session_process many[SESSION_ADDED];
	struct session_process last;

	session_init(&session, (struct session_span){ NULL, 0 }, (struct session_span){ NULL, 0 }, false);
	for (uint32_t i = 0; i < SESSION_ADDED; i++) {
		CHECK(session_add(&session, &many[i]));
		CHECK_EQUAL(many[i].number, i + 2);
	}
	CHECK(!session_add(&session, &last));
	session_remove(&session, &many[3]);
	for (uint32_t i = 0; i < URUNC_PROCESS_MAX - 1 - SESSION_ADDED + 1; i++) {
		CHECK(session_add(&session, &last));
		CHECK(last.number >= 2 && last.number <= URUNC_PROCESS_MAX && !session_find(&session, last.number)->ended[0]);
		session_give_up(&session, &last);
	}
	CHECK(!session_add(&session, &last));
}

/* Two flows, mixed: each comes out whole and in order. */
static void test_two_flows(void)
{
	uint32_t sent[2] = { 0, 0 }, got[2] = { 0, 0 }, echoed[2] = { 0, 0 };
	uint32_t seed = 7;

	begin_running();
	while (got[0] < 500000 || got[1] < 500000) {
		for (uint32_t i = 0; i < 2; i++) {
			uint8_t part[3000];
			uint32_t length = ((seed = seed * 1103515245u + 12345u) >> 16) % sizeof part + 1;

			for (uint32_t at = 0; at < length; at++)
				part[at] = (uint8_t)((sent[i] + at) * (i + 3) >> 2);
			if (length <= relays[i].process.credit[0] && client(i, URUNC_DATA, 0, part, length))
				sent[i] += length;
		}
		/* The guest echoes what has come. */
		for (size_t at = 0; at < to_guest_length;) {
			struct urunc_frame frame;

			CHECK(urunc_frame_decode(to_guest + at, &frame));
			if (frame.type == URUNC_DATA) {
				guest(URUNC_DATA, frame.stream / 4, 1, to_guest + at + URUNC_FRAME_HEADER, frame.length);
				guest_u32(URUNC_WINDOW, frame.stream / 4, 0, frame.length);
				echoed[frame.stream / 4 - 2] += frame.length;
			}
			at += URUNC_FRAME_HEADER + frame.length;
		}
		to_guest_length = 0;
		CHECK_STRING(said, "");
		for (uint32_t i = 0; i < 2; i++) {
			uint32_t before = got[i];

			drain_client(i);
			for (size_t at = 0; at < to_client_length[i];) {
				struct urunc_frame frame;

				CHECK(urunc_frame_decode(to_client[i] + at, &frame));
				for (uint32_t k = 0; frame.type == URUNC_DATA && k < frame.length; k++, got[i]++)
					CHECK_EQUAL(to_client[i][at + URUNC_FRAME_HEADER + k], (uint8_t)(got[i] * (i + 3) >> 2));
				at += URUNC_FRAME_HEADER + frame.length;
			}
			to_client_length[i] = 0;
			CHECK_EQUAL(got[i], echoed[i]);
			if (got[i] > before)
				CHECK(client_u32(i, URUNC_WINDOW, 1, got[i] - before));
			CHECK_EQUAL(relays[i].process.credit[1], 65536);
		}
	}
}

/* The second stand-in's session. */
static void test_apart(void)
{
	struct session_event event;
	struct session_span input;
	uint8_t frame[64];
	struct { uint16_t type; uint32_t stream; uint32_t length; } wrong[] = {
		{ URUNC_HELLO, 3, 12 }, { URUNC_STARTED, 3, 4 }, { URUNC_FAILED, 3, 5 }, { URUNC_BYE, 3, 0 },
		{ URUNC_STARTED, 7, 4 }, { URUNC_DATA, 5, 1 }, { URUNC_DATA, 9, 1 },
	};

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		session_init_apart(&session, (struct session_span){ zeroes, 10 }, false);
		input = (struct session_span){ frame, make_frame(frame, wrong[i].type, wrong[i].stream, zeroes, wrong[i].length) };
		CHECK_EQUAL(session_next(&session, &input).type, SESSION_VIOLATION);
	}
	session_init_apart(&session, (struct session_span){ zeroes, 10 }, false);
	input = (struct session_span){ frame, make_frame(frame, URUNC_FAILED, 7, "\x80\0\0\0x\0", 6) };
	event = session_next(&session, &input);
	CHECK(event.type == SESSION_FAILED && event.number == 128 && !event.added);
	session_init_apart(&session, (struct session_span){ zeroes, 10 }, false);
	session_signal(&session, 15);
	to_guest_length = 0;
	drain_guest();
	CHECK_STRING(list_guest(), "5/7=10 6/7/10 7/7/0 13/7=15");
	CHECK(session_documents_sent(&session));
	guest_u32(URUNC_STARTED, 1, 3, 9);
	CHECK_EQUAL(session_input_room(&session), 32768);
}

static void test_launch_added(void)
{
	uint8_t bytes[64] = { 0x03, 0x03, 0, 0, 1, 0, 0, 0, 'x', 0x04, 0x03 };
	struct launch launch = { .bytes = bytes, .length = 17 };

	CHECK(!launch_parse_added(&launch));
	CHECK(launch.terminal && launch.process_length == 1);
	launch = (struct launch){ .bytes = bytes, .length = 9 };
	CHECK(!launch_parse_added(&launch) && !launch.terminal);
	launch = (struct launch){ .bytes = bytes + 9, .length = 8 };
	CHECK_STRING(launch_parse_added(&launch), "the launch document is incomplete");
	bytes[9] = 0x02;
	launch = (struct launch){ .bytes = bytes, .length = 17 };
	CHECK_STRING(launch_parse_added(&launch), "the launch document has a record that is unknown, repeated or malformed");
}

int main(void)
{
	static const size_t pieces[] = { 0, 1, 5, 12, 13, 4096 };

	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
		piece = pieces[i];
		test_flow();
		test_failures();
		test_credit();
		test_bad_clients();
		test_refusal();
		test_bad_order_of_clients();
		test_bad_guests();
		test_leaving();
		test_two_flows();
		test_apart();
	}
	test_numbers();
	test_launch_added();
	return 0;
}
