/* Paths of the container, resolved inside its root: links and `..` of the image never lead out of it. */
#ifndef URUNIT_PATH_H
#define URUNIT_PATH_H

#include <stdbool.h>
#include <sys/types.h>

enum path_kind { PATH_MUST_EXIST, PATH_MAKE_DIRECTORY, PATH_MAKE_FILE };

/*
 * An O_PATH descriptor of what `path` names inside the directory `root`, or -1 with errno. What is missing is made,
 * directories with mode 0755.
 */
int path_open(int root, const char *path, enum path_kind kind);

/* The directory that holds `path`, made if missing, and in `name` the last component. -1 with errno. */
int path_open_parent(int root, const char *path, char name[256]);

/* The name by which a system call that takes paths reaches a descriptor; `buffer` has at least 32 bytes. */
const char *path_of_descriptor(int descriptor, char *buffer);

#endif
