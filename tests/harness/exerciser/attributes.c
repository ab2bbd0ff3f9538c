/* What is said of files: owners, modes, times, attributes. */
#define _GNU_SOURCE
#include "check.h"
#include <sys/statfs.h>
#include <sys/xattr.h>

static int attribute(const char *name, const void *value, size_t size)
{
	char found[64], list[256];
	WANT(make("file", "x") == 0);
	WANT_ERROR(ENODATA, getxattr("file", name, found, sizeof found));
	WANT(setxattr("file", name, value, size, XATTR_CREATE) == 0);
	WANT_ERROR(EEXIST, setxattr("file", name, value, size, XATTR_CREATE));
	WANT(getxattr("file", name, found, sizeof found) == (ssize_t)size && memcmp(found, value, size) == 0);
	ssize_t listed = listxattr("file", list, sizeof list);
	WANT(listed > 0 && memmem(list, (size_t)listed, name, strlen(name) + 1) != NULL);
	WANT(removexattr("file", name) == 0);
	WANT_ERROR(ENODATA, getxattr("file", name, found, sizeof found));
	return 0;
}

int xattr_user(void)
{
	return attribute("user.name", "a\0b", 3);
}

int xattr_trusted(void)
{
	return attribute("trusted.name", "value", 5);
}

int xattr_capability(void)
{
	/* Of the second version: cap_net_bind_service, effective. */
	return attribute("security.capability", "\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
}

int access_list(void)
{
	/* user::rw-, user:1000:r--, group::r--, mask::r--, other::--- */
	static const char list[] = "\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\xe8\x03\0\0"
				   "\x04\0\x04\0\xff\xff\xff\xff\x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
	char found[128];
	struct stat status;
	WANT(make("file", "x") == 0);
	WANT(setxattr("file", "system.posix_acl_access", list, sizeof list - 1, 0) == 0);
	WANT(getxattr("file", "system.posix_acl_access", found, sizeof found) == (ssize_t)sizeof list - 1);
	WANT(memcmp(found, list, sizeof list - 1) == 0);
	WANT(stat("file", &status) == 0 && (status.st_mode & 07777) == 0640);
	return 0;
}

int change_mode(void)
{
	static const mode_t modes[] = { 0, 0644, 06711, 01777 };
	struct stat status;
	WANT(make("file", "x") == 0 && mkdir("directory", 0755) == 0);
	for (size_t at = 0; at < sizeof modes / sizeof *modes; at++) {
		WANT(chmod("file", modes[at]) == 0 && stat("file", &status) == 0);
		WANT((status.st_mode & 07777) == modes[at]);
	}
	WANT(chmod("directory", 02750) == 0 && stat("directory", &status) == 0);
	WANT((status.st_mode & 07777) == 02750);
	return 0;
}

int change_owner(void)
{
	struct stat status;
	WANT(make("file", "x") == 0 && chown("file", 1000, 65534) == 0 && stat("file", &status) == 0);
	WANT(status.st_uid == 1000 && status.st_gid == 65534);
	WANT(chown("file", 70000, (gid_t)-1) == 0 && stat("file", &status) == 0);
	WANT(status.st_uid == 70000 && status.st_gid == 65534);
	WANT(symlink("none", "link") == 0 && lchown("link", 5, 6) == 0 && lstat("link", &status) == 0);
	WANT(status.st_uid == 5 && status.st_gid == 6);
	return 0;
}

/* 0: it may do what the file's owner and mode allow to others, and nothing else. */
static int as_other(void)
{
	if (setresgid(1000, 1000, 1000) != 0 || setresuid(1000, 1000, 1000) != 0)
		return 1;
	if (open("secret", O_RDONLY) != -1 || errno != EACCES)
		return 2;
	if (open("new", O_WRONLY | O_CREAT, 0644) != -1 || errno != EACCES)
		return 3;
	struct stat status;
	int file = open("open/new", O_WRONLY | O_CREAT, 0600);
	if (file < 0 || fstat(file, &status) != 0 || status.st_uid != 1000)
		return 4;
	return chmod("secret", 0777) == -1 && errno == EPERM ? 0 : 5;
}

int permissions(void)
{
	WANT(make("secret", "x") == 0 && chmod("secret", 0600) == 0 && mkdir("open", 0755) == 0);
	WANT(chmod("open", 0777) == 0);
	WANT(in_child(as_other) == 0);
	return 0;
}

int timestamps(void)
{
	static const struct timespec times[] = { { 1234567890, 0 }, { 4294967301, 0 } };
	struct stat status;
	WANT(make("file", "x") == 0 && utimensat(AT_FDCWD, "file", times, 0) == 0 && stat("file", &status) == 0);
	WANT(status.st_atim.tv_sec == times[0].tv_sec && status.st_mtim.tv_sec == times[1].tv_sec);
	WANT(make("file", "y") == 0 && stat("file", &status) == 0 && status.st_mtim.tv_sec < times[1].tv_sec);
	return 0;
}

int nanoseconds(void)
{
	static const struct timespec times[] = { { 1234567890, 987654321 }, { 1234567891, 123456789 } };
	struct stat status;
	WANT(make("file", "x") == 0 && utimensat(AT_FDCWD, "file", times, 0) == 0 && stat("file", &status) == 0);
	WANT(status.st_atim.tv_nsec == times[0].tv_nsec && status.st_mtim.tv_nsec == times[1].tv_nsec);
	return 0;
}

int file_system(void)
{
	struct statfs status;
	WANT(statfs(".", &status) == 0);
	WANT(status.f_bsize > 0 && status.f_blocks > 0 && status.f_bavail <= status.f_blocks);
	WANT(status.f_namelen >= 255);
	return 0;
}
