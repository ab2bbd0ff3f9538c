#include "copy_up.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

/* Deeper trees than this are an attack on the stack. */
#define DEPTH_MAX 64

static bool copy_entries(int from, int to, unsigned depth);

static bool copy_file(int from, int to, const char *name, const struct stat *status)
{
	int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int target = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, status->st_mode & 07777);
	ssize_t moved = source < 0 || target < 0 ? -1 : 1;

	while (moved > 0)
		moved = sendfile(target, source, NULL, 1 << 20);
	if (source >= 0)
		(void)close(source);
	if (target >= 0)
		(void)close(target);
	return moved == 0;
}

static bool copy_link(int from, int to, const char *name)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(from, name, target, sizeof(target) - 1);

	if (length < 0)
		return false;
	target[length] = 0;
	return symlinkat(target, to, name) == 0;
}

static bool copy_directory(int from, int to, const char *name, const struct stat *status, unsigned depth)
{
	int source = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int target = -1;
	bool done = false;

	if (source >= 0 && mkdirat(to, name, status->st_mode & 07777) == 0)
		target = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (target >= 0)
		done = copy_entries(source, target, depth + 1);
	if (source >= 0)
		(void)close(source);
	if (target >= 0)
		(void)close(target);
	return done;
}

static bool copy_entry(int from, int to, const char *name, unsigned depth)
{
	struct stat status;
	bool done;

	if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (S_ISDIR(status.st_mode))
		done = copy_directory(from, to, name, &status, depth);
	else if (S_ISLNK(status.st_mode))
		done = copy_link(from, to, name);
	else if (S_ISREG(status.st_mode))
		done = copy_file(from, to, name, &status);
	else
		done = mknodat(to, name, status.st_mode, status.st_rdev) == 0;
	if (!done || fchownat(to, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	/* A change of owner takes the set-id bits away. */
	return S_ISLNK(status.st_mode) || fchmodat(to, name, status.st_mode & 07777, 0) == 0;
}

static bool copy_entries(int from, int to, unsigned depth)
{
	struct dirent *entry;
	DIR *directory;
	bool done = true;
	int copy;

	if (depth > DEPTH_MAX) {
		errno = ELOOP;
		return false;
	}
	copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	directory = copy < 0 ? NULL : fdopendir(copy);
	if (!directory)
		return false;
	while (done && (entry = readdir(directory))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			done = copy_entry(from, to, entry->d_name, depth);
	}
	(void)closedir(directory);
	return done;
}

bool copy_up_directory(int from, int to)
{
	return copy_entries(from, to, 0);
}
