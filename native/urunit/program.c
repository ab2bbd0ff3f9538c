#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASSWD_MAX 65536

enum verdict { RUNNABLE, NOT_EXECUTABLE, NOT_THERE };

/* Go's rule (os/exec, findExecutable): a directory is no program, nor is a file without any execute bit. */
static enum verdict look_at(const char *path)
{
	struct stat status;

	/* The flag changes nothing here but the system call: newfstatat(2), which runc calls and filters allow. */
	if (fstatat(AT_FDCWD, path, &status, AT_NO_AUTOMOUNT) < 0)
		return NOT_THERE;
	return S_ISDIR(status.st_mode) || !(status.st_mode & 0111) ? NOT_EXECUTABLE : RUNNABLE;
}

/*
 * What this very user may not run, or not from this file system: runc asks beforehand, while it still can say so. Where
 * a filter in force denies the question (EPERM), the execution answers it.
 */
static bool may_run(const char *path, struct failure *failure)
{
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 || errno == EPERM ||
	       fail_errno(failure, STATUS_NOT_RUNNABLE, "exec %s", path);
}

static bool find_by_path(const char *name, char path[PATH_MAX], struct failure *failure)
{
	if (strlen(name) >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return fail_errno(failure, STATUS_NOT_RUNNABLE, "exec: \"%.2000s\"", name);
	}
	(void)snprintf(path, PATH_MAX, "%s", name);
	switch (look_at(name)) {
	case RUNNABLE:
		return may_run(path, failure);
	case NOT_EXECUTABLE:
		return fail(failure, STATUS_NOT_RUNNABLE, "exec: \"%.2000s\": permission denied", name);
	case NOT_THERE:
		break;
	}
	return fail_errno(failure, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_RUNNABLE,
			  "exec: \"%.1900s\": stat %.1900s", name, name);
}

bool program_find(const char *name, const char *search, char path[PATH_MAX], struct failure *failure)
{
	const char *at = search;

	if (strchr(name, '/'))
		return find_by_path(name, path, failure);
	while (at && *search && *name) {
		size_t length = strcspn(at, ":");
		int written;

		/* An empty entry means the working directory. */
		if (length == 0)
			written = snprintf(path, PATH_MAX, "./%s", name);
		else
			written = snprintf(path, PATH_MAX, "%.*s/%s", (int)length, at, name);
		if (written > 0 && written < PATH_MAX && look_at(path) == RUNNABLE) {
			if (path[0] == '/')
				return may_run(path, failure);
			return fail(failure, STATUS_OTHER,
				    "exec: \"%.2000s\": cannot run executable found relative to current directory", name);
		}
		if (!at[length])
			break;
		at += length + 1;
	}
	return fail(failure, STATUS_NOT_FOUND, "exec: \"%.2000s\": executable file not found in $PATH", name);
}

/* The sixth field of the line whose third is the user, or NULL; cuts the line up. */
static char *home_in_line(char *line, uint32_t uid)
{
	char *fields[6];
	char *end;
	unsigned i;

	for (i = 0; i < 6; i++) {
		fields[i] = line;
		line += strcspn(line, ":");
		if (!*line && i < 5)
			return NULL;
		if (*line)
			*line++ = 0;
	}
	if (strtoul(fields[2], &end, 10) != uid || *end || end == fields[2])
		return NULL;
	return *fields[5] ? fields[5] : NULL;
}

void program_home(uint32_t uid, char *variable, size_t size)
{
	static char text[PASSWD_MAX + 1];
	int file = open("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *line = text;
	size_t length = 0;
	ssize_t got = 0;

	(void)snprintf(variable, size, "HOME=/");
	while (file >= 0 && length < PASSWD_MAX && (got = read(file, text + length, PASSWD_MAX - length)) > 0)
		length += (size_t)got;
	if (file >= 0)
		(void)close(file);
	text[length] = 0;
	while (*line) {
		char *next = line + strcspn(line, "\n");
		char *home;

		if (*next)
			*next++ = 0;
		home = home_in_line(line, uid);
		if (home) {
			(void)snprintf(variable, size, "HOME=%s", home);
			return;
		}
		line = next;
	}
}
