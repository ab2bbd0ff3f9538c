#include "session.h"

#include <string.h>

#define MACHINE 0u
#define MAIN 1u
/* Linux's PID_MAX_LIMIT on 64 bits. */
#define PROCESS_ID_MAX (4u * 1024u * 1024u)

#define OF_MACHINE (1u << MACHINE)
#define OF_PROCESS (1u << MAIN)
#define ON_STDIN (1u << URUNC_STDIN)
#define ON_OUTPUT (1u << URUNC_STDOUT | 1u << URUNC_STDERR)
#define ON_CONTROL (1u << URUNC_CONTROL)

/* What a guest may send at all; frames that only the host sends are not here. */
static const struct rule {
	uint16_t type;
	uint8_t processes;
	uint8_t channels;
	uint32_t least;
	uint32_t most;
} rules[] = {
	{ URUNC_HELLO, OF_MACHINE, ON_CONTROL, 12, 12 },
	{ URUNC_STARTED, OF_MACHINE | OF_PROCESS, ON_CONTROL, 4, 4 },
	{ URUNC_FAILED, OF_MACHINE | OF_PROCESS, ON_CONTROL, 5, 4 + URUNC_SENTENCE_MAX },
	{ URUNC_DATA, OF_PROCESS, ON_OUTPUT, 1, URUNC_PAYLOAD_MAX },
	{ URUNC_EOF, OF_PROCESS, ON_STDIN | ON_OUTPUT, 0, 0 },
	{ URUNC_WINDOW, OF_PROCESS, ON_STDIN, 4, 4 },
	{ URUNC_EXITED, OF_PROCESS, ON_CONTROL, 8, 8 },
	{ URUNC_BYE, OF_MACHINE, ON_CONTROL, 0, 0 },
	{ URUNC_DNS_QUERY, OF_MACHINE, ON_CONTROL, URUNC_DNS_HEADER + URUNC_DNS_LEAST, URUNC_DNS_HEADER + URUNC_DNS_QUERY_MAX },
};

static void init_process(struct session_process *process, uint32_t number)
{
	*process = (struct session_process){ .number = number };
	for (uint32_t channel = URUNC_STDIN; channel <= URUNC_STDERR; channel++)
		process->credit[channel] = URUNC_WINDOW_DEFAULT;
}

void session_init(struct session *session, struct session_span machine, struct session_span process, bool terminal)
{
	memset(session, 0, sizeof *session);
	session->documents[MACHINE].all = machine;
	session->documents[MAIN].all = process;
	session->number_last = MAIN;
	init_process(&session->main, MAIN);
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

static uint32_t process_of(const struct urunc_frame *frame)
{
	return frame->stream / 4u;
}

static uint32_t channel_of(const struct urunc_frame *frame)
{
	return frame->stream % 4u;
}

static const struct rule *rule_of(uint16_t type)
{
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
		if (rules[i].type == type)
			return &rules[i];
	return NULL;
}

static bool is_given_up(const struct session *session, uint32_t number)
{
	return number <= URUNC_PROCESS_MAX && session->given_up[number / 8] & 1u << number % 8;
}

/* NULL: none. */
static struct session_process *find_process(struct session *session, uint32_t number)
{
	if (number == MAIN)
		return &session->main;
	for (size_t i = 0; i < SESSION_ADDED; i++)
		if (session->added[i] && session->added[i]->number == number)
			return session->added[i];
	return NULL;
}

static struct session_process *added_of(struct session *session, const struct urunc_frame *frame)
{
	return process_of(frame) > MAIN ? find_process(session, process_of(frame)) : NULL;
}

/* Each of the following says what is wrong with the frame, or NULL. */

static const char *judge_form(struct session *session, const struct urunc_frame *frame)
{
	const struct rule *rule = rule_of(frame->type);
	uint32_t number = process_of(frame);
	unsigned int kind = number == MACHINE ? OF_MACHINE : OF_PROCESS;

	if (!rule)
		return "it sent a frame of a type that guests do not send";
	if (number != MACHINE && !find_process(session, number) &&
	    !(is_given_up(session, number) && frame->type == URUNC_FAILED))
		return "it sent a frame for a process that does not exist";
	if (!(rule->processes & kind) || !(rule->channels & 1u << channel_of(frame)))
		return "it sent a frame on a stream of another kind";
	if (frame->length < rule->least || frame->length > rule->most)
		return "it sent a frame whose size does not fit its type";
	return NULL;
}

static const char *judge_first_start(const struct session *session, const struct urunc_frame *frame)
{
	uint32_t process = process_of(frame);
	bool failed = frame->type == URUNC_FAILED;

	if (session->state != (process == MACHINE ? SESSION_GREETED : SESSION_READY))
		return "it spoke of a start out of turn";
	/* A machine that cannot even read its document may say so; nothing else is known before it is asked for. */
	if (session->started <= process && !(failed && (process == MACHINE || session->apart)))
		return "it spoke of a start that it was not asked for";
	return NULL;
}

static const char *judge_start(struct session *session, const struct urunc_frame *frame)
{
	const struct session_process *added = added_of(session, frame);
	bool failed = frame->type == URUNC_FAILED;

	if (process_of(frame) <= MAIN)
		return judge_first_start(session, frame);
	/* Given up; or there was no memory for its document. */
	if (failed && (!added || added->stage == SESSION_ANNOUNCED))
		return NULL;
	return added->stage == SESSION_ASKED ? NULL : "it spoke of a start out of turn";
}

static const char *judge_data(const struct session_process *process, const struct urunc_frame *frame)
{
	uint32_t channel = channel_of(frame);

	if (process->ended[channel])
		return "it sent data after their end";
	if (process->streams == SESSION_TERMINAL && channel == URUNC_STDERR)
		return "it sent standard error apart from the terminal";
	if (frame->length > process->credit[channel])
		return "it sent more data than it had credit for";
	return NULL;
}

static const char *judge_exit(const struct session_process *process)
{
	/* With a terminal the second output channel is never used. */
	bool terminal = process->streams == SESSION_TERMINAL || (process->streams == SESSION_EITHER && !process->errors);

	if (!process->ended[URUNC_STDOUT] || (!terminal && !process->ended[URUNC_STDERR]))
		return "it ended the process before its output";
	return NULL;
}

static const char *judge_running(struct session *session, const struct urunc_frame *frame)
{
	const struct session_process *process = find_process(session, process_of(frame));
	bool runs = process == &session->main ? session->state == SESSION_RUNNING : process->stage == SESSION_ALIVE;

	if (!runs)
		return "it sent a frame for a process that does not run";
	switch (frame->type) {
	case URUNC_DATA:
		return judge_data(process, frame);
	case URUNC_EOF:
		return process->ended[channel_of(frame)] ? "it ended a stream twice" : NULL;
	case URUNC_EXITED:
		return judge_exit(process);
	default:
		return NULL;
	}
}

static const char *judge_query(const struct session *session)
{
	if (session->resolvers == 0)
		return "it asked for a name, and has no resolver";
	return session->state == SESSION_READY || session->state == SESSION_RUNNING ? NULL : "it asked for a name out of turn";
}

static const char *judge_turn(struct session *session, const struct urunc_frame *frame)
{
	switch (frame->type) {
	case URUNC_HELLO:
		return session->state == SESSION_SILENT ? NULL : "it sent HELLO twice";
	case URUNC_BYE:
		return session->state == SESSION_ENDED ? NULL : "it sent BYE out of turn";
	case URUNC_DNS_QUERY:
		return judge_query(session);
	default:
		break;
	}
	/* Of added processes something may have been on its way when the main one ended. */
	if (session->state == SESSION_OVER)
		return "it went on after BYE";
	if (frame->type == URUNC_STARTED || frame->type == URUNC_FAILED)
		return judge_start(session, frame);
	return judge_running(session, frame);
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
	struct session_process *added = added_of(session, &session->frame);
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
	struct session_process *added = added_of(session, &session->frame);
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
	struct session_process *process = find_process(session, process_of(&session->frame));
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
	struct session_process *added = added_of(session, &session->frame);
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

	find_process(session, process_of(&session->frame))->ended[channel] = true;
	return (struct session_event){
		.type = SESSION_CLOSED, .added = added_of(session, &session->frame), .channel = channel,
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

static size_t smaller(size_t one, size_t other)
{
	return one < other ? one : other;
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
	wrong = judge_form(session, frame);
	if (!wrong && session->state == SESSION_SILENT && frame->type != URUNC_HELLO)
		wrong = "it did not begin with HELLO";
	if (!wrong)
		wrong = judge_turn(session, frame);
	if (wrong)
		return wrong;
	session->payload_length = 0;
	if (frame->type == URUNC_DATA)
		take_credit(find_process(session, process_of(frame)), frame);
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
		.added = added_of(session, &session->frame),
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

/* The next number that no process has. 0: there is none. */
static uint32_t free_number(struct session *session)
{
	for (uint32_t i = 0; i < URUNC_PROCESS_MAX; i++) {
		session->number_last = session->number_last < URUNC_PROCESS_MAX ? session->number_last + 1 : MAIN + 1;
		if (!find_process(session, session->number_last) && !is_given_up(session, session->number_last))
			return session->number_last;
	}
	return 0;
}

bool session_add(struct session *session, struct session_process *process)
{
	uint32_t number = free_number(session);

	for (size_t i = 0; i < SESSION_ADDED && number != 0; i++) {
		if (session->added[i])
			continue;
		init_process(process, number);
		process->streams = SESSION_EITHER;
		session->added[i] = process;
		return true;
	}
	return false;
}

void session_remove(struct session *session, struct session_process *process)
{
	for (size_t i = 0; i < SESSION_ADDED; i++)
		if (session->added[i] == process)
			session->added[i] = NULL;
}

void session_give_up(struct session *session, struct session_process *process)
{
	session->given_up[process->number / 8] |= (uint8_t)(1u << process->number % 8);
	session_remove(session, process);
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
