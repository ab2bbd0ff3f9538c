/* What the host sends. */
#include <string.h>

#include "session_parts.h"

/* Puts a frame behind what is on its way; the caller has seen to the room. Returns where its payload goes. */
static uint8_t *put_frame(struct session *session, uint16_t type, uint32_t stream, size_t length)
{
	uint8_t *at = session->out + session->out_end;

	urunc_frame_encode(at, &(struct urunc_frame){ .length = (uint32_t)length, .type = type, .stream = stream });
	session->out_end += URUNC_FRAME_HEADER + length;
	return at + URUNC_FRAME_HEADER;
}

static uint32_t control_of(uint32_t process)
{
	return urunc_stream(process, URUNC_CONTROL);
}

void session_welcome(struct session *session, uint64_t realtime, const uint8_t entropy[SESSION_ENTROPY])
{
	uint8_t *at = put_frame(session, URUNC_WELCOME, control_of(MACHINE), 8);

	urunc_put16(at, URUNC_VERSION);
	urunc_put16(at + 2, 0);
	urunc_put32(at + 4, URUNC_WINDOW_DEFAULT);
	urunc_put64(put_frame(session, URUNC_CLOCK, control_of(MACHINE), 8), realtime);
	memcpy(put_frame(session, URUNC_ENTROPY, control_of(MACHINE), SESSION_ENTROPY), entropy, SESSION_ENTROPY);
}

static void put_document(struct session *session, uint32_t process)
{
	struct session_document *document = &session->documents[process];
	size_t left = document->all.length - document->sent;

	switch (document->step) {
	case SESSION_ANNOUNCE:
		urunc_put32(put_frame(session, URUNC_DOCUMENT, control_of(process), 4), (uint32_t)left);
		document->step = left > 0 ? SESSION_SEND : SESSION_STARTING;
		return;
	case SESSION_SEND:
		left = smaller(left, URUNC_PAYLOAD_MAX);
		memcpy(put_frame(session, URUNC_CHUNK, control_of(process), left),
		       document->all.bytes + document->sent, left);
		document->sent += left;
		if (document->sent == document->all.length)
			document->step = SESSION_STARTING;
		return;
	case SESSION_STARTING:
		put_frame(session, URUNC_START, control_of(process), 0);
		session->started++;
	}
}

static bool put_signal(struct session *session)
{
	if (session->signal_count == 0)
		return false;
	urunc_put32(put_frame(session, URUNC_SIGNAL, control_of(MAIN), 4), session->signals[session->signal_first]);
	session->signal_first = (session->signal_first + 1) % SESSION_SIGNALS;
	session->signal_count--;
	return true;
}

static bool put_resize(struct session *session)
{
	uint8_t *at;

	if (!session->resized)
		return false;
	session->resized = false;
	at = put_frame(session, URUNC_RESIZE, control_of(MAIN), 4);
	urunc_put16(at, session->rows);
	urunc_put16(at + 2, session->columns);
	return true;
}

static bool put_grant(struct session *session, enum urunc_channel channel)
{
	uint32_t credit = session->grants[channel];

	if (credit < SESSION_GRANT_LEAST || session->main.ended[channel])
		return false;
	session->grants[channel] = 0;
	session->main.credit[channel] += credit;
	urunc_put32(put_frame(session, URUNC_WINDOW, urunc_stream(MAIN, channel), 4), credit);
	return true;
}

static bool put_refusal(struct session *session, enum urunc_channel channel)
{
	if (!session->refused[channel] || session->state != SESSION_RUNNING || session->main.ended[channel])
		return false;
	session->refused[channel] = false;
	put_frame(session, URUNC_EOF, urunc_stream(MAIN, channel), 0);
	return true;
}

/* The next frame, by urgency. Input has the last place: it is put in by session_input once nothing else waits. */
static void put_next(struct session *session)
{
	if (session->state < SESSION_GREETED || session->state > SESSION_RUNNING)
		return;
	if (session->started < 2)
		put_document(session, session->started);
	else if (!put_signal(session) && !put_resize(session) && !put_refusal(session, URUNC_STDOUT) &&
		 !put_refusal(session, URUNC_STDERR) && !put_grant(session, URUNC_STDOUT))
		put_grant(session, URUNC_STDERR);
}

struct session_span session_output(struct session *session)
{
	if (session->out_first == session->out_end) {
		session->out_first = session->out_end = 0;
		put_next(session);
	}
	return (struct session_span){ session->out + session->out_first, session->out_end - session->out_first };
}

void session_sent(struct session *session, size_t length)
{
	session->out_first += length;
}

bool session_documents_sent(const struct session *session)
{
	return session->started == 2 || session->state > SESSION_RUNNING;
}

bool session_signal_room(const struct session *session)
{
	return session->signal_count < SESSION_SIGNALS;
}

void session_signal(struct session *session, uint8_t number)
{
	if (!session_signal_room(session))
		return;
	session->signals[(session->signal_first + session->signal_count) % SESSION_SIGNALS] = number;
	session->signal_count++;
}

void session_resize(struct session *session, uint16_t rows, uint16_t columns)
{
	session->resized = true;
	session->rows = rows;
	session->columns = columns;
}

void session_grant(struct session *session, uint32_t channel, uint32_t length)
{
	session->grants[channel] += length;
}

void session_refuse(struct session *session, uint32_t channel)
{
	session->refused[channel] = true;
}

bool session_input_wanted(const struct session *session)
{
	return session->state == SESSION_RUNNING && !session->input_ended && !session->main.ended[URUNC_STDIN];
}

size_t session_input_room(struct session *session)
{
	if (!session_input_wanted(session) || session_output(session).length > 0)
		return 0;
	return smaller(session->main.credit[URUNC_STDIN], URUNC_PAYLOAD_MAX);
}

uint8_t *session_input_at(struct session *session)
{
	return session->out + URUNC_FRAME_HEADER;
}

void session_input(struct session *session, size_t length)
{
	put_frame(session, URUNC_DATA, urunc_stream(MAIN, URUNC_STDIN), length);
	session->main.credit[URUNC_STDIN] -= (uint32_t)length;
}

void session_input_end(struct session *session)
{
	session->input_ended = true;
	put_frame(session, URUNC_EOF, urunc_stream(MAIN, URUNC_STDIN), 0);
}

bool session_room(struct session *session)
{
	return session->state == SESSION_RUNNING && session_output(session).length == 0;
}

uint8_t *session_put(struct session *session, const struct session_process *process, uint16_t type,
		     enum urunc_channel channel, uint32_t length)
{
	return put_frame(session, type, urunc_stream(process->number, channel), length);
}

uint8_t *session_answer_at(struct session *session)
{
	return session->out + URUNC_FRAME_HEADER + URUNC_DNS_HEADER;
}

void session_answer(struct session *session, uint32_t exchange, size_t length, bool more)
{
	uint8_t *at = put_frame(session, URUNC_DNS_ANSWER, control_of(MACHINE), URUNC_DNS_HEADER + length);

	urunc_put32(at, exchange);
	urunc_put32(at + 4, more ? URUNC_DNS_MORE : 0);
}
