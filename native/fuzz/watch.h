/*
 * Who watches the session: judges its events, and the frames that it sends, by the contract's words
 * (docs/guest-protocol.md) and not by the session's own state.
 */
#ifndef URUNC_FUZZ_WATCH_H
#define URUNC_FUZZ_WATCH_H

#include "frames.h"
#include "session.h"

struct watched_process {
	enum { WATCHED_NEW, WATCHED_RUNNING, WATCHED_DONE } stage;
	bool closed[3];
	/* Bytes of output that have come, and that the guest was allowed beyond the first window. */
	uint64_t received[3];
	uint64_t granted[3];
};

struct watch {
	bool apart;
	bool terminal;
	unsigned int resolvers;
	bool hello;
	bool bye;
	const char *violation;
	struct watched_process main;
	/* Of the main process's document and the machine's: bytes announced, and that have come. */
	struct {
		bool announced;
		bool asked;
		uint32_t size;
		uint32_t sent;
	} documents[2];
	struct read_frames frames;
};

static inline void watch_started(const struct watch *watch, struct watched_process *process,
				 const struct session_event *event)
{
	HOLDS(process->stage == WATCHED_NEW && (watch->hello || watch->apart));
	HOLDS(event->number >= 1 && event->number <= 4u * 1024u * 1024u);
	process->stage = WATCHED_RUNNING;
}

static inline void watch_failed(struct watched_process *process, const struct session_event *event)
{
	HOLDS(process->stage == WATCHED_NEW);
	HOLDS(event->number >= 126 && event->number <= 128);
	HOLDS(event->length < URUNC_SENTENCE_MAX && strlen((const char *)event->bytes) == event->length);
	process->stage = WATCHED_DONE;
}

static inline void watch_data(const struct watch *watch, struct watched_process *process,
			      const struct session_event *event)
{
	uint32_t channel = event->channel;

	HOLDS(process->stage == WATCHED_RUNNING);
	HOLDS(channel == URUNC_STDOUT || channel == URUNC_STDERR);
	HOLDS(event->added || !watch->terminal || channel == URUNC_STDOUT);
	HOLDS(!process->closed[channel] && event->length >= 1 && event->length <= URUNC_PAYLOAD_MAX);
	process->received[channel] += event->length;
	HOLDS(process->received[channel] <= URUNC_WINDOW_DEFAULT + process->granted[channel]);
}

static inline void watch_exited(const struct watch *watch, struct watched_process *process,
				const struct session_event *event)
{
	bool one = event->added ? process->received[URUNC_STDERR] == 0 : watch->terminal;

	HOLDS(process->stage == WATCHED_RUNNING && event->number <= 255 && event->length == 8);
	HOLDS(process->closed[URUNC_STDOUT] && (one || process->closed[URUNC_STDERR]));
	process->stage = WATCHED_DONE;
}

static inline void watch_violation(struct watch *watch, const struct session_event *event)
{
	const char *what = (const char *)event->bytes;

	HOLDS(what[0] && strlen(what) == event->length);
	HOLDS(!watch->violation || watch->violation == what);
	watch->violation = what;
}

/* `process` is the one that the event is about. */
static inline void watch_event(struct watch *watch, struct watched_process *process, const struct session_event *event)
{
	HOLDS(!watch->violation || event->type == SESSION_VIOLATION);
	HOLDS(!watch->bye || event->type == SESSION_VIOLATION || event->type == SESSION_NOTHING);
	switch (event->type) {
	case SESSION_HELLO:
		HOLDS(!watch->hello && !watch->apart);
		watch->hello = true;
		break;
	case SESSION_STARTED:
		watch_started(watch, process, event);
		break;
	case SESSION_FAILED:
		watch_failed(process, event);
		break;
	case SESSION_DATA:
		watch_data(watch, process, event);
		break;
	case SESSION_CLOSED:
		HOLDS(process->stage == WATCHED_RUNNING && event->channel <= 2 && !process->closed[event->channel]);
		process->closed[event->channel] = true;
		break;
	case SESSION_CREDIT:
		HOLDS(event->added && event->number >= 1 && event->number <= URUNC_WINDOW_DEFAULT);
		break;
	case SESSION_EXITED:
		watch_exited(watch, process, event);
		break;
	case SESSION_BYE:
		HOLDS(watch->main.stage == WATCHED_DONE);
		watch->bye = true;
		break;
	case SESSION_VIOLATION:
		watch_violation(watch, event);
		break;
	case SESSION_QUERY:
		HOLDS(watch->hello && event->bytes[4] < watch->resolvers);
		HOLDS(event->length >= URUNC_DNS_HEADER + URUNC_DNS_LEAST);
		HOLDS(event->length <= URUNC_DNS_HEADER + URUNC_DNS_QUERY_MAX);
		break;
	default:
		break;
	}
}

/* What is held, or may come, is bounded at any moment. */
static inline void watch_session(const struct session *session)
{
	const struct session_process *process = &session->main;

	HOLDS(session->out_first <= session->out_end && session->out_end <= sizeof session->out);
	HOLDS(session->header_length <= URUNC_FRAME_HEADER && session->signal_count <= SESSION_SIGNALS);
	for (size_t i = 0; process; i++) {
		for (int channel = 0; channel < 3; channel++)
			HOLDS(process->credit[channel] <= URUNC_WINDOW_DEFAULT);
		while (i < SESSION_ADDED && !session->added[i])
			i++;
		process = i < SESSION_ADDED ? session->added[i] : NULL;
	}
}

static inline void watch_document(struct watch *watch, const struct urunc_frame *frame, const uint8_t *payload)
{
	uint32_t number = frame->stream / 4u;

	HOLDS(frame->stream % 4u == URUNC_CONTROL && !watch->documents[number].asked);
	HOLDS((frame->type == URUNC_DOCUMENT) != watch->documents[number].announced);
	if (frame->type == URUNC_DOCUMENT) {
		watch->documents[number].announced = true;
		watch->documents[number].size = urunc_get32(payload);
	} else if (frame->type == URUNC_CHUNK) {
		watch->documents[number].sent += frame->length;
		HOLDS(watch->documents[number].sent <= watch->documents[number].size);
	} else {
		watch->documents[number].asked = true;
		HOLDS(watch->documents[number].sent == watch->documents[number].size);
	}
}

/* A frame for the guest. */
static inline void watch_frame(void *context, const struct urunc_frame *frame, const uint8_t *payload)
{
	struct watch *watch = context;
	uint32_t channel = frame->stream % 4u;

	HOLDS(frame->stream / 4u <= URUNC_PROCESS_MAX && (watch->hello || watch->apart));
	switch (frame->type) {
	case URUNC_HELLO:
	case URUNC_STARTED:
	case URUNC_FAILED:
	case URUNC_EXITED:
	case URUNC_BYE:
		/* Only guests send these. */
		abort();
	case URUNC_DOCUMENT:
	case URUNC_CHUNK:
	case URUNC_START:
		if (frame->stream / 4u < 2)
			watch_document(watch, frame, payload);
		break;
	case URUNC_DATA:
		HOLDS(channel == URUNC_STDIN && frame->length >= 1);
		break;
	case URUNC_WINDOW:
		HOLDS(channel == URUNC_STDOUT || channel == URUNC_STDERR);
		HOLDS(urunc_get32(payload) >= 1 && urunc_get32(payload) <= URUNC_WINDOW_DEFAULT);
		break;
	case URUNC_SIGNAL:
		HOLDS(channel == URUNC_CONTROL && urunc_get32(payload) >= 1 && urunc_get32(payload) <= 64);
		break;
	default:
		break;
	}
}

/* The guest takes at most `most` of the bytes that wait for it. */
static inline void watch_output(struct watch *watch, struct session *session, size_t most)
{
	while (most > 0) {
		struct session_span out = session_output(session);
		size_t part = out.length < most ? out.length : most;

		if (part == 0)
			return;
		frames_read(&watch->frames, out.bytes, part, watch_frame, watch);
		session_sent(session, part);
		most -= part;
	}
}

#endif
