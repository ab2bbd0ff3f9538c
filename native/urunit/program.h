/* Which file a program's name means, and where its user is at home. */
#ifndef URUNIT_PROGRAM_H
#define URUNIT_PROGRAM_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

/*
 * The file to execute: the name itself if it has a slash, else the first executable of that name in the directories
 * of `search` (NULL or empty: there are none). Failures have the sentences of runc (Go's exec.LookPath).
 */
bool program_find(const char *name, const char *search, char path[PATH_MAX], struct failure *failure);

/* Writes `HOME=` and the user's directory from /etc/passwd, or `/`. */
void program_home(uint32_t uid, char *variable, size_t size);

#endif
