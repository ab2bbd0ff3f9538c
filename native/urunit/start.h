/* How a process of the container starts: what the agent does, what its child does, and what that reports. */
#ifndef URUNIT_START_H
#define URUNIT_START_H

#include <stdbool.h>
#include <sys/types.h>

#include "failure.h"
#include "process.h"

/* Called in the child when the machine's part of it is to be made; see start_first. */
struct machine_part {
	bool (*make)(void *context, int *terminal, struct failure *failure);
	void *context;
};

/*
 * Forks the container's first process into its own namespaces; it makes the machine's part and executes its program. What
 * becomes of it comes through start_report.
 */
bool start_first(struct process *process, const struct machine_part *machine, struct failure *failure);

/*
 * Forks a further process into the namespaces of the container's first one, whose process id is `first`. The rest is as
 * with start_first, without the machine's part. One that is a query stays outside, and answers it.
 */
bool start_further(struct process *process, pid_t first, struct failure *failure);

enum start_event {
	SETUP_NOTHING, /* nothing more has come yet */
	SETUP_AGAIN,   /* something of no concern; there may be more */
	SETUP_MACHINE_READY,
	SETUP_MACHINE_FAILED,
	SETUP_FAILED,
	SETUP_STARTED,
};

/* The next thing that the child has reported. */
enum start_event start_report(struct process *process, struct failure *failure);

#endif
