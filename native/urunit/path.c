#include "path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Links that lead nowhere, one to the next. */
#define LINKS_MAX 8

static int open_or_make(int root, const char *path, enum path_kind kind, unsigned links);

/* First as a directory: only then a file system that is mounted when it is needed is, which virtiofs's are. */
static int open_in_root(int root, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int file = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));

	if (file >= 0 || errno != ENOTDIR)
		return file;
	how.flags = O_PATH | O_CLOEXEC;
	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

static int make_in(int directory, const char *name, enum path_kind kind)
{
	int file;

	if (kind != PATH_MAKE_FILE)
		return mkdirat(directory, name, 0755);
	file = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (file < 0)
		return -1;
	return close(file);
}

/* Makes the last component of `path`, whose directory exists. */
static int make_last(int root, const char *path, enum path_kind kind)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int directory;
	int result;
	int saved;

	(void)snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 0, path);
	directory = open_in_root(root, *parent ? parent : "/");
	if (directory < 0)
		return -1;
	result = make_in(directory, slash ? slash + 1 : path, kind);
	saved = errno;
	(void)close(directory);
	errno = saved;
	return result;
}

/* Slashes doubled or at the end would make empty components. */
static int normalise(const char *path, char *normal)
{
	size_t length = 0;

	for (; *path; path++) {
		if (*path == '/' && (length == 0 || normal[length - 1] == '/'))
			continue;
		if (length + 1 >= PATH_MAX) {
			errno = ENAMETOOLONG;
			return -1;
		}
		normal[length++] = *path;
	}
	if (length > 0 && normal[length - 1] == '/')
		length--;
	normal[length] = 0;
	return 0;
}

/* Where the link `path`, which is normal, leads to: a path of the root again. */
static int read_link(int root, const char *path, char target[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t parent = slash ? (size_t)(slash - path) + 1 : 0;
	ssize_t length;
	int link;
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	link = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	if (link < 0)
		return -1;
	memcpy(target, path, parent);
	length = readlinkat(link, "", target + parent, PATH_MAX - parent);
	(void)close(link);
	if (length <= 0 || (size_t)length >= PATH_MAX - parent) {
		errno = length < 0 ? errno : ENAMETOOLONG;
		return -1;
	}
	target[parent + (size_t)length] = 0;
	if (target[parent] == '/')
		memmove(target, target + parent, (size_t)length + 1);
	return 0;
}

/* Makes the last component of `path`; behind a link that leads nowhere, what it leads to, as runc does. */
static int make(int root, const char *path, enum path_kind kind, unsigned links)
{
	char target[PATH_MAX];
	int made = make_last(root, path, kind);

	if (made == 0 || errno != EEXIST)
		return made;
	if (links >= LINKS_MAX) {
		errno = ELOOP;
		return -1;
	}
	if (read_link(root, path, target) < 0)
		return -1;
	made = open_or_make(root, target, kind, links + 1);
	return made < 0 ? -1 : close(made);
}

/* Makes every directory that is missing on the way to `path`, which is normal. */
static int make_parents(int root, char *path, unsigned links)
{
	char *slash;

	for (slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		int found;

		*slash = 0;
		found = open_in_root(root, path);
		if (found >= 0)
			(void)close(found);
		else if (errno != ENOENT || make(root, path, PATH_MAKE_DIRECTORY, links) < 0)
			return -1;
		*slash = '/';
	}
	return 0;
}

static int open_or_make(int root, const char *path, enum path_kind kind, unsigned links)
{
	char normal[PATH_MAX];
	int found;

	if (normalise(path, normal) < 0)
		return -1;
	found = open_in_root(root, *normal ? normal : "/");
	if (found >= 0 || errno != ENOENT || kind == PATH_MUST_EXIST)
		return found;
	if (make_parents(root, normal, links) < 0 || make(root, normal, kind, links) < 0)
		return -1;
	return open_in_root(root, normal);
}

int path_open(int root, const char *path, enum path_kind kind)
{
	return open_or_make(root, path, kind, 0);
}

int path_open_parent(int root, const char *path, char name[256])
{
	char normal[PATH_MAX];
	const char *slash;
	const char *last;

	if (normalise(path, normal) < 0)
		return -1;
	slash = strrchr(normal, '/');
	last = slash ? slash + 1 : normal;
	if (!*last || !strcmp(last, ".") || !strcmp(last, "..") || strlen(last) >= 256) {
		errno = EINVAL;
		return -1;
	}
	memcpy(name, last, strlen(last) + 1);
	normal[slash ? slash - normal : 0] = 0;
	return path_open(root, normal, PATH_MAKE_DIRECTORY);
}

const char *path_of_descriptor(int descriptor, char *buffer)
{
	(void)snprintf(buffer, 32, "/proc/self/fd/%d", descriptor);
	return buffer;
}
