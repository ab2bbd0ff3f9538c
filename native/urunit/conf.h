/*
 * urunit's configuration file (docs/direct.md, "urunit.conf"): variables, the process's user, directory and limits, and
 * disks to be mounted. No input or output, no allocation.
 */
#ifndef URUNIT_CONF_H
#define URUNIT_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

/* Bytes of the file, and how many of each there may be. */
#define CONF_MAX 1048576u
#define CONF_VARIABLES 4096u
#define CONF_LIMITS 16u
#define CONF_VOLUMES 64u

struct conf_limit {
	uint32_t resource; /* RLIMIT_… */
	uint64_t soft;
	uint64_t hard;
};

struct conf_volume {
	const char *serial;
	const char *path; /* absolute */
};

struct conf {
	bool has_environment;
	size_t variable_count;
	const char *variables[CONF_VARIABLES]; /* NAME=VALUE */
	bool has_process; /* the next four are said */
	uint32_t uid;
	uint32_t gid;
	const char *directory; /* absolute; NULL: not said */
	size_t limit_count;
	struct conf_limit limits[CONF_LIMITS];
	size_t volume_count;
	struct conf_volume volumes[CONF_VOLUMES];
};

/*
 * Decodes a file's text, which is changed and must stay: `text` has `length` bytes and room for one more. Whatever is not
 * as it must be is a failure: to go on without it could be to run as another user than was asked for.
 */
bool conf_read(char *text, size_t length, struct conf *conf, struct failure *failure);

#endif
