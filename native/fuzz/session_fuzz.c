/* The stand-in's decoder: what a guest may send, in any pieces, between whatever the host does. */
#include "../standin/session.c"
#include "../standin/session_output.c"
#include "../standin/session_processes.c"
#include "../standin/session_rules.c"
#include "fuzz.h"
#include "watch.h"

#define PLACES 4u

static struct session session;
static struct watch watch;
static uint8_t documents[2][70000];
static struct made_frame made;

/* Processes added to the machine, as who adds them rightly does. */
static struct {
	bool there;
	struct session_process process;
	struct watched_process watched;
} places[PLACES];

static struct watched_process *watched_of(const struct session_event *event)
{
	for (size_t i = 0; i < PLACES; i++)
		if (event->added == &places[i].process)
			return &places[i].watched;
	HOLDS(!event->added);
	return &watch.main;
}

static void welcome(void)
{
	static const uint8_t entropy[SESSION_ENTROPY] = { 1, 2, 3 };

	session_welcome(&session, UINT64_C(0x0102030405060708), entropy);
}

/* In memory of exactly its size, so that reading on would be noticed. */
static void feed_piece(const uint8_t *bytes, size_t length)
{
	uint8_t *copy = malloc(length);
	struct session_span input = { copy, length };
	struct session_event event;
	size_t events = 0;

	HOLDS(copy);
	memcpy(copy, bytes, length);
	do {
		event = session_next(&session, &input);
		HOLDS(++events <= length + 2);
		watch_event(&watch, watched_of(&event), &event);
		watch_session(&session);
		if (event.type == SESSION_HELLO)
			welcome();
	} while (event.type != SESSION_NOTHING && event.type != SESSION_VIOLATION);
	HOLDS(event.type == SESSION_VIOLATION || input.length == 0);
	free(copy);
}

static void feed(const uint8_t *bytes, size_t length, size_t piece)
{
	for (size_t at = 0; at < length; at += piece)
		feed_piece(bytes + at, length - at < piece ? length - at : piece);
}

static void grant(struct watched_process *watched, uint32_t channel, uint32_t most)
{
	uint64_t left = watched->received[channel] - watched->granted[channel];
	uint32_t credit = left < most ? (uint32_t)left : most;

	if (credit == 0)
		return;
	session_grant(&session, channel, credit);
	watched->granted[channel] += credit;
}

static void give_input(uint32_t most)
{
	size_t room = session_input_room(&session);

	if (room == 0)
		return;
	HOLDS(room <= URUNC_PAYLOAD_MAX);
	if (room > most)
		room = most;
	memset(session_input_at(&session), 'i', room);
	if (room > 0)
		session_input(&session, room);
	else
		session_input_end(&session);
}

static void put_added(size_t i, uint16_t type, enum urunc_channel channel, uint32_t length)
{
	memset(session_put(&session, &places[i].process, type, channel, length), 1, length);
}

/* The next thing of its life. */
static void move_added(size_t i, uint32_t most)
{
	struct session_process *process = &places[i].process;
	uint32_t credit = process->credit[URUNC_STDIN];

	if (!places[i].there || !session_room(&session))
		return;
	switch (process->stage) {
	case SESSION_UNKNOWN:
		put_added(i, URUNC_DOCUMENT, URUNC_CONTROL, 4);
		process->stage = SESSION_ANNOUNCED;
		break;
	case SESSION_ANNOUNCED:
		put_added(i, URUNC_START, URUNC_CONTROL, 0);
		process->stage = SESSION_ASKED;
		break;
	case SESSION_ALIVE:
		if (credit > most)
			credit = most;
		if (credit > URUNC_PAYLOAD_MAX)
			credit = URUNC_PAYLOAD_MAX;
		if (credit == 0)
			break;
		put_added(i, URUNC_DATA, URUNC_STDIN, credit);
		process->credit[URUNC_STDIN] -= credit;
		break;
	default:
		break;
	}
}

static void grant_added(size_t i, uint32_t channel)
{
	struct watched_process *watched = &places[i].watched;
	uint64_t credit = watched->received[channel] - watched->granted[channel];

	if (!places[i].there || credit == 0 || places[i].process.stage != SESSION_ALIVE || !session_room(&session))
		return;
	urunc_put32(session_put(&session, &places[i].process, URUNC_WINDOW, channel, 4), (uint32_t)credit);
	places[i].process.credit[channel] += (uint32_t)credit;
	watched->granted[channel] += credit;
}

static void add_or_remove(size_t i)
{
	struct session_process *process = &places[i].process;

	if (!places[i].there) {
		memset(&places[i], 0, sizeof places[i]);
		places[i].there = session_add(&session, process);
		HOLDS(places[i].there && process->number > 1);
	} else if (process->stage == SESSION_UNKNOWN || process->stage == SESSION_DEAD) {
		session_remove(&session, process);
		places[i].there = false;
	} else if (process->stage == SESSION_ANNOUNCED) {
		session_give_up(&session, process);
		places[i].there = false;
	}
}

static void give_answer(uint32_t exchange, uint32_t most)
{
	uint32_t length = most % (URUNC_PAYLOAD_MAX - URUNC_DNS_HEADER + 1);

	if (!session_room(&session))
		return;
	memset(session_answer_at(&session), 'a', length);
	session_answer(&session, exchange, length, most & 1);
}

static void act(struct script *script, size_t *piece)
{
	uint8_t what = script_u8(script);
	size_t length;
	const uint8_t *bytes;

	switch (what % 16) {
	case 0:
		bytes = script_bytes(script, script_u8(script), &length);
		feed(bytes, length, *piece);
		break;
	case 1:
		*piece = script_u8(script) + 1u;
		break;
	case 2:
		watch_output(&watch, &session, script_u16(script));
		break;
	case 3:
		watch_output(&watch, &session, SIZE_MAX);
		break;
	case 4:
		if (session_signal_room(&session))
			session_signal(&session, (uint8_t)(script_u8(script) % 64 + 1));
		break;
	case 5:
		session_resize(&session, script_u16(script), script_u16(script));
		break;
	case 6:
		grant(&watch.main, what & 16 ? URUNC_STDOUT : URUNC_STDERR, script_u16(script));
		break;
	case 7:
		give_input(script_u16(script));
		break;
	case 8:
		add_or_remove(script_u8(script) % PLACES);
		break;
	case 9:
		move_added(script_u8(script) % PLACES, script_u16(script));
		break;
	case 10:
		grant_added(script_u8(script) % PLACES, what & 16 ? URUNC_STDOUT : URUNC_STDERR);
		break;
	case 11:
		session_refuse(&session, what & 16 ? URUNC_STDOUT : URUNC_STDERR);
		break;
	case 12:
		give_answer(script_u8(script), script_u16(script));
		break;
	default:
		frames_make(&made, script);
		feed(made.bytes, made.length, made.length / *piece > 64 ? made.length : *piece);
		break;
	}
	watch_session(&session);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct script script = { bytes, bytes + length };
	uint8_t kind = script_u8(&script);
	struct session_span machine = { documents[0], script_u16(&script) };
	struct session_span process = { documents[1], script_u16(&script) };
	size_t piece = URUNC_PAYLOAD_MAX;

	memset(&watch, 0, sizeof watch);
	memset(places, 0, sizeof places);
	watch.apart = kind & 1;
	watch.terminal = kind & 2;
	/* A process's own session has nothing of the machine. */
	watch.resolvers = watch.apart ? 0 : kind >> 2 & 3;
	if (watch.apart)
		session_init_apart(&session, process, watch.terminal);
	else
		session_init(&session, machine, process, watch.terminal);
	session_resolvers(&session, watch.resolvers);
	for (int actions = 0; !script_over(&script) && actions < 512; actions++)
		act(&script, &piece);
	return 0;
}
