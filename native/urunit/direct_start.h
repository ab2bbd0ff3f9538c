/* How the application of the direct way starts: its document, and its process. */
#ifndef URUNIT_DIRECT_START_H
#define URUNIT_DIRECT_START_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "conf.h"
#include "failure.h"

/* The process's ends of its streams. With a terminal all three are the console. */
struct direct_streams {
	bool inherited; /* they are urunit's own, and there are no others */
	bool terminal;
	int input;
	int output;
};

/*
 * Forks the process and waits until its program runs. `words` are its arguments, `environment` its variables unless the
 * configuration has some; both end with NULL. A process id, or -1 with why not.
 */
pid_t direct_start(char *const words[], char *const environment[], const struct conf *conf,
		   const struct direct_streams *streams, struct failure *failure);

#endif
