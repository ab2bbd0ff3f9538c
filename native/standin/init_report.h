/*
 * What an image's init says by a port of the machine (docs/direct.md, "The ports"): bytes in, events out. No input or
 * output, a fixed size. The guest is hostile: what is no line of this kind is passed over.
 */
#ifndef URUNC_INIT_REPORT_H
#define URUNC_INIT_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "protocol.h"

enum init_event_type {
	INIT_NOTHING, /* all bytes are taken */
	INIT_HELLO,
	INIT_STARTED,
	INIT_TAKEN,  /* number: bytes of input */
	INIT_FAILED, /* number: the exit status; the rest of the line is the sentence */
	INIT_EXITED, /* number: the exit status */
};

struct init_event {
	enum init_event_type type;
	uint32_t number;
	const char *sentence; /* as the guest wrote it, until the next call */
};

struct init_report {
	size_t length;
	char line[URUNC_SENTENCE_MAX + 64];
};

/* Takes bytes from the front until a line is whole. To be called until INIT_NOTHING; the report begins with zeros. */
struct init_event init_report_next(struct init_report *report, const uint8_t **bytes, size_t *length);

#endif
