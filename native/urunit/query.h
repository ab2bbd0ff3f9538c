/* What the agent answers itself (docs/guest-protocol.md, "Queries"), in a process of its own. */
#ifndef URUNIT_QUERY_H
#define URUNIT_QUERY_H

#include <stdbool.h>

#include "answer.h"
#include "failure.h"

/* Answers on standard output; the exit status. */
int query_run(const char *verb, const char *argument);

/* Each puts its answer, or says why there is none. */

/* The processes of the container's PID namespace; `proc` is a descriptor of the agent's /proc. */
bool query_ps(int proc, struct answer *answer, struct failure *failure);

bool query_stats(struct answer *answer);

/* Changes limits of the container's control group: all of them, or none. */
bool query_update(const char *changes, struct answer *answer, struct failure *failure);

#endif
