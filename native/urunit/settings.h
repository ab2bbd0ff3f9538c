/* What a process is to be: the decoded process document, and its application to the calling process. */
#ifndef URUNIT_SETTINGS_H
#define URUNIT_SETTINGS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "document.h"
#include "failure.h"

struct settings {
	void *places; /* of the two lists below; mapped */
	size_t places_size;
	struct urunc_records records; /* those that occur more than once are read again when applied */
	const char **arguments;	      /* NULL-terminated, mapped */
	const char **environment;     /* NULL-terminated, with one free place for HOME */
	size_t argument_count;
	size_t environment_count;
	size_t group_count;
	const char *directory;
	uint32_t uid;
	uint32_t gid;
	uint32_t umask;
	bool has_user;
	bool no_new_privileges;
	bool no_stdin;
	bool not_first; /* another is process 1 of its namespace */
	bool has_oom_score;
	int32_t oom_score;
	bool terminal;
	uint16_t rows;
	uint16_t columns;
	const uint64_t *capabilities; /* NULL: none */
	uint64_t capability_sets[5];
	uint32_t seccomp_flags;
	const uint8_t *seccomp; /* NULL: no filter */
	uint32_t seccomp_length;
	const char *query; /* NULL: a program is to be run */
	const char *query_argument;
};

/* True if every record of the machine's document has a tag that is known. */
bool machine_check(struct urunc_records machine, struct failure *failure);

/* Decodes a process document, which must outlive the settings. */
bool settings_read(struct urunc_records records, struct settings *settings, struct failure *failure);

/* Gives back what settings_read took; to be called whether it succeeded or not. */
void settings_free(struct settings *settings);

/*
 * Makes the calling process what the settings say, and finds its program. The standard streams, the session and the
 * terminal are the caller's doing, before.
 */
bool settings_apply(struct settings *settings, char path[PATH_MAX], struct failure *failure);

/* Executes the program. Where that fails the process ends with a sentence of its own. */
_Noreturn void settings_execute(const struct settings *settings, const char *path);

#endif
