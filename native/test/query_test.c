/* What the agent answers itself: processes of a made /proc, limits of a made control group. */
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

/* The control group is a table of this test's. */
#define cgroup_read read_group
#define cgroup_write write_group
#include "../urunit/cgroup.c"
#undef cgroup_read
#undef cgroup_write
bool cgroup_read(const char *name, char *text, size_t size);
bool cgroup_write(const char *name, const char *text);
#include "../urunit/answer.c"
/* Two of the sources have a function of this name. */
#define put put_failure
#include "../urunit/failure.c"
#undef put
#include "../urunit/lines.c"
#include "../urunit/query_ps.c"
#include "../urunit/query_update.c"
#include "check.h"

static char directory[] = "/tmp/query-test-XXXXXX";
static char output[256 * 1024];

static const char *path_in(const char *name)
{
	static char path[PATH_MAX];

	(void)snprintf(path, sizeof path, "%s/%s", directory, name);
	return path;
}

static void make_file(const char *name, const void *bytes, size_t length)
{
	int file = open(path_in(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CHECK(file >= 0);
	CHECK_EQUAL(write(file, bytes, length), length);
	close(file);
}

static void make_text(const char *name, const char *text)
{
	make_file(name, text, strlen(text));
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

/* What has been answered since, as text. */
static struct answer begin_answer(void)
{
	int file = open(path_in("answer"), O_RDWR | O_CREAT | O_TRUNC, 0600);

	CHECK(file >= 0);
	return (struct answer){ .fd = file };
}

static const char *end_answer(struct answer *answer)
{
	ssize_t length;

	CHECK(answer_flush(answer));
	length = pread(answer->fd, output, sizeof output - 1, 0);
	CHECK(length >= 0);
	output[length] = 0;
	close(answer->fd);
	return output;
}

static void test_answer(void)
{
	struct answer answer = begin_answer();
	char all[256];
	size_t i;

	for (i = 0; i < sizeof all; i++)
		all[i] = (char)i;
	answer_escaped(&answer, all, sizeof all);
	(void)end_answer(&answer);
	/* 32 controls, delete and the backslash take four bytes each. */
	CHECK_EQUAL(strlen(output), 256 + 3 * 34);
	CHECK(!strncmp(output, "\\x00\\x01", 8) && strstr(output, "\\x0a") && strstr(output, "\\x5c]") && strstr(output, "~\\x7f"));
	for (i = 0; output[i]; i++)
		CHECK((unsigned char)output[i] >= 32 && output[i] != 127);

	/* Longer than the buffer, in parts of every size. */
	answer = begin_answer();
	for (i = 0; i < 200; i++)
		answer_put(&answer, all, i);
	CHECK(answer_flush(&answer));
	CHECK_EQUAL(lseek(answer.fd, 0, SEEK_END), 200 * 199 / 2);
	close(answer.fd);

	/* Nobody takes it. */
	answer = (struct answer){ .fd = -1 };
	for (i = 0; i < 10000; i++)
		answer_format(&answer, "%s\n", "line");
	CHECK(!answer_flush(&answer));
}

static void test_lines(void)
{
	struct lines lines;
	char line[8];
	static char text[5000];

	memset(text, 'x', sizeof text);
	text[3000] = '\n';
	make_file("lines", text, sizeof text);
	CHECK(lines_open(&lines, AT_FDCWD, path_in("lines")));
	CHECK(lines_next(&lines, line, sizeof line));
	CHECK_STRING(line, "xxxxxxx");
	CHECK(lines_next(&lines, line, sizeof line));
	CHECK_STRING(line, "xxxxxxx");
	CHECK(!lines_next(&lines, line, sizeof line));
	lines_close(&lines);
	make_text("lines", "\n\nlast\n");
	CHECK(lines_open(&lines, AT_FDCWD, path_in("lines")));
	CHECK(lines_next(&lines, line, sizeof line) && !line[0]);
	CHECK(lines_next(&lines, line, sizeof line) && !line[0]);
	CHECK(lines_next(&lines, line, sizeof line));
	CHECK_STRING(line, "last");
	CHECK(!lines_next(&lines, line, sizeof line));
	lines_close(&lines);
	CHECK(!lines_open(&lines, AT_FDCWD, path_in("nosuch")));
}

static void make_process(const char *pid, const char *numbers, unsigned parent, const char *name, const char *stat)
{
	char path[64];
	char text[1024];

	CHECK_EQUAL(mkdir(path_in(pid), 0755), 0);
	(void)snprintf(path, sizeof path, "%s/status", pid);
	(void)snprintf(text, sizeof text,
		       "Name:\tx\nState:\tS (sleeping)\nPPid:\t%u\nUid:\t5\t6\t7\t8\nGid:\t15\t16\t17\t18\nNSpid:\t%s\n"
		       "NSpgid:\t%s\nNSsid:\t%s\nThreads:\t3\n",
		       parent, numbers, numbers, numbers);
	make_text(path, text);
	(void)snprintf(path, sizeof path, "%s/stat", pid);
	(void)snprintf(text, sizeof text, "%s (%s) %s\n", pid, name, stat);
	make_text(path, text);
}

#define STAT "S 1 7 7 34816 7 4194304 1 2 3 4 500 600 0 0 20 -5 3 0 1000 4096000 25 18446744073709551615 1 1 0 0 0 0 0 0 0 1 0 0 17 2 0 0"

static void test_ps(void)
{
	struct answer answer = begin_answer();
	int proc;
	const char *line;

	make_text("uptime", "12.50 3.00\n");
	/* The agent; then the container's first process, whose name wants to be more; its child; one in a namespace below. */
	make_process("1", "1", 0, "urunit", STAT);
	make_process("7", "7\t1", 1, "a) S 9 (\n\tb", STAT);
	make_process("8", "8\t2", 7, "child", STAT);
	make_process("9", "9\t3\t1", 8, "below", STAT);
	/* One that is gone meanwhile, one that is no process, and one whose line is cut. */
	CHECK_EQUAL(mkdir(path_in("10"), 0755), 0);
	make_process("11", "11\t4", 7, "cut", "S 1 7");
	make_file("7/cmdline", "evil\n\0\x1b[1m\0", 11);
	make_text("8/wchan", "do_wait");
	make_text("9/wchan", "0");

	proc = open(directory, O_RDONLY | O_DIRECTORY);
	CHECK(proc >= 0);
	{
		struct failure failure;

		CHECK(query_ps(proc, &answer, &failure));
	}
	line = end_answer(&answer);
	CHECK(!strncmp(line, "clock 12.50 100 ", 16));
	CHECK(!strstr(line, "urunit") && !strstr(line, "cut"));
	CHECK(strstr(line, "\n1\t0\t1\t1\t5\t6\t15\t16\t34816\t1\tS\t3\t20\t-5\t1000\t500\t600\t4000\t100\t2\t-\ta) S 9 (\\x0a\\x09b\t"
			   "evil\\x0a\\x00\\x1b[1m\\x00\n"));
	CHECK(strstr(line, "\n2\t1\t2\t2\t5\t6\t15\t16\t34816\t1\tS\t3\t20\t-5\t1000\t500\t600\t4000\t100\t2\tdo_wait\tchild\t\n"));
	CHECK(strstr(line, "\n3\t2\t3\t3\t5\t6\t15\t16\t34816\t1\tS\t3\t20\t-5\t1000\t500\t600\t4000\t100\t2\t-\tbelow\t\n"));
}

/* Groups of a hostile process make the line before its numbers longer than any buffer. */
static void test_ps_long_status(void)
{
	static char text[400000];
	size_t length = (size_t)snprintf(text, sizeof text, "PPid:\t7\nGroups:\t");
	struct status status;
	int proc = open(directory, O_RDONLY | O_DIRECTORY);

	while (length < sizeof text - 100)
		length += (size_t)snprintf(text + length, sizeof text - length, "%s ", "NSpid:\t5\t6");
	length += (size_t)snprintf(text + length, sizeof text - length, "\nNSpid:\t12\t6\n");
	CHECK_EQUAL(mkdir(path_in("12"), 0755), 0);
	make_file("12/status", text, length);
	CHECK(read_status(proc, "12", &status));
	CHECK(status.inside);
	CHECK_EQUAL(status.pid, 6);
	CHECK_EQUAL(status.parent, 7);
	close(proc);
}

/* The control group. */
static char group[4][2][64] = {
	{ "pids.max", "max" }, { "memory.max", "max" }, { "memory.current", "1000" }, { "memory.reclaim", "" },
};
static long reclaimable;

static char *value_in_group(const char *name)
{
	for (size_t i = 0; i < 4; i++)
		if (!strcmp(group[i][0], name))
			return group[i][1];
	return NULL;
}

bool cgroup_read(const char *name, char *text, size_t size)
{
	errno = ENOENT;
	if (value_in_group(name))
		(void)snprintf(text, size, "%s", value_in_group(name));
	return value_in_group(name);
}

bool cgroup_write(const char *name, const char *text)
{
	char *value = value_in_group(name);
	long reclaimed = atol(text) < reclaimable ? atol(text) : reclaimable;

	errno = EINVAL;
	if (!value || !strcmp(text, "bad"))
		return false;
	if (strcmp(name, "memory.reclaim"))
		(void)snprintf(value, 64, "%s", text);
	else
		(void)snprintf(group[2][1], 64, "%ld", atol(group[2][1]) - reclaimed);
	return true;
}

static const char *change(const char *changes)
{
	static struct failure failure;
	struct answer answer = begin_answer();
	bool done = query_update(changes, &answer, &failure);

	(void)end_answer(&answer);
	return done ? output : failure.sentence;
}

static void test_update(void)
{
	CHECK_STRING(change(""), "");
	CHECK_STRING(change("pids.max 5\n"), "pids.max max\n");
	CHECK_STRING(group[0][1], "5");
	CHECK_STRING(change("pids.max 6\nmemory.max 2000\n"), "pids.max 5\nmemory.max max\n");
	/* All or nothing. */
	CHECK_STRING(change("pids.max 7\nmemory.max bad\n"), "unable to set memory limit to bad (current usage: 1000)");
	CHECK_STRING(change("pids.max 7\npids.max bad\n"), "setting pids.max to bad: invalid argument");
	CHECK_STRING(change("pids.max 7\ncpu.max 5\n"), "reading cpu.max: no such file or directory");
	CHECK_STRING(group[0][1], "6");
	/* What is used stays within the limit, or the limit is not set. */
	reclaimable = 300;
	CHECK_STRING(change("memory.max 500\n"), "memory.max 2000\n");
	CHECK_STRING(group[2][1], "500");
	reclaimable = 0;
	CHECK_STRING(change("memory.max 399\n"), "unable to set memory limit to 399 (current usage: 500)");
	CHECK_STRING(group[1][1], "500");
	CHECK_STRING(change("memory.max max\n"), "memory.max 500\n");
}

static void test_update_malformed(void)
{
	static const char *const wrong[] = {
		"pids.max", "pids.max 5", "pids.max\n", " 5\n", "pids.max \n", "\n", "cgroup.procs 1\n", "memory/max 1\n",
		"pids.max 1\n\npids.max 2\n",
	};
	char text[400];
	size_t i;

	for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		CHECK_STRING(change(wrong[i]), "the limits to change are malformed");
	(void)snprintf(text, sizeof text, "pids.max %0200d\n", 1);
	CHECK_STRING(change(text), "the limits to change are malformed");
	text[0] = 0;
	for (i = 0; i < 9; i++)
		(void)strcat(text, "pids.max 1\n");
	CHECK_STRING(change(text), "the limits to change are malformed");
	CHECK_STRING(group[0][1], "6");
}

int main(void)
{
	(void)umask(022);
	CHECK(mkdtemp(directory));
	test_answer();
	test_lines();
	test_ps();
	test_ps_long_status();
	test_update();
	test_update_malformed();
	CHECK_EQUAL(nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	return 0;
}
