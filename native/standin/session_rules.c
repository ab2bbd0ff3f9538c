/* What a guest may send, and when. */
#include "session_parts.h"

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

static const struct rule *rule_of(uint16_t type)
{
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
		if (rules[i].type == type)
			return &rules[i];
	return NULL;
}

/* Each of the following says what is wrong with the frame, or NULL. */

static const char *judge_form(struct session *session, const struct urunc_frame *frame)
{
	const struct rule *rule = rule_of(frame->type);
	uint32_t number = process_of(frame);
	unsigned int kind = number == MACHINE ? OF_MACHINE : OF_PROCESS;

	if (!rule)
		return "it sent a frame of a type that guests do not send";
	if (number != MACHINE && !session_find(session, number) &&
	    !(session_is_given_up(session, number) && frame->type == URUNC_FAILED))
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
	const struct session_process *added = session_added(session, frame);
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
	const struct session_process *process = session_find(session, process_of(frame));
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

const char *session_judge(struct session *session, const struct urunc_frame *frame)
{
	const char *wrong = judge_form(session, frame);

	if (!wrong && session->state == SESSION_SILENT && frame->type != URUNC_HELLO)
		wrong = "it did not begin with HELLO";
	return wrong ? wrong : judge_turn(session, frame);
}
