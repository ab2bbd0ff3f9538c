#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_SEARCH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PASSWD_MAX 65536

/* 0, or the errno of why this is no program: a directory is none, nor is a file that nobody may execute. */
static int check(const char *path)
{
	struct stat status;

	if (stat(path, &status) < 0)
		return errno;
	if (S_ISDIR(status.st_mode))
		return EISDIR;
	return status.st_mode & 0111 && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : EACCES;
}

static bool find_by_path(const char *name, char path[PATH_MAX], struct failure *failure)
{
	int problem = check(name);

	if (problem == 0 && strlen(name) < PATH_MAX) {
		(void)snprintf(path, PATH_MAX, "%s", name);
		return true;
	}
	switch (problem) {
	case EACCES:
		return fail(failure, STATUS_NOT_RUNNABLE, "exec: \"%.2000s\": permission denied", name);
	case EISDIR:
		return fail(failure, STATUS_NOT_RUNNABLE, "exec: \"%.2000s\": is a directory", name);
	case ENOENT:
		return fail(failure, STATUS_NOT_FOUND, "exec: \"%.1900s\": stat %.1900s: no such file or directory", name, name);
	default:
		errno = problem ? problem : ENAMETOOLONG;
		return fail_errno(failure, STATUS_NOT_RUNNABLE, "exec: \"%.1900s\": stat %.1900s", name, name);
	}
}

bool program_find(const char *name, const char *search, char path[PATH_MAX], struct failure *failure)
{
	const char *at = search ? search : DEFAULT_SEARCH;

	if (strchr(name, '/'))
		return find_by_path(name, path, failure);
	for (;;) {
		size_t length = strcspn(at, ":");
		int written;

		/* An empty entry means the working directory. */
		if (length == 0)
			written = snprintf(path, PATH_MAX, "./%s", name);
		else
			written = snprintf(path, PATH_MAX, "%.*s/%s", (int)length, at, name);
		if (*name && written > 0 && written < PATH_MAX && check(path) == 0)
			return true;
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
