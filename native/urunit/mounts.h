/* The container's file systems: made in the mount namespace of its first process, by that process. */
#ifndef URUNIT_MOUNTS_H
#define URUNIT_MOUNTS_H

#include <stdbool.h>

#include "failure.h"
#include "record.h"

/* Where the agent has the share, and where the container's root is put together; in the initramfs. */
#define SHARE "/share"
#define ROOT "/root"

/* Mounts the share that the machine's document names. Run by the agent, before it starts any process. */
bool mounts_share(struct urunc_records machine, struct failure *failure);

/*
 * Whether all that ended processes have written to the share is with the host: virtiofs keeps nothing back but pages of
 * mappings, and these no longer than the mapping. To sync it would have the host write its whole disks.
 */
bool mounts_share_written(void);

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
