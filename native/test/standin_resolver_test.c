/* Names on the host's side: a hostile guest's queries, and a resolver that answers datagrams well, badly or not at all. */
#include "../standin/resolver.c"
#include "../standin/session.c"
#include "../standin/session_output.c"
#include "../standin/session_processes.c"
#include "../standin/session_rules.c"
#include "resolver_guest.h"

static void queries_are_judged(void)
{
	static const struct {
		uint32_t stream;
		uint32_t length;
		unsigned int at;
		uint8_t value;
		const char *sentence;
	} bad[] = {
		{ 3, 19, 0, 0, "it sent a frame whose size does not fit its type" },
		{ 3, 8 + 4089, 0, 0, "it sent a frame whose size does not fit its type" },
		{ 2, 40, 0, 0, "it sent a frame on a stream of another kind" },
		{ 7, 40, 0, 0, "it sent a frame on a stream of another kind" },
		{ 11, 40, 0, 0, "it sent a frame for a process that does not exist" },
		{ 3, 40, 4, 2, "it asked a resolver that does not exist" },
		{ 3, 40, 4, 255, "it asked a resolver that does not exist" },
		{ 3, 40, 5, 2, "it asked for a name in a way that does not exist" },
		{ 3, 40, 6, 1, "it asked for a name in a way that does not exist" },
		{ 3, 40, 7, 1, "it asked for a name in a way that does not exist" },
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		begin();
		fill(1, 0, 0, 1);
		payload[bad[i].at] = bad[i].value;
		guest(URUNC_DNS_QUERY, bad[i].stream, payload, bad[i].length);
		expect_violation(bad[i].sentence);
		end();
	}
	fill(1, 0, 0, 1);
	begin();
	session_resolvers(&session, 0);
	guest(URUNC_DNS_QUERY, 3, payload, 40);
	expect_violation("it asked for a name, and has no resolver");
	greet();
	guest(URUNC_DNS_QUERY, 3, payload, 40);
	expect_violation("it asked for a name out of turn");
	run();
	session.state = SESSION_ENDED;
	guest(URUNC_DNS_QUERY, 3, payload, 40);
	expect_violation("it asked for a name out of turn");
	session_init_apart(&session, (struct session_span){ payload, 1 }, false);
	guest(URUNC_DNS_QUERY, 3, payload, 40);
	expect_violation("it asked for a name, and has no resolver");
	run();
	guest(URUNC_DNS_ANSWER, 3, payload, 40);
	expect_violation("it sent a frame of a type that guests do not send");
	end();
}

static void a_datagram_goes_with_an_identifier_of_ours(void)
{
	uint8_t bytes[URUNC_PAYLOAD_MAX];
	int same = 0;

	begin();
	for (uint32_t i = 0; i < 8; i++) {
		ask(0xfffffff0u + i, 0, 0, 0x1234, i == 7 ? URUNC_DNS_QUERY_MAX : QUERY);
		CHECK_EQUAL(asked(bytes, sizeof bytes), i == 7 ? URUNC_DNS_QUERY_MAX : QUERY);
		same += get16_network(bytes) == 0x1234;
		CHECK_EQUAL(memcmp(bytes + 2, question, sizeof question), 0);
		bytes[2] |= RESPONSE;
		reply(bytes, 100);
		turn();
		CHECK(resolver_waits(&resolver));
		expect_answer(0xfffffff0u + i, 100, false);
		CHECK_EQUAL(get16_network(frame_out), 0x1234);
		/* An answer counts once. */
		reply(bytes, 100);
		turn();
		expect_no_answer();
		CHECK(!resolver_waits(&resolver));
	}
	CHECK(same < 8);
	end();
}

static void what_is_no_answer_is_dropped(void)
{
	uint8_t good[QUERY], bytes[QUERY];
	uint8_t other[40] = { 0 };

	begin();
	ask(5, 0, 0, 1, QUERY);
	CHECK_EQUAL(asked(good, sizeof good), QUERY);
	reply(good, QUERY); /* a query itself */
	good[2] |= RESPONSE;
	memcpy(bytes, good, QUERY);
	bytes[0] ^= 1; /* another identifier */
	reply(bytes, QUERY);
	memcpy(bytes, good, QUERY);
	bytes[13] = 'x'; /* another name */
	reply(bytes, QUERY);
	memcpy(bytes, good, QUERY);
	bytes[QUERY - 3] = 28; /* another type */
	reply(bytes, QUERY);
	bytes[5] = 2; /* two questions */
	reply(bytes, QUERY);
	reply(good, 11);
	reply(good, QUERY - 1);
	reply(good, 0);
	memcpy(other, good, 2);
	memset(other + 2, 0xff, sizeof other - 2);
	reply(other, sizeof other);
	turn();
	expect_no_answer();
	/* The case of letters is the resolver's to change. */
	good[13] = 'a';
	good[14] = 'B';
	reply(good, QUERY);
	turn();
	expect_answer(5, QUERY, false);
	/* One that could not read the question leaves it out. */
	ask(6, 0, 0, 1, QUERY);
	CHECK_EQUAL(asked(good, sizeof good), QUERY);
	good[2] |= RESPONSE;
	good[5] = 0;
	reply(good, 12);
	turn();
	expect_answer(6, 12, false);
	end();
}

static void many_strays_do_not_end_the_service(void)
{
	uint8_t bytes[QUERY];

	begin();
	ask(5, 0, 0, 1, QUERY);
	CHECK_EQUAL(asked(bytes, sizeof bytes), QUERY);
	for (int i = 0; i < 100; i++)
		reply(bytes, QUERY);
	bytes[2] |= RESPONSE;
	reply(bytes, QUERY);
	for (int i = 0; i < 100 / STRAYS; i++) {
		turn();
		expect_no_answer();
	}
	turn();
	expect_answer(5, QUERY, false);
	end();
}

static void an_answer_that_fits_no_frame_is_truncated(void)
{
	static uint8_t bytes[60000];

	begin();
	ask(5, 0, 0, 0x4321, QUERY);
	CHECK_EQUAL(asked(bytes, sizeof bytes), QUERY);
	bytes[2] |= RESPONSE;
	bytes[7] = 9;
	reply(bytes, PART_MAX);
	turn();
	expect_answer(5, PART_MAX, false);
	ask(6, 0, 0, 0x4321, QUERY);
	CHECK_EQUAL(asked(bytes, sizeof bytes), QUERY);
	bytes[2] |= RESPONSE;
	bytes[7] = 9;
	reply(bytes, PART_MAX + 1);
	turn();
	expect_answer(6, QUERY, false);
	CHECK_EQUAL(get16_network(frame_out), 0x4321);
	CHECK(frame_out[2] & TRUNCATED);
	CHECK_EQUAL(get16_network(frame_out + 6), 0);
	end();
}

static void a_flood_is_bounded(void)
{
	uint8_t bytes[QUERY];
	unsigned int count = 0, used = 0;

	begin();
	for (uint32_t i = 0; i < 20000; i++) {
		ask(i, 0, 0, (uint16_t)i, QUERY);
		if (i < 20000 - URUNC_EXCHANGES_UDP)
			(void)asked(bytes, sizeof bytes);
	}
	for (unsigned int i = 0; i < URUNC_EXCHANGES_UDP; i++)
		used += resolver.datagrams[i].used;
	CHECK_EQUAL(used, URUNC_EXCHANGES_UDP);
	/* The latest are answered. What is not read yet may be more than the socket takes. */
	while (asked(bytes, sizeof bytes) == QUERY) {
		uint32_t exchange;
		size_t length;
		bool more;

		bytes[2] |= RESPONSE;
		reply(bytes, QUERY);
		turn();
		if (!answered(&exchange, &length, &more))
			continue;
		CHECK(exchange >= 20000 - URUNC_EXCHANGES_UDP);
		count++;
	}
	CHECK(count > URUNC_EXCHANGES_UDP / 2);
	end();
}

static void a_resolver_that_is_not_there_is_said_to_be(void)
{
	begin();
	ask(1, 1, 0, 1, QUERY);
	turn();
	expect_answer(1, 0, false);
	/* Also where it is only the next question that meets with it. */
	ask(2, 1, 0, 1, QUERY);
	ask(3, 1, 0, 1, QUERY);
	turn();
	for (uint32_t i = 2, count = 0; count < 2; i++) {
		uint32_t exchange;
		size_t length;
		bool more;

		if (!answered(&exchange, &length, &more)) {
			turn();
			continue;
		}
		CHECK_EQUAL(length, 0);
		count++;
	}
	ask(4, 1, URUNC_DNS_BY_TCP, 1, QUERY);
	turn();
	expect_answer(4, 0, false);
	/* More than are remembered. */
	close(resolver.sockets[1]);
	resolver.sockets[1] = -1;
	for (uint32_t i = 0; i < 3 * RESOLVER_REFUSALS; i++)
		ask(i, 1, 0, 1, QUERY);
	for (uint32_t i = 0; i < RESOLVER_REFUSALS; i++)
		expect_answer(i, 0, false);
	expect_no_answer();
	resolver.sockets[1] = dup(0);
	end();
}

int main(void)
{
	queries_are_judged();
	a_datagram_goes_with_an_identifier_of_ours();
	what_is_no_answer_is_dropped();
	many_strays_do_not_end_the_service();
	an_answer_that_fits_no_frame_is_truncated();
	a_flood_is_bounded();
	a_resolver_that_is_not_there_is_said_to_be();
	return 0;
}
