#include "session.h"

#include <string.h>

#include "session_parts.h"

/* Linux's PID_MAX_LIMIT on 64 bits. */
#define PROCESS_ID_MAX (4u * 1024u * 1024u)

void session_init(struct session *session, struct session_span machine, struct session_span process, bool terminal)
{
	memset(session, 0, sizeof *session);
	session->documents[MACHINE].all = machine;
	session->documents[MAIN].all = process;
	session->number_last = MAIN;
	session_init_process(&session->main, MAIN);
	session->main.streams = terminal ? SESSION_TERMINAL : SESSION_PIPES;
}

void session_resolvers(struct session *session, unsigned int count)
{
	session->resolvers = count;
}

void session_init_apart(struct session *session, struct session_span process, bool terminal)
{
	session_init(session, (struct session_span){ NULL, 0 }, process, terminal);
	session->apart = true;
	session->state = SESSION_READY;
	session->started = MAIN;
}

static struct session_event violation(struct session *session, const char *what)
{
	if (session->state != SESSION_BROKEN)
		session->violation = what;
	session->state = SESSION_BROKEN;
	return (struct session_event){
		.type = SESSION_VIOLATION,
		.bytes = (const uint8_t *)session->violation,
		.length = strlen(session->violation),
	};
}

static struct session_event nothing(void)
{
	return (struct session_event){ .type = SESSION_NOTHING };
}

static struct session_event got_hello(struct session *session)
{
	const uint8_t *payload = session->payload;

	if (urunc_get32(payload) != URUNC_MAGIC)
		return violation(session, "its HELLO is not of this protocol");
	if (urunc_get16(payload + 4) > URUNC_VERSION || urunc_get16(payload + 6) < URUNC_VERSION)
		return violation(session, "it does not speak version 1");
	session->state = SESSION_GREETED;
	return (struct session_event){ .type = SESSION_HELLO };
}

static struct session_event got_started(struct session *session)
{
	struct session_process *added = session_added(session, &session->frame);
	uint32_t id = urunc_get32(session->payload);

	if (process_of(&session->frame) == MACHINE) {
		if (id != 0)
			return violation(session, "it gave the machine a process id");
		session->state = SESSION_READY;
		return nothing();
	}
	if (id == 0 || id > PROCESS_ID_MAX)
		return violation(session, "it gave a process id that is none");
	if (added)
		added->stage = SESSION_ALIVE;
	else
		session->state = SESSION_RUNNING;
	return (struct session_event){ .type = SESSION_STARTED, .added = added, .number = id };
}

static struct session_event got_failed(struct session *session)
{
	struct session_process *added = session_added(session, &session->frame);
	uint32_t number = process_of(&session->frame);
	uint32_t status = urunc_get32(session->payload);
	const uint8_t *sentence = session->payload + 4;
	size_t length = session->frame.length - 4;

	if (status < 126 || status > 128)
		return violation(session, "it failed with a status that is none of 126, 127 and 128");
	if (memchr(sentence, 0, length) != sentence + length - 1)
		return violation(session, "its sentence does not end where it should");
	if (number > MAIN && !added) {
		/* It was given up, and its number is free again. */
		session->given_up[number / 8] &= (uint8_t)~(1u << number % 8);
		return nothing();
	}
	if (added)
		added->stage = SESSION_DEAD;
	else
		session->state = SESSION_ENDED;
	return (struct session_event){
		.type = SESSION_FAILED, .added = added, .number = status, .bytes = sentence, .length = length - 1,
	};
}

static struct session_event got_window(struct session *session)
{
	struct session_process *process = session_find(session, process_of(&session->frame));
	uint32_t credit = urunc_get32(session->payload);

	/* Only what has been passed on is granted again, so there is never more than the first window. */
	if (credit == 0 || credit > URUNC_WINDOW_DEFAULT - process->credit[URUNC_STDIN])
		return violation(session, "it granted credit for data that it was not sent");
	process->credit[URUNC_STDIN] += credit;
	if (process == &session->main)
		return nothing();
	return (struct session_event){ .type = SESSION_CREDIT, .added = process, .number = credit };
}

static struct session_event got_exited(struct session *session)
{
	struct session_process *added = session_added(session, &session->frame);
	uint32_t status = urunc_get32(session->payload);

	if (status > 255 || urunc_get32(session->payload + 4) & ~URUNC_EXITED_OOM)
		return violation(session, "it gave an exit status that is none");
	if (added)
		added->stage = SESSION_DEAD;
	else
		session->state = SESSION_ENDED;
	return (struct session_event){
		.type = SESSION_EXITED, .added = added, .number = status, .bytes = session->payload, .length = 8,
	};
}

static struct session_event got_eof(struct session *session)
{
	uint32_t channel = channel_of(&session->frame);

	session_find(session, process_of(&session->frame))->ended[channel] = true;
	return (struct session_event){
		.type = SESSION_CLOSED, .added = session_added(session, &session->frame), .channel = channel,
	};
}

static struct session_event got_query(struct session *session)
{
	const uint8_t *payload = session->payload;

	if (payload[4] >= session->resolvers)
		return violation(session, "it asked a resolver that does not exist");
	if (payload[5] & ~URUNC_DNS_BY_TCP || urunc_get16(payload + 6) != 0)
		return violation(session, "it asked for a name in a way that does not exist");
	return (struct session_event){
		.type = SESSION_QUERY, .number = urunc_get32(payload), .bytes = payload, .length = session->frame.length,
	};
}

/* A whole frame has come, other than DATA. */
static struct session_event got_frame(struct session *session)
{
	switch (session->frame.type) {
	case URUNC_HELLO:
		return got_hello(session);
	case URUNC_STARTED:
		return got_started(session);
	case URUNC_FAILED:
		return got_failed(session);
	case URUNC_WINDOW:
		return got_window(session);
	case URUNC_EXITED:
		return got_exited(session);
	case URUNC_EOF:
		return got_eof(session);
	case URUNC_DNS_QUERY:
		return got_query(session);
	default:
		session->state = SESSION_OVER;
		return (struct session_event){ .type = SESSION_BYE };
	}
}

static const uint8_t *take(struct session_span *input, size_t length)
{
	const uint8_t *bytes = input->bytes;

	input->bytes += length;
	input->length -= length;
	return bytes;
}

/* True once the header is whole. */
static bool take_header(struct session *session, struct session_span *input)
{
	size_t length = smaller(input->length, URUNC_FRAME_HEADER - session->header_length);

	memcpy(session->header + session->header_length, take(input, length), length);
	session->header_length += length;
	return session->header_length == URUNC_FRAME_HEADER;
}

static void take_credit(struct session_process *process, const struct urunc_frame *frame)
{
	process->credit[channel_of(frame)] -= frame->length;
	if (channel_of(frame) == URUNC_STDERR)
		process->errors = true;
}

/* Judges a header that has just become whole; NULL: its payload may come. */
static const char *open_frame(struct session *session)
{
	struct urunc_frame *frame = &session->frame;
	const char *wrong;

	if (!urunc_frame_decode(session->header, frame))
		return "it sent a frame that is too long";
	wrong = session_judge(session, frame);
	if (wrong)
		return wrong;
	session->payload_length = 0;
	if (frame->type == URUNC_DATA)
		take_credit(session_find(session, process_of(frame)), frame);
	return NULL;
}

static struct session_event take_data(struct session *session, struct session_span *input)
{
	size_t length = smaller(input->length, session->frame.length - session->payload_length);

	session->payload_length += (uint32_t)length;
	if (session->payload_length == session->frame.length)
		session->header_length = 0;
	return (struct session_event){
		.type = SESSION_DATA,
		.added = session_added(session, &session->frame),
		.channel = channel_of(&session->frame),
		.bytes = take(input, length),
		.length = length,
	};
}

static struct session_event take_payload(struct session *session, struct session_span *input)
{
	size_t length = smaller(input->length, session->frame.length - session->payload_length);

	memcpy(session->payload + session->payload_length, take(input, length), length);
	session->payload_length += (uint32_t)length;
	if (session->payload_length < session->frame.length)
		return nothing();
	session->header_length = 0;
	return got_frame(session);
}

struct session_event session_next(struct session *session, struct session_span *input)
{
	struct session_event event;

	if (session->state == SESSION_BROKEN)
		return violation(session, NULL);
	while (input->length > 0) {
		if (session->header_length < URUNC_FRAME_HEADER) {
			const char *wrong = NULL;

			if (!take_header(session, input))
				return nothing();
			wrong = open_frame(session);
			if (wrong)
				return violation(session, wrong);
			/* An empty payload is whole at once, even if nothing follows. */
			if (session->frame.length > 0 && input->length == 0)
				return nothing();
		}
		event = session->frame.type == URUNC_DATA ? take_data(session, input) : take_payload(session, input);
		if (event.type != SESSION_NOTHING)
			return event;
	}
	return nothing();
}
