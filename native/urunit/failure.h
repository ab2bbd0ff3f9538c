/* Why something could not be done: one sentence for the user, and the exit status that goes with it. */
#ifndef URUNIT_FAILURE_H
#define URUNIT_FAILURE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

#define STATUS_NOT_RUNNABLE 126u
#define STATUS_NOT_FOUND 127u
#define STATUS_OTHER 128u

struct failure {
	uint32_t status;
	char sentence[URUNC_SENTENCE_MAX];
};

/* Both return false, for `return fail(…)`. The second adds ": " and errno's text. */
bool fail(struct failure *failure, uint32_t status, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool fail_errno(struct failure *failure, uint32_t status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts a text before the sentence. */
void fail_during(struct failure *failure, const char *what);

#endif
