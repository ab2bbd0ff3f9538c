/* Programs that the stand-in starts: the monitor, and the server of the container's files. */
#ifndef URUNC_CHILD_H
#define URUNC_CHILD_H

#include <stddef.h>
#include <sys/types.h>

#define CHILD_DESCRIPTORS_MOST 8u

enum child_rights {
	CHILD_ALL_RIGHTS, /* those of the stand-in, and it keeps them when it acts as another user */
	CHILD_SAME_RIGHTS, /* those of the stand-in */
	CHILD_NO_RIGHTS, /* no capability */
};

/*
 * Starts a program in a session of its own, which ends when the stand-in does. Its descriptor N is descriptors[N], or
 * closed where that is negative; it has no others. Not positive: there is no process, errno says why. A program that
 * cannot be executed says so on its descriptor 2.
 */
pid_t child_start(char *const arguments[], const int descriptors[], size_t count, enum child_rights rights);

#endif
