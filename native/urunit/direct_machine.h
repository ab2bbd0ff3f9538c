/* What an application expects of the machine, where no agent makes it. */
#ifndef URUNIT_DIRECT_MACHINE_H
#define URUNIT_DIRECT_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

#include "conf.h"
#include "failure.h"

/* The kernel's file systems, unless they are mounted already, with the devices and links of every container. */
bool direct_mount(struct failure *failure);

/* The network that the kernel's command line gives, as far as the kernel has not made it itself; and the host's name. */
bool direct_network(struct failure *failure);

/*
 * Mounts the volumes, and notes them for direct_settle. One that cannot be mounted is a failure: what was written to it
 * would be lost.
 */
bool direct_mount_volumes(const struct conf *conf, struct failure *failure);

/* What was written goes to where it belongs: volumes are unmounted, the last one first, and the root is made read-only. */
void direct_settle(const struct conf *conf);

#endif
