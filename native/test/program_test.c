/* The program that a process runs, and its home. */
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../urunit/failure.c"
#include "../urunit/path.c"
#include "../urunit/program.c"
#include "scratch_files.h"

static struct failure failure;

static void find(const char *name, const char *search, const char *found)
{
	char path[PATH_MAX];

	memset(&failure, 0, sizeof failure);
	if (!program_find(name, search, path, &failure)) {
		fprintf(stderr, "%s: %s\n", name, failure.sentence);
		CHECK(false);
	}
	CHECK_STRING(path, found);
}

static void miss(const char *name, const char *search, unsigned status, const char *sentence)
{
	char path[PATH_MAX];

	CHECK(!program_find(name, search, path, &failure));
	CHECK_STRING(failure.sentence, sentence);
	CHECK_EQUAL(failure.status, status);
}

/* Runs a test in a process of its own, which may change what it is. */
static void aside(void (*test)(void))
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		/* What waits for ever has failed. */
		(void)alarm(30);
		test();
		_exit(0);
	}
	CHECK_EQUAL(waitpid(pid, &status, 0), pid);
	CHECK_EQUAL(status, 0);
}

static char sentence_of[3 * PATH_MAX];

static const char *say(const char *before, const char *path, const char *between, const char *second, const char *after)
{
	(void)snprintf(sentence_of, sizeof sentence_of, "%s%s%s%s%s", before, path, between, second, after);
	return sentence_of;
}

static void test_as_nobody(void)
{
	if (geteuid() == 0)
		CHECK_EQUAL(seteuid(65534), 0);
	find("app", path_in("bin2"), path_in("bin2/app"));
	/* It is found, and may not be run; runc does not look for another one. */
	miss("own", path_in("bin2"), 126, say("exec ", path_in("bin2/own"), ": permission denied", "", ""));
	miss(path_in("bin2/own"), NULL, 126, say("exec ", path_in("bin2/own"), ": permission denied", "", ""));
	miss(path_in("closed/app"), NULL, 126,
	     say("exec: \"", path_in("closed/app"), "\": stat ", path_in("closed/app"), ": permission denied"));
}

static void test_programs(void)
{
	char search[PATH_MAX * 2];
	char *name = malloc(PATH_MAX + 10);

	make_directory("bin1");
	make_directory("bin2");
	make_directory("bin1/app");
	make_directory("bin1/folder");
	make_file("bin1/plain", 0644, "");
	make_file("bin1/first", 0755, "");
	make_file("bin2/first", 0755, "");
	make_file("bin2/app", 0755, "");
	make_file("bin2/plain", 0644, "");
	make_file("bin2/own", geteuid() == 0 ? 0700 : 0010, "");
	make_directory("closed");
	CHECK_EQUAL(chmod(path_in("closed"), geteuid() == 0 ? 0700 : 0000), 0);
	CHECK_EQUAL(chmod(directory, 0755), 0);
	CHECK_EQUAL(symlink("app", path_in("bin2/link")), 0);
	CHECK_EQUAL(symlink("loop", path_in("bin2/loop")), 0);
	(void)snprintf(search, sizeof search, "%s:/nowhere:%s", path_in("bin1"), path_in("bin2"));

	find("first", search, path_in("bin1/first"));
	/* A directory of that name is passed over, and so is a file that nobody may execute. */
	find("app", search, path_in("bin2/app"));
	find("link", search, path_in("bin2/link"));
	find(path_in("bin2/app"), "/nowhere", path_in("bin2/app"));
	miss("plain", search, 127, "exec: \"plain\": executable file not found in $PATH");
	miss("none", search, 127, "exec: \"none\": executable file not found in $PATH");
	miss("", search, 127, "exec: \"\": executable file not found in $PATH");
	miss("app", "", 127, "exec: \"app\": executable file not found in $PATH");
	miss("sh", NULL, 127, "exec: \"sh\": executable file not found in $PATH");
	/* Paths, which are not looked up. */
	miss("/none/app", search, 127, "exec: \"/none/app\": stat /none/app: no such file or directory");
	miss(path_in("bin1/plain"), search, 126, say("exec: \"", path_in("bin1/plain"), "\": permission denied", "", ""));
	miss(path_in("bin1/folder"), search, 126, say("exec: \"", path_in("bin1/folder"), "\": permission denied", "", ""));
	miss(path_in("bin1/plain/x"), search, 126,
	     say("exec: \"", path_in("bin1/plain/x"), "\": stat ", path_in("bin1/plain/x"), ": not a directory"));
	miss(path_in("bin2/loop"), NULL, 126,
	     say("exec: \"", path_in("bin2/loop"), "\": stat ", path_in("bin2/loop"), ": too many levels of symbolic links"));
	/* The working directory: what an empty or a relative entry finds is not run, a relative path is. */
	CHECK_EQUAL(chdir(path_in("bin2")), 0);
	miss("app", "", 127, "exec: \"app\": executable file not found in $PATH");
	miss("app", "/nowhere:", 128, "exec: \"app\": cannot run executable found relative to current directory");
	miss("app", ":/nowhere", 128, "exec: \"app\": cannot run executable found relative to current directory");
	miss("app", "../bin2", 128, "exec: \"app\": cannot run executable found relative to current directory");
	find("./app", "/nowhere", "./app");
	CHECK_EQUAL(chdir("/"), 0);
	/* Names beyond every limit. */
	memset(name, 'x', PATH_MAX + 9);
	name[PATH_MAX + 9] = 0;
	CHECK(!program_find(name, "/bin:/usr/bin", search, &failure));
	CHECK_EQUAL(failure.status, 127);
	name[0] = '/';
	CHECK(!program_find(name, NULL, search, &failure));
	CHECK_EQUAL(failure.status, 126);
	CHECK(strlen(failure.sentence) < sizeof failure.sentence);
	free(name);
	aside(test_as_nobody);
}

static void expect_home(uint32_t uid, const char *wanted)
{
	char home[64];

	memset(home, 'Z', sizeof home);
	program_home(uid, home, sizeof home);
	CHECK_STRING(home, wanted);
}

static void test_homes(void)
{
	char home[16];
	int file;

	if (geteuid() != 0)
		CHECK_EQUAL(unshare(CLONE_NEWUSER), 0);
	CHECK_EQUAL(chroot(directory), 0);
	CHECK_EQUAL(chdir("/"), 0);
	expect_home(0, "HOME=/");
	CHECK_EQUAL(mkdir("etc", 0755), 0);
	/* Not a file: no waiting for a writer. */
	CHECK_EQUAL(mkfifo("etc/passwd", 0644), 0);
	expect_home(0, "HOME=/");
	CHECK_EQUAL(unlink("etc/passwd"), 0);
	file = open("etc/passwd", O_WRONLY | O_CREAT, 0644);
	dprintf(file, "\n:\n#comment\nshort:x:5:5:\nempty:x:6:6:::\nroot:x:0:0:root:/root:/bin/sh\nroot2:x:0:0::/second:\n"
		      "word:x:seven:7::/w:\nnone:x::8::/n:\nhex:x:0x9:9::/x:\ntail:x:10 :10::/t:\n"
		      "large:x:4294967295:1::/l:\nlarger:x:4294967296:1::/overflow:\nlast:x:1000:1000::/home/last");
	close(file);
	expect_home(0, "HOME=/root");
	expect_home(1000, "HOME=/home/last");
	expect_home(4294967295u, "HOME=/l");
	expect_home(5, "HOME=/");
	expect_home(6, "HOME=/");
	expect_home(7, "HOME=/");
	expect_home(8, "HOME=/");
	expect_home(9, "HOME=/");
	expect_home(10, "HOME=/");
	expect_home(42, "HOME=/");
	program_home(1000, home, sizeof home);
	CHECK_STRING(home, "HOME=/home/last");
	program_home(1000, home, 10);
	CHECK_STRING(home, "HOME=/hom");
	/* Of a file without an end, the beginning. */
	file = open("etc/passwd", O_WRONLY | O_TRUNC);
	for (int i = 0; i < 20000; i++)
		dprintf(file, "user%d:x:%d:1::/%d:\n", i, i + 1, i + 1);
	close(file);
	expect_home(100, "HOME=/100");
	expect_home(20000, "HOME=/");
	CHECK_EQUAL(unlink("etc/passwd"), 0);
	CHECK_EQUAL(rmdir("etc"), 0);
}

int main(void)
{
	(void)umask(0);
	make_scratch();
	test_programs();
	aside(test_homes);
	remove_scratch();
	return 0;
}
