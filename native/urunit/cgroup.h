/* The container's control group: version 2, a child of the machine's root group. */
#ifndef URUNIT_CGROUP_H
#define URUNIT_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"
#include "record.h"

#define CGROUP_HIERARCHY "/sys/fs/cgroup"
#define CGROUP_GROUP CGROUP_HIERARCHY "/container"

/* Mounts the hierarchy where only the agent sees it, and makes the container's group with every controller. */
bool cgroup_make(struct failure *failure);

/* Whether this names a file of the group that limits it: a controller's, and no path. */
bool cgroup_file_allowed(const char *name);

/* Reads a file of the group as text, cut to the size; without the last newline. False with errno. */
bool cgroup_read(const char *name, char *text, size_t size);

/* Writes a file of the group, whose name has been checked. False with errno. */
bool cgroup_write(const char *name, const char *text);

/* Applies the limits of the machine's document. */
bool cgroup_limit(struct urunc_records machine, struct failure *failure);

/* Moves the calling process into the group. */
bool cgroup_enter(struct failure *failure);

/* Makes the group of the calling process the root of what it sees. */
bool cgroup_confine(struct failure *failure);

/* True if the kernel has killed a process of the group for lack of memory. */
bool cgroup_lacked_memory(void);

#endif
