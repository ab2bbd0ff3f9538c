/* What is in files: memory, holes, sizes. */
#define _GNU_SOURCE
#include "check.h"
#include <stdint.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

#define MIB (1 << 20)

static char *shared;

static int write_shared(void)
{
	strcpy(shared + 40000, "of the child");
	return msync(shared, 65536, MS_SYNC) == 0 ? 0 : 1;
}

int mmap_shared(void)
{
	char found[13] = "";
	int file = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	WANT(file >= 0 && ftruncate(file, 65536) == 0);
	shared = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	WANT(shared != MAP_FAILED);
	WANT(in_child(write_shared) == 0 && strcmp(shared + 40000, "of the child") == 0);
	WANT(pread(file, found, 12, 40000) == 12 && strcmp(found, "of the child") == 0);
	WANT(pwrite(file, "by write", 8, 100) == 8 && memcmp(shared + 100, "by write", 8) == 0);
	WANT(munmap(shared, 65536) == 0);
	close(file);
	return 0;
}

static int copy_self(void)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int to = open("program", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	struct stat status;
	if (from < 0 || to < 0 || fstat(from, &status) != 0)
		return 1;
	for (off_t left = status.st_size; left > 0;) {
		ssize_t sent = sendfile(to, from, NULL, (size_t)left);
		if (sent <= 0)
			return 2;
		left -= sent;
	}
	return 0;
}

static int run_program(void)
{
	execl("./program", "program", "--exit", "42", NULL);
	return 1;
}

int execute(void)
{
	WANT(in_child(copy_self) == 0);
	WANT(in_child(run_program) == 42);
	return 0;
}

int sparse(void)
{
	struct stat status;
	int file = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	WANT(file >= 0 && pwrite(file, "end", 3, 64 * MIB) == 3 && fsync(file) == 0);
	WANT(fstat(file, &status) == 0 && status.st_size == 64 * MIB + 3);
	WANT(status.st_blocks < 2 * 1024);
	close(file);
	return 0;
}

int seek_hole(void)
{
	int file = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	WANT(file >= 0 && pwrite(file, "end", 3, 64 * MIB) == 3 && fsync(file) == 0);
	off_t data = lseek(file, 0, SEEK_DATA);
	WANT(lseek(file, 0, SEEK_HOLE) == 0);
	WANT(data > 32 * MIB && data <= 64 * MIB);
	close(file);
	return 0;
}

/* A piece that says where it belongs. */
static void fill(uint64_t *piece, uint64_t at)
{
	for (size_t word = 0; word < MIB / sizeof *piece; word++)
		piece[word] = at * MIB + word;
}

int large(void)
{
	static uint64_t piece[MIB / sizeof(uint64_t)], found[MIB / sizeof(uint64_t)];
	int step = strcmp(fill_mode, "written") == 0 ? 1 : 341;
	int file = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	struct stat status;
	WANT(file >= 0 && ftruncate(file, 1024L * MIB) == 0);
	for (int at = 0; at < 1024; at += step) {
		fill(piece, (uint64_t)at);
		WANT(pwrite(file, piece, MIB, (off_t)at * MIB) == MIB);
	}
	WANT(fstat(file, &status) == 0 && status.st_size == 1024L * MIB);
	for (int at = 0; at < 1024; at += step == 1 ? 31 : step) {
		fill(piece, (uint64_t)at);
		WANT(pread(file, found, MIB, (off_t)at * MIB) == MIB && memcmp(piece, found, MIB) == 0);
	}
	close(file);
	WANT(unlink("file") == 0);
	return 0;
}

int unlink_open(void)
{
	char found[5] = "";
	struct stat status;
	int file = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	WANT(file >= 0 && write(file, "old", 3) == 3 && unlink("file") == 0);
	WANT(pwrite(file, "news", 4, 0) == 4 && pread(file, found, 4, 0) == 4 && strcmp(found, "news") == 0);
	WANT(fstat(file, &status) == 0 && status.st_nlink == 0 && status.st_size == 4);
	WANT(ftruncate(file, 1) == 0 && fstat(file, &status) == 0 && status.st_size == 1);
	WANT(make("file", "another") == 0 && fstat(file, &status) == 0 && status.st_size == 1);
	close(file);
	return 0;
}

int unnamed(void)
{
	char path[64];
	int file = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	WANT(file >= 0);
	WANT(write(file, "x", 1) == 1);
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	WANT(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == 0 && holds("named", "x") == 1);
	close(file);
	return 0;
}

int allocate(void)
{
	struct stat status;
	int file = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	WANT(file >= 0 && fallocate(file, 0, 0, 4 * MIB) == 0);
	WANT(fstat(file, &status) == 0 && status.st_size == 4 * MIB && status.st_blocks >= 4 * MIB / 512);
	close(file);
	return 0;
}

int punch_hole(void)
{
	static char piece[MIB];
	char found = 1;
	int file = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	memset(piece, 'x', sizeof piece);
	WANT(file >= 0 && write(file, piece, sizeof piece) == MIB);
	WANT(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 65536) == 0);
	WANT(pread(file, &found, 1, 65536) == 1 && found == 0);
	WANT(pread(file, &found, 1, 65535) == 1 && found == 'x');
	WANT(pread(file, &found, 1, 131072) == 1 && found == 'x');
	close(file);
	return 0;
}

int truncated(void)
{
	char found[4] = "xxx";
	WANT(make("file", "text") == 0 && truncate("file", 1) == 0 && truncate("file", 4) == 0);
	int file = open("file", O_RDONLY | O_CLOEXEC);
	WANT(file >= 0 && pread(file, found, 3, 1) == 3 && memcmp(found, "\0\0\0", 3) == 0);
	close(file);
	return 0;
}

int synchronise(void)
{
	int file = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0644), directory = open(".", O_RDONLY | O_CLOEXEC);
	WANT(file >= 0 && directory >= 0 && write(file, "x", 1) == 1);
	WANT(fsync(file) == 0 && fdatasync(file) == 0 && fsync(directory) == 0 && syncfs(directory) == 0);
	close(file);
	close(directory);
	return 0;
}

int direct_io(void)
{
	int file = open("file", O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0644);
	char *piece = aligned_alloc(4096, 8192);
	WANT(file >= 0 && piece != NULL);
	memset(piece, 'd', 4096);
	WANT(pwrite(file, piece, 4096, 4096) == 4096 && pread(file, piece + 4096, 4096, 4096) == 4096);
	WANT(memcmp(piece, piece + 4096, 4096) == 0);
	free(piece);
	close(file);
	return 0;
}

int copy_range(void)
{
	WANT(make("one", "0123456789") == 0);
	int one = open("one", O_RDONLY | O_CLOEXEC), two = open("two", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	off_t from = 3;
	WANT(one >= 0 && two >= 0 && copy_file_range(one, &from, two, NULL, 5, 0) == 5);
	WANT(holds("two", "34567") == 1);
	close(one);
	close(two);
	return 0;
}

static int append_some(void)
{
	char record[65];
	int file = open("log", O_WRONLY | O_APPEND);
	snprintf(record, sizeof record, "%063d\n", getpid());
	for (int count = 0; count < 250; count++)
		if (write(file, record, 64) != 64)
			return 1;
	return 0;
}

int append_at_once(void)
{
	char record[64];
	struct stat status;
	WANT(make("log", "") == 0);
	for (int child = 0; child < 4; child++)
		if (fork() == 0)
			_exit(append_some());
	int wrong = 0, code;
	while (wait(&code) > 0)
		wrong += code != 0;
	WANT(wrong == 0 && stat("log", &status) == 0 && status.st_size == 4 * 250 * 64);
	int file = open("log", O_RDONLY | O_CLOEXEC);
	for (int count = 0; count < 1000; count++)
		WANT(read(file, record, 64) == 64 && record[63] == '\n' && record[0] == '0');
	close(file);
	return 0;
}
