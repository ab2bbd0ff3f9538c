/* The second stand-in's life: of a process that is added to a container which another stand-in stands in for. */
#ifndef URUNC_JOIN_H
#define URUNC_JOIN_H

#include <stdbool.h>

/* Whether this can be the name of a launch document in /run/urunc. */
bool join_name_allowed(const char *name);

/* Serves the process until it has ended; the exit status. */
int join_run(const char *name);

#endif
