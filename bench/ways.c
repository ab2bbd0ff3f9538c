/*
 * `ways DIRECTORY FILES`: how long a machine takes for files of its root: `DIRECTORY/large`, `DIRECTORY/small/N/M` with 100
 * in each directory, `DIRECTORY/tree.tar`; what is written goes to `/work`. Prints `began` at once, then `WHAT
 * MILLISECONDS` for each, then `done`. Static, for any image that has tar.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PIECE (1 << 20)
#define SMALL 1024

static const char *directory;
static int files;
static char piece[PIECE];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void read_whole(const char *path)
{
	int file = open(path, O_RDONLY);
	if (file < 0)
		fail(path);
	for (ssize_t got; (got = read(file, piece, sizeof piece)) != 0;)
		if (got < 0)
			fail(path);
	close(file);
}

static void read_large(void)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/large", directory);
	read_whole(path);
}

static const char *small(const char *below, int number)
{
	static char path[4096];
	snprintf(path, sizeof path, "%s/small/%d/%d", below, number / 100, number % 100);
	return path;
}

static void stat_small(void)
{
	struct stat status;
	for (int number = 0; number < files; number++)
		if (stat(small(directory, number), &status) != 0)
			fail("stat");
}

static void read_small(void)
{
	for (int number = 0; number < files; number++)
		read_whole(small(directory, number));
}

static void write_small(void)
{
	char path[64];
	mkdir("/work", 0755);
	mkdir("/work/small", 0755);
	for (int number = 0; number < files; number++) {
		if (number % 100 == 0) {
			snprintf(path, sizeof path, "/work/small/%d", number / 100);
			mkdir(path, 0755);
		}
		int file = open(small("/work", number), O_WRONLY | O_CREAT | O_EXCL, 0644);
		if (file < 0 || write(file, piece, SMALL) != SMALL || close(file) != 0)
			fail("write");
	}
}

static void unpack(void)
{
	char path[4096];
	int status;
	snprintf(path, sizeof path, "%s/tree.tar", directory);
	mkdir("/work/tree", 0755);
	pid_t child = fork();
	if (child == 0) {
		execlp("tar", "tar", "-xf", path, "-C", "/work/tree", NULL);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		fail("tar");
}

static const struct {
	const char *name;
	void (*work)(void);
} WORKS[] = {
	{ "read, cold", read_large },	     { "read, warm", read_large },
	{ "small files, stat", stat_small }, { "small files, read", read_small },
	{ "small files, write", write_small }, { "unpack", unpack },
};

static double milliseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int main(int count, char **words)
{
	printf("began\n");
	fflush(stdout);
	if (count != 3)
		return 2;
	directory = words[1];
	files = atoi(words[2]);
	for (size_t at = 0; at < sizeof WORKS / sizeof *WORKS; at++) {
		double began = milliseconds();
		WORKS[at].work();
		printf("%s: %.1f\n", WORKS[at].name, milliseconds() - began);
		fflush(stdout);
	}
	printf("done\n");
	return 0;
}
