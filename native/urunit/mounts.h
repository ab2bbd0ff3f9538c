/* The container's file systems: made in the mount namespace of its first process, by that process. */
#ifndef URUNIT_MOUNTS_H
#define URUNIT_MOUNTS_H

#include <stdbool.h>

#include "failure.h"
#include "record.h"

/* Where the container's root is put together; in the initramfs. */
#define ROOT "/root"

/*
 * Makes the whole of the container's tree below ROOT: the root, mounts, devices, switches of the kernel, what is
 * read-only and what is masked, and the working
 * `directory`. With `terminal`, also a new terminal bound to /dev/console, whose master's
 * descriptor is put there.
 */
bool mounts_apply(struct urunc_records machine, const char *directory, int *terminal, struct failure *failure);

/* Makes ROOT the process's root, and leaves nothing else in its mount namespace. */
bool mounts_enter(struct failure *failure);

#endif
