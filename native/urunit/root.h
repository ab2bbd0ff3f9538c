/*
 * Where the container's root comes from: a directory of the share, a disk, or an overlay of two file systems. The agent
 * mounts it in its own mount namespace; the container's first process binds it into the one that it makes.
 */
#ifndef URUNIT_ROOT_H
#define URUNIT_ROOT_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"
#include "record.h"

/* A file system of a device, or of none: the serial is empty then. */
struct root_layer {
	const char *type;
	const char *serial;
	const char *options;
};

enum root_kind { ROOT_SHARE, ROOT_OVERLAY, ROOT_DISK };

/* What the machine's document says of the root; strings are the document's. */
struct root {
	enum root_kind kind;
	bool read_only;
	/* The share; its type is NULL: there is none. */
	const char *type;
	const char *source;
	const char *options;
	/* Of the share, where that has the root. */
	const char *subdirectory;
	/* Of an overlay. */
	struct root_layer lower;
	/* Over that one, and below the upper one; its type is NULL: there is none. */
	struct root_layer layer;
	/* Of an overlay what is written to; of a disk all there is. */
	struct root_layer upper;
};

/* Reads ROOT, or OVERLAY and LAYER or DISK, and SHARE. */
bool root_read(struct urunc_records machine, struct root *root, struct failure *failure);

/* Mounts what the machine's document names. Run by the agent, before it starts any process. */
bool root_mount(struct urunc_records machine, struct failure *failure);

/* Binds the root that was mounted to the directory `target`, which is made. In the container's mount namespace. */
bool root_bind(const char *target, bool *read_only, struct failure *failure);

/* An O_PATH descriptor of the share, or -1 with errno. */
int root_open_share(void);

/* Takes all that root_mount has mounted out of the caller's mount namespace; what is bound elsewhere stays. */
bool root_leave(struct failure *failure);

/* With every process dead: sees to it that all they wrote is with the host, and that nothing more can be written. */
void root_settle(void);

#endif
