#include "relay.h"

#include <string.h>

/* To its client, each process is number 1. */
#define CLIENTS 1u

#define CONTROL_ONLY (1u << URUNC_CONTROL)
#define INPUT_ONLY (1u << URUNC_STDIN)
#define OUTPUTS_ONLY (1u << URUNC_STDOUT | 1u << URUNC_STDERR)
#define STREAMS_ONLY (INPUT_ONLY | OUTPUTS_ONLY)

/* What a client may send at all. */
static const struct relay_rule {
	uint16_t type;
	uint8_t channels;
	uint32_t least;
	uint32_t most;
} relay_rules[] = {
	{ URUNC_DOCUMENT, CONTROL_ONLY, 4, 4 },
	{ URUNC_CHUNK, CONTROL_ONLY, 1, URUNC_PAYLOAD_MAX },
	{ URUNC_START, CONTROL_ONLY, 0, 0 },
	{ URUNC_DATA, INPUT_ONLY, 1, URUNC_PAYLOAD_MAX },
	{ URUNC_EOF, STREAMS_ONLY, 0, 0 },
	{ URUNC_WINDOW, OUTPUTS_ONLY, 4, 4 },
	{ URUNC_SIGNAL, CONTROL_ONLY, 4, 4 },
	{ URUNC_RESIZE, CONTROL_ONLY, 4, 4 },
};

bool relay_open(struct relay *relay, struct session *session)
{
	return session_add(session, &relay->process);
}

void relay_close(struct relay *relay, struct session *session)
{
	if (relay->process.stage == SESSION_ANNOUNCED)
		session_give_up(session, &relay->process);
	else
		session_remove(session, &relay->process);
}

/* From the client. */

static bool header_whole(const struct relay *relay)
{
	return relay->in_length >= URUNC_FRAME_HEADER;
}

static bool frame_whole(const struct relay *relay)
{
	return header_whole(relay) && relay->in_length == URUNC_FRAME_HEADER + relay->frame.length;
}

static uint32_t channel_in(const struct relay *relay)
{
	return relay->frame.stream % 4u;
}

static struct relay_output *output_of(struct relay *relay, uint32_t channel)
{
	return &relay->outputs[channel - URUNC_STDOUT];
}

static bool form_allowed(const struct relay *relay)
{
	const struct urunc_frame *frame = &relay->frame;

	if (frame->stream / 4u != CLIENTS)
		return false;
	for (size_t i = 0; i < sizeof relay_rules / sizeof relay_rules[0]; i++) {
		const struct relay_rule *rule = &relay_rules[i];

		if (rule->type == frame->type)
			return rule->channels & 1u << channel_in(relay) && frame->length >= rule->least &&
			       frame->length <= rule->most;
	}
	return false;
}

static bool is_refusal(const struct relay *relay)
{
	return relay->frame.type == URUNC_EOF && channel_in(relay) != URUNC_STDIN;
}

/* Of a header. What crosses with the process's end is no mistake. */
static bool turn_allowed(struct relay *relay)
{
	switch (relay->frame.type) {
	case URUNC_DOCUMENT:
		return !relay->announced;
	case URUNC_CHUNK:
		return relay->announced && relay->frame.length <= relay->document_left;
	case URUNC_START:
		return relay->announced && !relay->asked && relay->document_left == 0;
	case URUNC_SIGNAL:
	case URUNC_RESIZE:
		return relay->asked;
	default:
		break;
	}
	if (relay->process.stage < SESSION_ALIVE || !relay->asked)
		return false;
	if (relay->frame.type == URUNC_WINDOW)
		return true;
	if (is_refusal(relay))
		return !output_of(relay, channel_in(relay))->refused;
	return !relay->input_ended &&
	       (relay->frame.type == URUNC_EOF || relay->frame.length <= relay->process.credit[URUNC_STDIN]);
}

static bool note_document(struct relay *relay, uint32_t size)
{
	relay->announced = true;
	relay->document_left = size;
	return size <= URUNC_DOCUMENT_MAX;
}

static bool note_window(struct relay *relay, uint32_t credit)
{
	struct relay_output *output = output_of(relay, channel_in(relay));

	if (credit == 0 || credit > output->owed)
		return false;
	output->owed -= credit;
	return true;
}

static bool take_frame(struct relay *relay)
{
	const uint8_t *payload = relay->in + URUNC_FRAME_HEADER;

	switch (relay->frame.type) {
	case URUNC_DOCUMENT:
		return note_document(relay, urunc_get32(payload));
	case URUNC_CHUNK:
		relay->document_left -= relay->frame.length;
		return true;
	case URUNC_START:
		relay->asked = true;
		return true;
	case URUNC_EOF:
		if (is_refusal(relay))
			output_of(relay, channel_in(relay))->refused = true;
		else
			relay->input_ended = true;
		return true;
	case URUNC_WINDOW:
		return note_window(relay, urunc_get32(payload));
	case URUNC_SIGNAL:
		return urunc_get32(payload) >= 1 && urunc_get32(payload) <= 64;
	default:
		return true;
	}
}

/* A frame that the guest has no more use for. */
static bool is_idle(const struct relay *relay)
{
	if (relay->process.stage == SESSION_DEAD)
		return true;
	switch (relay->frame.type) {
	case URUNC_DATA:
	case URUNC_EOF:
	case URUNC_WINDOW:
		return relay->process.ended[channel_in(relay)];
	default:
		return false;
	}
}

static void drop_idle(struct relay *relay)
{
	if (frame_whole(relay) && is_idle(relay))
		relay->in_length = 0;
}

size_t relay_in_room(const struct relay *relay)
{
	if (relay->gone || frame_whole(relay))
		return 0;
	return URUNC_FRAME_HEADER + (header_whole(relay) ? relay->frame.length : 0) - relay->in_length;
}

uint8_t *relay_in_at(struct relay *relay)
{
	return relay->in + relay->in_length;
}

bool relay_in(struct relay *relay, size_t length)
{
	bool had_header = header_whole(relay);

	relay->in_length += length;
	if (!header_whole(relay))
		return true;
	if (!had_header && !(urunc_frame_decode(relay->in, &relay->frame) && form_allowed(relay) && turn_allowed(relay)))
		return false;
	if (frame_whole(relay) && !take_frame(relay))
		return false;
	drop_idle(relay);
	return true;
}

void relay_leave(struct relay *relay)
{
	relay->gone = true;
	relay->in_length = 0;
	for (size_t i = 0; i < 2; i++)
		relay->outputs[i].length = 0;
}

/* From the guest. */

static bool keep_output(struct relay_output *output, const uint8_t *bytes, size_t length)
{
	size_t last = (output->first + output->length) % sizeof output->ring;
	size_t whole = sizeof output->ring - last;

	if (length > sizeof output->ring - output->length)
		return false;
	if (whole > length)
		whole = length;
	memcpy(output->ring + last, bytes, whole);
	memcpy(output->ring, bytes + whole, length - whole);
	output->length += length;
	return true;
}

static void keep_failure(struct relay *relay, const struct session_event *event)
{
	relay->end = URUNC_FAILED;
	relay->end_length = 4 + event->length + 1;
	urunc_put32(relay->end_payload, event->number);
	memcpy(relay->end_payload + 4, event->bytes, event->length + 1);
}

static void keep_exit(struct relay *relay, const struct session_event *event)
{
	relay->end = URUNC_EXITED;
	relay->end_length = event->length;
	memcpy(relay->end_payload, event->bytes, event->length);
}

static void note_closed(struct relay *relay, uint32_t channel)
{
	if (channel == URUNC_STDIN)
		relay->input_refused = true;
	else
		output_of(relay, channel)->ended = true;
}

bool relay_event(struct relay *relay, const struct session_event *event)
{
	if (relay->gone)
		return true;
	switch (event->type) {
	case SESSION_STARTED:
		relay->id = event->number;
		break;
	case SESSION_FAILED:
		keep_failure(relay, event);
		break;
	case SESSION_DATA:
		if (!keep_output(output_of(relay, event->channel), event->bytes, event->length))
			return false;
		break;
	case SESSION_CLOSED:
		note_closed(relay, event->channel);
		break;
	case SESSION_CREDIT:
		relay->credit += event->number;
		break;
	case SESSION_EXITED:
		keep_exit(relay, event);
		break;
	default:
		break;
	}
	drop_idle(relay);
	return true;
}

/* To the guest. */

static bool kill_waits(const struct relay *relay)
{
	return relay->gone && !relay->killed && relay->process.stage != SESSION_UNKNOWN &&
	       relay->process.stage != SESSION_DEAD;
}

/* What of a channel's first window the guest does not have, when nobody takes its output any more. */
static uint32_t grant_left(const struct relay *relay, uint32_t channel)
{
	uint32_t left = URUNC_WINDOW_DEFAULT - relay->process.credit[channel];

	if (!relay->gone || relay->process.stage != SESSION_ALIVE || relay->process.ended[channel])
		return 0;
	return left < SESSION_GRANT_LEAST ? 0 : left;
}

bool relay_waits(const struct relay *relay)
{
	if (!relay->gone)
		return frame_whole(relay);
	return kill_waits(relay) || grant_left(relay, URUNC_STDOUT) > 0 || grant_left(relay, URUNC_STDERR) > 0;
}

/* What the client's frame means, once it is on its way. */
static void note_put(struct relay *relay)
{
	struct session_process *process = &relay->process;

	switch (relay->frame.type) {
	case URUNC_DOCUMENT:
		process->stage = SESSION_ANNOUNCED;
		break;
	case URUNC_START:
		process->stage = SESSION_ASKED;
		break;
	case URUNC_DATA:
		process->credit[URUNC_STDIN] -= relay->frame.length;
		break;
	case URUNC_WINDOW:
		process->credit[channel_in(relay)] += urunc_get32(relay->in + URUNC_FRAME_HEADER);
		break;
	default:
		break;
	}
}

static void put_frame_of_client(struct relay *relay, struct session *session)
{
	uint32_t length = relay->frame.length;
	uint8_t *at = session_put(session, &relay->process, relay->frame.type, channel_in(relay), length);

	memcpy(at, relay->in + URUNC_FRAME_HEADER, length);
	note_put(relay);
	relay->in_length = 0;
}

static void put_grant_left(struct relay *relay, struct session *session, uint32_t channel)
{
	uint32_t credit = grant_left(relay, channel);

	urunc_put32(session_put(session, &relay->process, URUNC_WINDOW, channel, 4), credit);
	relay->process.credit[channel] += credit;
}

void relay_put(struct relay *relay, struct session *session)
{
	if (!relay_waits(relay) || !session_room(session))
		return;
	if (!relay->gone) {
		put_frame_of_client(relay, session);
	} else if (kill_waits(relay)) {
		urunc_put32(session_put(session, &relay->process, URUNC_SIGNAL, URUNC_CONTROL, 4), 9);
		relay->killed = true;
	} else {
		put_grant_left(relay, session, grant_left(relay, URUNC_STDOUT) > 0 ? URUNC_STDOUT : URUNC_STDERR);
	}
}

/* To the client. */

static uint8_t *say_frame(struct relay *relay, uint16_t type, uint32_t channel, size_t length)
{
	struct urunc_frame frame = { (uint32_t)length, type, urunc_stream(CLIENTS, channel) };

	urunc_frame_encode(relay->out, &frame);
	relay->out_end = URUNC_FRAME_HEADER + length;
	return relay->out + URUNC_FRAME_HEADER;
}

static void say_data(struct relay *relay, struct relay_output *output, uint32_t channel)
{
	size_t length = sizeof output->ring - output->first;

	if (length > output->length)
		length = output->length;
	if (length > URUNC_PAYLOAD_MAX)
		length = URUNC_PAYLOAD_MAX;
	memcpy(say_frame(relay, URUNC_DATA, channel, length), output->ring + output->first, length);
	output->owed += (uint32_t)length;
	output->length -= length;
	output->first = output->length == 0 ? 0 : (output->first + length) % sizeof output->ring;
}

/* Of one output: its data, then its end. False: nothing. */
static bool say_output(struct relay *relay, size_t which)
{
	struct relay_output *output = &relay->outputs[which];
	uint32_t channel = URUNC_STDOUT + (uint32_t)which;

	if (output->length > 0) {
		say_data(relay, output, channel);
	} else if (output->ended && !output->said) {
		say_frame(relay, URUNC_EOF, channel, 0);
		output->said = true;
	} else {
		return false;
	}
	relay->last = which;
	return true;
}

/* Before the output: the start, and what the input waits for. */
static bool say_news(struct relay *relay)
{
	if (relay->id != 0) {
		urunc_put32(say_frame(relay, URUNC_STARTED, URUNC_CONTROL, 4), relay->id);
		relay->id = 0;
	} else if (relay->credit > 0) {
		urunc_put32(say_frame(relay, URUNC_WINDOW, URUNC_STDIN, 4), relay->credit);
		relay->credit = 0;
	} else if (relay->input_refused) {
		say_frame(relay, URUNC_EOF, URUNC_STDIN, 0);
		relay->input_refused = false;
	} else {
		return false;
	}
	return true;
}

static void say_next(struct relay *relay)
{
	if (say_news(relay) || say_output(relay, 1 - relay->last) || say_output(relay, relay->last) || relay->end == 0)
		return;
	memcpy(say_frame(relay, relay->end, URUNC_CONTROL, relay->end_length), relay->end_payload, relay->end_length);
	relay->end = 0;
	relay->end_said = true;
}

struct session_span relay_out(struct relay *relay)
{
	if (relay->gone)
		return (struct session_span){ NULL, 0 };
	if (relay->out_first == relay->out_end) {
		relay->out_first = relay->out_end = 0;
		say_next(relay);
	}
	return (struct session_span){ relay->out + relay->out_first, relay->out_end - relay->out_first };
}

void relay_out_sent(struct relay *relay, size_t length)
{
	relay->out_first += length;
}

bool relay_over(const struct relay *relay)
{
	if (!relay->gone)
		return relay->end_said && relay->out_first == relay->out_end;
	switch (relay->process.stage) {
	case SESSION_UNKNOWN:
	case SESSION_DEAD:
		return true;
	case SESSION_ANNOUNCED:
		return relay->killed;
	default:
		return false;
	}
}
