/* Added processes: the relay between a client and a guest, each of which sends whatever it likes. */
#include "../standin/relay.c"
#include "../standin/session.c"
#include "../standin/session_output.c"
#include "../standin/session_processes.c"
#include "../standin/session_rules.c"
#include "fuzz.h"
#include "watch.h"

#define PLACES 3u

static struct session session;
static struct watch watch;
static struct made_frame made;

/* What a client is told: in the order of a process's life, and no more than it has granted. */
struct client {
	bool started;
	bool ended;
	bool closed[3];
	uint64_t received[3];
	uint64_t granted[3];
	struct read_frames frames;
	struct read_frames sent; /* the other way */
};

static struct place {
	bool there;
	struct relay relay;
	struct watched_process watched;
	struct client client;
} places[PLACES];

static struct place *place_of(const struct session_process *process)
{
	for (size_t i = 0; i < PLACES; i++)
		if (places[i].there && process == &places[i].relay.process)
			return &places[i];
	return NULL;
}

static void feed(const uint8_t *bytes, size_t length)
{
	uint8_t *copy = malloc(length);
	struct session_span input = { copy, length };
	struct session_event event;

	HOLDS(copy);
	memcpy(copy, bytes, length);
	do {
		struct place *place;

		event = session_next(&session, &input);
		place = place_of(event.added);
		HOLDS(!event.added || place);
		watch_event(&watch, place ? &place->watched : &watch.main, &event);
		/* Credit is the client's alone to give: that there is room for all of it always holds. */
		if (place)
			HOLDS(relay_event(&place->relay, &event));
		watch_session(&session);
	} while (event.type != SESSION_NOTHING && event.type != SESSION_VIOLATION);
	free(copy);
}

static void feed_pieces(size_t piece)
{
	for (size_t at = 0; at < made.length; at += piece)
		feed(made.bytes + at, made.length - at < piece ? made.length - at : piece);
}

static void client_frame(void *context, const struct urunc_frame *frame, const uint8_t *payload)
{
	struct client *client = context;
	uint32_t channel = frame->stream % 4u;

	HOLDS(frame->stream / 4u == 1 && !client->ended);
	switch (frame->type) {
	case URUNC_STARTED:
		HOLDS(!client->started && channel == URUNC_CONTROL && urunc_get32(payload) > 0);
		client->started = true;
		break;
	case URUNC_DATA:
		HOLDS(client->started && !client->closed[channel] && frame->length >= 1);
		HOLDS(channel == URUNC_STDOUT || channel == URUNC_STDERR);
		client->received[channel] += frame->length;
		HOLDS(client->received[channel] <= URUNC_WINDOW_DEFAULT + client->granted[channel]);
		break;
	case URUNC_EOF:
		HOLDS(client->started && channel <= URUNC_STDERR && !client->closed[channel]);
		client->closed[channel] = true;
		break;
	case URUNC_WINDOW:
		HOLDS(channel == URUNC_STDIN && urunc_get32(payload) >= 1 && urunc_get32(payload) <= URUNC_WINDOW_DEFAULT);
		break;
	case URUNC_FAILED:
		HOLDS(!client->started && frame->length >= 5 && payload[frame->length - 1] == 0);
		client->ended = true;
		break;
	case URUNC_EXITED:
		HOLDS(client->started && client->closed[URUNC_STDOUT] && frame->length == 8);
		client->ended = true;
		break;
	default:
		break;
	}
}

static void take_out(struct place *place, size_t most)
{
	while (most > 0) {
		struct session_span out = relay_out(&place->relay);
		size_t part = out.length < most ? out.length : most;

		if (part == 0)
			return;
		frames_read(&place->client.frames, out.bytes, part, client_frame, &place->client);
		relay_out_sent(&place->relay, part);
		most -= part;
	}
}

static void check_relay(const struct relay *relay)
{
	HOLDS(relay->in_length <= sizeof relay->in && relay->out_end <= sizeof relay->out);
	HOLDS(relay->out_first <= relay->out_end && relay->credit <= URUNC_WINDOW_DEFAULT);
	for (uint32_t i = 0; i < 2; i++) {
		const struct relay_output *output = &relay->outputs[i];
		uint32_t credit = relay->process.credit[URUNC_STDOUT + i];

		HOLDS(output->first < sizeof output->ring && output->length <= sizeof output->ring);
		/* A window in all: what the guest may send, what is kept, and what the client has not granted again. */
		HOLDS(relay->gone || credit + output->length + output->owed <= URUNC_WINDOW_DEFAULT);
	}
}

/* A frame of the client's that the relay has accepted. */
static void accepted_frame(void *context, const struct urunc_frame *frame, const uint8_t *payload)
{
	struct place *place = context;

	if (frame->type != URUNC_WINDOW)
		return;
	place->client.granted[frame->stream % 4u] += urunc_get32(payload);
	place->watched.granted[frame->stream % 4u] += urunc_get32(payload);
}

/* As much of it as is taken now. */
static void client_sends(struct place *place, const uint8_t *bytes, size_t length)
{
	while (length > 0 && relay_in_room(&place->relay) > 0) {
		size_t part = relay_in_room(&place->relay);

		if (part > length)
			part = length;
		HOLDS(place->relay.in_length + part <= sizeof place->relay.in);
		memcpy(relay_in_at(&place->relay), bytes, part);
		if (relay_in(&place->relay, part))
			frames_read(&place->client.sent, bytes, part, accepted_frame, place);
		else
			relay_leave(&place->relay);
		bytes += part;
		length -= part;
		check_relay(&place->relay);
	}
}

static void client_grants(struct place *place, uint32_t channel)
{
	uint64_t credit = place->client.received[channel] - place->client.granted[channel];
	uint8_t frame[URUNC_FRAME_HEADER + 4];

	if (credit == 0 || place->relay.in_length > 0)
		return;
	urunc_frame_encode(frame, &(struct urunc_frame){ 4, URUNC_WINDOW, urunc_stream(1, channel) });
	urunc_put32(frame + URUNC_FRAME_HEADER, (uint32_t)credit);
	client_sends(place, frame, sizeof frame);
}

static void open_or_close(struct place *place)
{
	if (place->there && relay_over(&place->relay)) {
		relay_close(&place->relay, &session);
		place->there = false;
	}
	if (place->there)
		return;
	memset(place, 0, sizeof *place);
	place->there = relay_open(&place->relay, &session);
	HOLDS(place->there);
}

static void put(struct place *place)
{
	relay_put(&place->relay, &session);
	/* Nobody takes it: the guest is granted what it sends. */
	if (place->relay.gone)
		for (uint32_t channel = URUNC_STDOUT; channel <= URUNC_STDERR; channel++)
			place->watched.granted[channel] = place->watched.received[channel] + place->relay.process.credit[channel];
}

static void act_on(struct place *place, struct script *script, uint8_t what)
{
	size_t length;
	const uint8_t *bytes;

	switch (what) {
	case 0:
		bytes = script_bytes(script, script_u8(script), &length);
		client_sends(place, bytes, length);
		break;
	case 1:
	case 2:
		frames_make(&made, script);
		client_sends(place, made.bytes, made.length);
		break;
	case 3:
		client_grants(place, script_u8(script) & 1 ? URUNC_STDOUT : URUNC_STDERR);
		break;
	case 4:
		take_out(place, script_u16(script));
		break;
	case 5:
		take_out(place, SIZE_MAX);
		break;
	case 6:
		relay_leave(&place->relay);
		break;
	default:
		put(place);
		break;
	}
	check_relay(&place->relay);
}

static void act(struct script *script)
{
	uint8_t what = script_u8(script);
	struct place *place = &places[(what >> 4) % PLACES];

	switch (what % 16) {
	case 8:
	case 9:
	case 10:
		frames_make(&made, script);
		feed_pieces(what & 0x80 ? 7 : sizeof made.bytes);
		break;
	case 11:
		watch_output(&watch, &session, script_u16(script));
		break;
	case 12:
		watch_output(&watch, &session, SIZE_MAX);
		break;
	case 13:
		open_or_close(place);
		break;
	case 14:
		session_signal(&session, 15);
		break;
	default:
		if (place->there)
			act_on(place, script, what % 16);
		break;
	}
}

/* Up to the container's process, which runs. */
static void start_machine(void)
{
	static const uint8_t hello[] = { 12, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0x55, 0x55, 0x52, 0x4e, 1, 0, 1, 0, 0, 0, 0, 0 };
	static const uint8_t machine[] = { 4, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0 };
	static const uint8_t first[] = { 4, 0, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0 };
	static const uint8_t entropy[SESSION_ENTROPY] = { 0 };

	session_init(&session, (struct session_span){ hello, 1 }, (struct session_span){ hello, 1 }, false);
	feed(hello, sizeof hello);
	session_welcome(&session, 0, entropy);
	watch_output(&watch, &session, SIZE_MAX);
	feed(machine, sizeof machine);
	feed(first, sizeof first);
	HOLDS(session.state == SESSION_RUNNING);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct script script = { bytes, bytes + length };

	memset(&watch, 0, sizeof watch);
	for (size_t i = 0; i < PLACES; i++)
		places[i].there = false;
	start_machine();
	for (int actions = 0; !script_over(&script) && actions < 512; actions++)
		act(&script);
	return 0;
}
