/*
 * `exerciser DIRECTORY written|sparse [COMMAND...]`: what a program may ask of a file system, each check in a directory of
 * its own below DIRECTORY. Prints `ok CHECK MILLISECONDS` or `FAIL CHECK ERROR, line N` for each, then `done`, and becomes COMMAND.
 * `written` fills the file of 1 GiB; `sparse` only its start, middle and end. Static, for any image.
 */
#define _GNU_SOURCE
#include "check.h"
#include <time.h>

int failed_line;
const char *fill_mode;

int make(const char *path, const char *text)
{
	int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	WANT(file >= 0);
	WANT(write(file, text, strlen(text)) == (ssize_t)strlen(text));
	WANT(close(file) == 0);
	return 0;
}

int holds(const char *path, const char *text)
{
	char found[256] = "";
	int file = open(path, O_RDONLY | O_CLOEXEC);
	WANT(file >= 0);
	WANT(read(file, found, sizeof found - 1) == (ssize_t)strlen(text));
	close(file);
	return strcmp(found, text) == 0;
}

/* The exit status of what a child does. */
int in_child(int (*act)(void))
{
	pid_t child = fork();
	if (child == 0)
		_exit(act());
	int status = 0;
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static const struct {
	const char *name;
	int (*check)(void);
} CHECKS[] = {
	{ "create", create },
	{ "directories", directories },
	{ "rename-over", rename_over },
	{ "rename-across", rename_across },
	{ "rename-noreplace", rename_noreplace },
	{ "rename-exchange", rename_exchange },
	{ "hard-link", hard_link },
	{ "symbolic-link", symbolic_link },
	{ "xattr-user", xattr_user },
	{ "xattr-trusted", xattr_trusted },
	{ "xattr-capability", xattr_capability },
	{ "access-list", access_list },
	{ "chmod", change_mode },
	{ "chown", change_owner },
	{ "permissions", permissions },
	{ "timestamps", timestamps },
	{ "nanoseconds", nanoseconds },
	{ "lock-fcntl", lock_fcntl },
	{ "lock-flock", lock_flock },
	{ "mmap-shared", mmap_shared },
	{ "execute", execute },
	{ "sparse", sparse },
	{ "seek-hole", seek_hole },
	{ "truncate", truncated },
	{ "fallocate", allocate },
	{ "punch-hole", punch_hole },
	{ "unlink-open", unlink_open },
	{ "unnamed-file", unnamed },
	{ "fsync", synchronise },
	{ "direct-io", direct_io },
	{ "copy-range", copy_range },
	{ "long-names", long_names },
	{ "names-of-bytes", names_of_bytes },
	{ "deep-path", deep_path },
	{ "deeper-than-a-path", deeper_than_a_path },
	{ "append-at-once", append_at_once },
	{ "statfs", file_system },
	{ "fifo", fifo },
	{ "unix-socket", unix_socket },
	{ "device-node", device_node },
	{ "ten-thousand-entries", many },
	{ "one-gibibyte", large },
};

static long milliseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(int count, char **words)
{
	if (count == 3 && strcmp(words[1], "--exit") == 0)
		return atoi(words[2]);
	if (count < 3) {
		fprintf(stderr, "usage: exerciser DIRECTORY written|sparse [COMMAND...]\n");
		return 2;
	}
	fill_mode = words[2];
	umask(022);
	mkdir(words[1], 0755);
	for (size_t at = 0; at < sizeof CHECKS / sizeof *CHECKS; at++) {
		const char *name = CHECKS[at].name;
		if (chdir(words[1]) != 0 || (mkdir(name, 0755) != 0 && errno != EEXIST) || chdir(name) != 0) {
			printf("FAIL %s %s, before it\n", name, strerror(errno));
			continue;
		}
		long began = milliseconds();
		errno = 0;
		if (CHECKS[at].check() == 0)
			printf("ok %s %ld\n", name, milliseconds() - began);
		else
			printf("FAIL %s %s, line %d\n", name, errno ? strerror(errno) : "not as it was made", failed_line);
		fflush(stdout);
	}
	printf("done\n");
	fflush(stdout);
	if (count > 3) {
		if (chdir(words[1]) == 0)
			execvp(words[3], words + 3);
		perror(words[3]);
		return 127;
	}
	return 0;
}
