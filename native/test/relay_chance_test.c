/* The relay between a client and a guest that say whatever comes. */
#include "../standin/relay.c"
#include "../standin/session.c"
#include "../standin/session_output.c"
#include "../standin/session_processes.c"
#include "../standin/session_rules.c"
#include "relay_sides.h"

static uint32_t random_seed;

static uint32_t dice(uint32_t sides)
{
	random_seed = random_seed * 1664525u + 1013904223u;
	return (random_seed >> 10) % sides;
}

/* However both behave: nothing breaks, what is kept stays within what was granted, and credit is never invented. */
static void check_bounds(const struct relay *relay)
{
	for (uint32_t channel = 1; channel <= 2; channel++) {
		const struct relay_output *output = &relay->outputs[channel - 1];

		CHECK(relay->process.credit[channel] <= URUNC_WINDOW_DEFAULT);
		if (!relay->gone)
			CHECK(output->length + output->owed + relay->process.credit[channel] <= URUNC_WINDOW_DEFAULT);
	}
	CHECK(relay->process.credit[0] <= URUNC_WINDOW_DEFAULT);
}

static void random_client(size_t which)
{
	static const uint32_t values[] = { 0, 1, 2, 9, 64, 65, 100, 30000, 65536, 65537, UINT32_MAX };
	static const uint16_t types[] = { 5, 6, 7, 10, 11, 12, 13, 14 };
	static const uint8_t channels[] = { 3, 3, 3, 0, 0, 1, 3, 3 };
	static const uint32_t lengths[] = { 4, 5, 0, 3000, 0, 4, 4, 4 };
	uint32_t kind = dice(8), taken_length = lengths[kind];
	uint8_t frame[URUNC_FRAME_HEADER + 3000] = { 0 };
	size_t whole, taken;

	whole = make_frame(frame, types[kind], 4u + channels[kind], zeroes, taken_length);
	if (taken_length == 4)
		urunc_put32(frame + URUNC_FRAME_HEADER, values[dice(11)]);
	if (dice(10) == 0)
		frame[dice((uint32_t)whole)] ^= (uint8_t)(1u << dice(8));
	if (!relays[which].gone && !client_bytes(&relays[which], frame, dice(12) ? whole : dice((uint32_t)whole), &taken))
		relay_leave(&relays[which]);
}

static void random_guest(void)
{
	static const uint16_t types[] = { 8, 9, 10, 11, 12, 15, 10, 10 };
	static const uint32_t lengths[] = { 4, 5, 5000, 0, 4, 8, 1, 32768 };
	uint32_t kind = dice(8), number = 2 + dice(COUNT), channel = 3;
	const struct session_process *process = session_find(&session, number);
	uint8_t payload[8] = { 100 + (uint8_t)dice(40), 0 };

	if (types[kind] == URUNC_DATA || types[kind] == URUNC_EOF)
		channel = 1 + dice(2);
	if (types[kind] == URUNC_WINDOW)
		channel = 0;
	/* Mostly as it should be, or nothing but the first frame would be tried. */
	if (dice(200) > 0) {
		static const uint8_t wanted[] = { SESSION_ASKED, SESSION_ASKED, SESSION_ALIVE, SESSION_ALIVE,
						  SESSION_ALIVE, SESSION_ALIVE, SESSION_ALIVE, SESSION_ALIVE };

		if (!process || process->stage != wanted[kind] || (channel < 3 && process->ended[channel]) ||
		    (types[kind] == URUNC_DATA && process->credit[channel] < lengths[kind]))
			return;
		if (types[kind] == URUNC_FAILED)
			payload[0] = 127;
		if (types[kind] == URUNC_WINDOW)
			payload[0] = process->credit[0] < URUNC_WINDOW_DEFAULT;
	}
	guest(types[kind], number, channel, lengths[kind] <= 8 ? payload : zeroes, lengths[kind]);
}

static void test_fuzz(uint32_t rounds)
{
	uint32_t reached = 0, broken = 0;

	random_seed = 1;
	for (uint32_t round = 0; round < rounds; round++) {
		begin();
		for (size_t i = 0; i < COUNT; i++)
			if (dice(4))
				ask(i);
		for (int step = 0; step < 60 && session.state == SESSION_RUNNING; step++) {
			size_t which = dice(COUNT);

			if (dice(2))
				random_client(which);
			else
				random_guest();
			if (dice(30) == 0)
				relay_leave(&relays[which]);
			if (dice(2))
				settle();
			if (dice(3) == 0)
				drain_client(which);
			for (size_t i = 0; i < COUNT; i++) {
				check_bounds(&relays[i]);
				to_client_length[i] = 0;
				reached += relays[i].process.stage == SESSION_DEAD;
			}
			to_guest_length = 0;
		}
		broken += session.state == SESSION_BROKEN;
	}
	CHECK(reached > rounds && broken > 0 && broken < rounds);
}

int main(void)
{
	test_fuzz(20000);
	piece = 7;
	test_fuzz(1000);
	return 0;
}
