/* What directories and names can do. */
#define _GNU_SOURCE
#include "check.h"
#include <dirent.h>
#include <sys/syscall.h>

#define MANY 10000
/* The C library does not name them (linux/fs.h). */
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2

int create(void)
{
	WANT(make("file", "text") == 0 && holds("file", "text") == 1);
	WANT_ERROR(EEXIST, open("file", O_WRONLY | O_CREAT | O_EXCL, 0644));
	WANT(make("file", "x") == 0 && holds("file", "x") == 1);
	WANT_ERROR(ENOENT, open("none", O_RDONLY));
	WANT(unlink("file") == 0);
	WANT_ERROR(ENOENT, open("file", O_RDONLY));
	return 0;
}

int rename_over(void)
{
	struct stat before, after;
	WANT(make("one", "1") == 0 && make("two", "2") == 0 && stat("one", &before) == 0);
	WANT(rename("one", "two") == 0 && holds("two", "1") == 1 && stat("two", &after) == 0);
	WANT(before.st_ino == after.st_ino);
	WANT_ERROR(ENOENT, access("one", F_OK));
	return 0;
}

int rename_across(void)
{
	WANT(mkdir("a", 0755) == 0 && mkdir("b", 0755) == 0 && mkdir("a/in", 0755) == 0);
	WANT(make("a/in/file", "x") == 0 && rename("a/in", "b/moved") == 0);
	WANT(holds("b/moved/file", "x") == 1);
	WANT_ERROR(EINVAL, rename("b", "b/moved/b"));
	WANT_ERROR(ENOTEMPTY, rename("a", "b"));
	return 0;
}

static int rename_to(const char *path, unsigned flags)
{
	return (int)syscall(SYS_renameat2, AT_FDCWD, "one", AT_FDCWD, path, flags);
}

int rename_noreplace(void)
{
	WANT(make("one", "1") == 0 && make("two", "2") == 0);
	WANT_ERROR(EEXIST, rename_to("two", RENAME_NOREPLACE));
	WANT(rename_to("three", RENAME_NOREPLACE) == 0);
	WANT(holds("two", "2") == 1 && holds("three", "1") == 1);
	return 0;
}

int rename_exchange(void)
{
	WANT(make("one", "1") == 0 && make("two", "2") == 0);
	WANT(rename_to("two", RENAME_EXCHANGE) == 0);
	WANT(holds("one", "2") == 1 && holds("two", "1") == 1);
	return 0;
}

int hard_link(void)
{
	struct stat one, two;
	WANT(make("one", "1") == 0 && link("one", "two") == 0);
	WANT(stat("one", &one) == 0 && stat("two", &two) == 0);
	WANT(one.st_ino == two.st_ino && one.st_nlink == 2 && two.st_nlink == 2);
	WANT(make("two", "changed") == 0 && holds("one", "changed") == 1);
	WANT(unlink("one") == 0 && stat("two", &two) == 0 && two.st_nlink == 1);
	return 0;
}

int symbolic_link(void)
{
	char target[1001], found[2000];
	memset(target, 't', 1000);
	target[1000] = 0;
	WANT(make("file", "x") == 0 && symlink("file", "link") == 0 && holds("link", "x") == 1);
	WANT(symlink(target, "dangling") == 0 && readlink("dangling", found, sizeof found) == 1000);
	WANT(memcmp(found, target, 1000) == 0);
	WANT_ERROR(ELOOP, open("link", O_RDONLY | O_NOFOLLOW));
	return 0;
}

int directories(void)
{
	struct stat status;
	WANT(mkdir("a", 0750) == 0 && stat("a", &status) == 0 && S_ISDIR(status.st_mode));
	WANT(mkdir("a/b", 0750) == 0);
	WANT_ERROR(EEXIST, mkdir("a", 0750));
	WANT_ERROR(ENOTEMPTY, rmdir("a"));
	WANT_ERROR(EISDIR, open("a", O_WRONLY));
	WANT(rmdir("a/b") == 0 && rmdir("a") == 0);
	return 0;
}

int long_names(void)
{
	char name[257];
	memset(name, 'n', 256);
	name[256] = 0;
	WANT_ERROR(ENAMETOOLONG, open(name, O_WRONLY | O_CREAT, 0644));
	name[255] = 0;
	WANT(make(name, "x") == 0 && holds(name, "x") == 1 && unlink(name) == 0);
	return 0;
}

int names_of_bytes(void)
{
	static const char name[] = "\xff\xfe \n\x01\"\\\xc3";
	WANT(make(name, "x") == 0);
	DIR *directory = opendir(".");
	int found = 0;
	for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
		found += strcmp(entry->d_name, name) == 0;
	closedir(directory);
	WANT(found == 1 && holds(name, "x") == 1);
	return 0;
}

/* To the bottom of so many directories, and whether what was made there can be read. */
static int descend(int levels)
{
	char name[101];
	memset(name, 'd', 100);
	name[100] = 0;
	for (int level = 0; level < levels; level++)
		WANT(mkdir(name, 0755) == 0 && chdir(name) == 0);
	WANT(make("file", "x") == 0 && holds("file", "x") == 1);
	return 0;
}

int deep_path(void)
{
	return descend(35);
}

int deeper_than_a_path(void)
{
	return descend(60);
}

int many(void)
{
	static unsigned char seen[MANY];
	char name[32];
	struct dirent *entry;
	WANT(mkdir("many", 0755) == 0 && chdir("many") == 0);
	for (int number = 0; number < MANY; number++) {
		snprintf(name, sizeof name, "entry-%d", number);
		int file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		WANT(file >= 0);
		close(file);
	}
	DIR *directory = opendir(".");
	WANT(directory != NULL);
	int found = 0;
	while ((entry = readdir(directory)) != NULL) {
		int number = -1;
		if (sscanf(entry->d_name, "entry-%d", &number) != 1)
			continue;
		WANT(number >= 0 && number < MANY && seen[number]++ == 0);
		found++;
	}
	WANT(found == MANY);
	/* Removed while the directory is read, as `rm -r` does. */
	rewinddir(directory);
	while ((entry = readdir(directory)) != NULL)
		if (entry->d_name[0] == 'e')
			WANT(unlink(entry->d_name) == 0);
	closedir(directory);
	WANT(chdir("..") == 0 && rmdir("many") == 0);
	return 0;
}
