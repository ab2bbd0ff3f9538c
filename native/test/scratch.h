/* A directory of the test's own, and paths in it. */
#ifndef URUNC_SCRATCH_H
#define URUNC_SCRATCH_H

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "check.h"

static char directory[] = "/tmp/urunc-test-XXXXXX";

static inline void make_scratch(void)
{
	CHECK(mkdtemp(directory));
}

static inline int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

static inline void remove_scratch(void)
{
	CHECK_EQUAL(nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* Valid until four more have been asked for. */
static inline const char *path_in(const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	(void)snprintf(path, PATH_MAX, "%s/%s", directory, name);
	return path;
}

#endif
