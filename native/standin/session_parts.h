/* What the parts of a session share: session.c takes frames, session_rules.c judges them, session_output.c makes them. */
#ifndef URUNC_SESSION_PARTS_H
#define URUNC_SESSION_PARTS_H

#include "session.h"

#define MACHINE 0u
#define MAIN 1u

static inline uint32_t process_of(const struct urunc_frame *frame)
{
	return frame->stream / 4u;
}

static inline uint32_t channel_of(const struct urunc_frame *frame)
{
	return frame->stream % 4u;
}

static inline size_t smaller(size_t one, size_t other)
{
	return one < other ? one : other;
}

/* A process as it is before the guest has been told of it. */
void session_init_process(struct session_process *process, uint32_t number);

/* The process with a number; NULL: none has it. */
struct session_process *session_find(struct session *session, uint32_t number);

/* The added process that a frame is of; NULL: none, or it is the main one's or the machine's. */
struct session_process *session_added(struct session *session, const struct urunc_frame *frame);

/* It was removed before the guest had been asked to start it, of which a FAILED may still come. */
bool session_is_given_up(const struct session *session, uint32_t number);

/* What is wrong with a frame of the guest's that has this header, or NULL. */
const char *session_judge(struct session *session, const struct urunc_frame *frame);

#endif
