/* The container's control group: version 2, a child of the machine's root group. */
#ifndef URUNIT_CGROUP_H
#define URUNIT_CGROUP_H

#include <stdbool.h>

#include "failure.h"

/* Mounts the hierarchy where only the agent sees it, and makes the container's group with every controller. */
bool cgroup_make(struct failure *failure);

/* Moves the calling process into the group. */
bool cgroup_enter(struct failure *failure);

/* Makes the group of the calling process the root of what it sees. */
bool cgroup_confine(struct failure *failure);

/* True if the kernel has killed a process of the group for lack of memory. */
bool cgroup_lacked_memory(void);

#endif
