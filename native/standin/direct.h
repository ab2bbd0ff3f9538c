/* The stand-in of a machine without an agent (docs/direct.md): its console is the container's standard streams. */
#ifndef URUNC_DIRECT_H
#define URUNC_DIRECT_H

#include "launch.h"
#include "signals.h"

/*
 * Starts the monitor, and stays until it has ended. The launch document is forgotten. The exit status is what the image's
 * init has said, else that of a first process whose end was the kernel's, else 0.
 */
int direct_run(struct launch *launch, const struct signals *signals);

#endif
