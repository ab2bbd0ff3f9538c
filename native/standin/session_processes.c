/* The processes of a session, by their numbers. */
#include "session_parts.h"

void session_init_process(struct session_process *process, uint32_t number)
{
	*process = (struct session_process){ .number = number };
	for (uint32_t channel = URUNC_STDIN; channel <= URUNC_STDERR; channel++)
		process->credit[channel] = URUNC_WINDOW_DEFAULT;
}

bool session_is_given_up(const struct session *session, uint32_t number)
{
	return number <= URUNC_PROCESS_MAX && session->given_up[number / 8] & 1u << number % 8;
}

struct session_process *session_find(struct session *session, uint32_t number)
{
	if (number == MAIN)
		return &session->main;
	for (size_t i = 0; i < SESSION_ADDED; i++)
		if (session->added[i] && session->added[i]->number == number)
			return session->added[i];
	return NULL;
}

struct session_process *session_added(struct session *session, const struct urunc_frame *frame)
{
	return process_of(frame) > MAIN ? session_find(session, process_of(frame)) : NULL;
}

/* The next number that no process has. 0: there is none. */
static uint32_t free_number(struct session *session)
{
	for (uint32_t i = 0; i < URUNC_PROCESS_MAX; i++) {
		session->number_last = session->number_last < URUNC_PROCESS_MAX ? session->number_last + 1 : MAIN + 1;
		if (!session_find(session, session->number_last) && !session_is_given_up(session, session->number_last))
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
		session_init_process(process, number);
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
