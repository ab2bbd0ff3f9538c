/* The stand-in's life, from the monitor's start to the exit status. */
#ifndef URUNC_LOOP_H
#define URUNC_LOOP_H

#include "launch.h"
#include "signals.h"

/* The exit status of all that is not the application's own. */
#define LOOP_STATUS 255

/* Starts the monitor, and serves its guest until the application has ended. The launch document is forgotten. */
int loop_run(struct launch *launch, const struct signals *signals);

/* Says why the application does not run, to `urunc start` or else on standard error. Returns the status. */
int loop_refuse(int status, const char *sentence);

#endif
