/* Files and directories in the test's directory. */
#ifndef URUNC_SCRATCH_FILES_H
#define URUNC_SCRATCH_FILES_H

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "scratch.h"

static inline void make_file(const char *name, mode_t mode, const char *text)
{
	int file = open(path_in(name), O_WRONLY | O_CREAT | O_TRUNC, mode);

	CHECK(file >= 0);
	CHECK_EQUAL(write(file, text, strlen(text)), strlen(text));
	CHECK_EQUAL(fchmod(file, mode), 0);
	close(file);
}

static inline void make_directory(const char *name)
{
	CHECK_EQUAL(mkdir(path_in(name), 0755), 0);
}

#endif
