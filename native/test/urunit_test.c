/* The agent's parts: documents, settings, programs, paths inside a root, the channel's frames, a process's streams. */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Two of the sources have a function of this name. */
#define put put_into_file
#include "../urunit/cgroup.c"
#undef put
#include "../urunit/channel.c"
#include "../urunit/document.c"
#include "../urunit/failure.c"
#include "../urunit/path.c"
#include "../urunit/process.c"
#include "../urunit/program.c"
#include "../urunit/settings.c"
#include "../urunit/signals.c"
#include "../urunit/start.c"
#include "../urunit/transport.c"
#include "check.h"
#include "scratch.h"

/* Queries have tests of their own. */
int query_run(const char *verb, const char *argument)
{
	(void)verb;
	(void)argument;
	return 0;
}

static void make_file(const char *name, mode_t mode, const char *text)
{
	int file = open(path_in(name), O_WRONLY | O_CREAT | O_TRUNC, mode);

	CHECK(file >= 0);
	CHECK_EQUAL(write(file, text, strlen(text)), strlen(text));
	CHECK_EQUAL(fchmod(file, mode), 0);
	close(file);
}

static void make_directory(const char *name)
{
	CHECK_EQUAL(mkdir(path_in(name), 0755), 0);
}

/* A document that a test writes; read from a copy of exactly its size, so that reading on would be noticed. */
static uint8_t draft[4 * 1024 * 1024];
static size_t drafted;

static void begin(void)
{
	drafted = 0;
}

static uint8_t *add(uint16_t tag, size_t length)
{
	uint8_t *at = draft + drafted;

	CHECK(URUNC_RECORD_HEADER + length <= sizeof draft - drafted);
	memset(at, 0, URUNC_RECORD_HEADER + length);
	urunc_put16(at, tag);
	urunc_put32(at + 4, (uint32_t)length);
	drafted += URUNC_RECORD_HEADER + length;
	return at + URUNC_RECORD_HEADER;
}

static void add_bytes(uint16_t tag, const void *bytes, size_t length)
{
	uint8_t *value = add(tag, length);

	if (length > 0)
		memcpy(value, bytes, length);
}

static void add_string(uint16_t tag, const char *text)
{
	add_bytes(tag, text, strlen(text) + 1);
}

static void add_user(uint32_t uid, uint32_t gid, uint32_t mask)
{
	uint8_t *value = add(URUNC_USER, 12);

	urunc_put32(value, uid);
	urunc_put32(value + 4, gid);
	urunc_put32(value + 8, mask);
}

/* What no process document may lack. */
static void begin_process(void)
{
	begin();
	add_string(URUNC_ARG, "app");
	add_string(URUNC_CWD, "/");
	add_user(1, 2, UMASK_LEAVE);
}

static struct settings settings;
static struct failure failure;
static uint8_t *copy;

static bool read_copy(const uint8_t *bytes, size_t length)
{
	copy = malloc(length);
	CHECK(copy);
	memcpy(copy, bytes, length);
	memset(&failure, 'Z', sizeof failure);
	return settings_read((struct urunc_records){ copy, copy + length }, &settings, &failure);
}

/* The agent never gives settings back: its process ends with them. */
static void drop_settings(void)
{
	struct urunc_records records = settings.records;
	struct urunc_record record;
	size_t strings = 3;

	while (urunc_record_next(&records, &record) == URUNC_RECORD_OK)
		strings += record.tag == URUNC_ARG || record.tag == URUNC_ENV;
	CHECK_EQUAL(munmap((void *)(uintptr_t)settings.arguments, strings * sizeof(char *)), 0);
	free(copy);
}

static void expect_refused(const char *sentence)
{
	CHECK(!read_copy(draft, drafted));
	CHECK_STRING(failure.sentence, sentence);
	CHECK_EQUAL(failure.status, 128);
	drop_settings();
}

static void expect_taken(void)
{
	if (!read_copy(draft, drafted)) {
		fprintf(stderr, "refused: %s\n", failure.sentence);
		CHECK(false);
	}
	drop_settings();
}

static void test_document(void)
{
	struct document document = { 0 };
	struct urunc_records records;
	struct urunc_record record;
	uint8_t bytes[16] = { 1, 2, 3 };

	CHECK(!document_append(&document, bytes, 0));
	CHECK(!document_complete(&document));
	CHECK(!document_announce(&document, URUNC_DOCUMENT_MAX + 1));
	CHECK(!document_announce(&document, UINT32_MAX));
	CHECK(!document.bytes);
	CHECK(document_announce(&document, 10));
	CHECK(!document_announce(&document, 10));
	CHECK(!document_complete(&document));
	CHECK(document_append(&document, bytes, 7));
	CHECK(document_append(&document, bytes, 0));
	CHECK(!document_append(&document, bytes, 4));
	CHECK(!document_append(&document, bytes, SIZE_MAX));
	CHECK(!document_complete(&document));
	CHECK(document_append(&document, bytes, 3));
	CHECK(document_complete(&document));
	CHECK(!document_append(&document, bytes, 1));
	CHECK(!document_announce(&document, 0));
	records = document_records(&document);
	CHECK_EQUAL(records.end - records.at, 10);
	CHECK(!memcmp(records.at, "\1\2\3\0\0\0\0\1\2\3", 10));
	document_free(&document);
	CHECK(!document.bytes && !document_complete(&document));
	/* None at all is a document as well. */
	CHECK(document_announce(&document, 0));
	CHECK(document_complete(&document));
	CHECK(!document_announce(&document, 0));
	CHECK(!document_append(&document, bytes, 1));
	records = document_records(&document);
	CHECK_EQUAL(urunc_record_next(&records, &record), URUNC_RECORD_END);
	document_free(&document);
	CHECK(document_announce(&document, URUNC_DOCUMENT_MAX));
	document_free(&document);
	document_free(&document);
}

static void add_everything(void)
{
	uint8_t *value;
	size_t i;

	begin();
	add_string(URUNC_ENV, "A=1");
	add_string(URUNC_ARG, "app");
	add_string(URUNC_ARG, "");
	add_string(URUNC_ENV, "A=2");
	add_string(URUNC_CWD, "/w");
	add_string(URUNC_ARG, "two\nlines");
	add_user(1000, 0xfffffffe, 027);
	urunc_put32(add(URUNC_GROUP, 4), 5);
	urunc_put32(add(URUNC_GROUP, 4), 6);
	value = add(URUNC_CAPABILITIES, 40);
	for (i = 0; i < 5; i++)
		urunc_put64(value + 8 * i, UINT64_C(1) << (40 + i));
	(void)add(URUNC_NO_NEW_PRIVILEGES, 0);
	(void)add(URUNC_RLIMIT, 24);
	urunc_put32(add(URUNC_OOM_SCORE_ADJ, 4), (uint32_t)-1000);
	value = add(URUNC_TERMINAL, 4);
	urunc_put16(value, 24);
	urunc_put16(value + 2, 80);
	value = add(URUNC_SECCOMP, 4 + 2 * sizeof(struct sock_filter));
	urunc_put32(value, 2);
	value[4] = 6;
	(void)add(URUNC_NO_STDIN, 0);
}

static void test_settings(void)
{
	size_t i;

	add_everything();
	CHECK(read_copy(draft, drafted));
	CHECK_EQUAL(settings.argument_count, 3);
	CHECK_STRING(settings.arguments[0], "app");
	CHECK_STRING(settings.arguments[1], "");
	CHECK_STRING(settings.arguments[2], "two\nlines");
	CHECK(!settings.arguments[3]);
	CHECK_EQUAL(settings.environment_count, 2);
	CHECK_STRING(settings.environment[0], "A=1");
	CHECK_STRING(variable(&settings, "A"), "2");
	CHECK(!variable(&settings, ""));
	CHECK(!variable(&settings, "AB"));
	/* A place for HOME, and the end behind it. */
	CHECK(!settings.environment[2] && !settings.environment[3]);
	CHECK_STRING(settings.directory, "/w");
	CHECK_EQUAL(settings.uid, 1000);
	CHECK_EQUAL(settings.gid, 0xfffffffe);
	CHECK_EQUAL(settings.umask, 027);
	CHECK_EQUAL(settings.group_count, 2);
	CHECK(settings.capabilities == settings.capability_sets);
	for (i = 0; i < 5; i++)
		CHECK_EQUAL(settings.capabilities[i], UINT64_C(1) << (40 + i));
	CHECK(settings.no_new_privileges && settings.no_stdin && settings.terminal && settings.has_oom_score);
	CHECK_EQUAL(settings.oom_score, -1000);
	CHECK_EQUAL(settings.rows, 24);
	CHECK_EQUAL(settings.columns, 80);
	CHECK_EQUAL(settings.seccomp_flags, 2);
	CHECK_EQUAL(settings.seccomp_length, 2 * sizeof(struct sock_filter));
	CHECK_EQUAL(settings.seccomp[0], 6);
	drop_settings();
	begin_process();
	CHECK(read_copy(draft, drafted));
	CHECK(!settings.capabilities && !settings.seccomp && !settings.no_new_privileges && !settings.terminal);
	CHECK(!settings.has_oom_score && !settings.no_stdin && settings.group_count == 0);
	CHECK(!settings.environment[0] && !settings.environment[1]);
	drop_settings();
}

static void test_settings_lacking(void)
{
	static const char lacks[] = "the process's document lacks arguments, directory or user";

	begin();
	expect_refused(lacks);
	add_string(URUNC_CWD, "/");
	add_user(0, 0, 0);
	expect_refused(lacks);
	begin();
	add_string(URUNC_ARG, "app");
	add_user(0, 0, 0);
	expect_refused(lacks);
	begin();
	add_string(URUNC_ARG, "app");
	add_string(URUNC_CWD, "/");
	expect_refused(lacks);
	add_user(0, 0, 0);
	expect_taken();
}

/* Each record of everything there is, in each length but its own. */
static void test_settings_truncated(void)
{
	static const struct {
		uint16_t tag;
		uint32_t length;
	} fixed[] = {
		{ URUNC_USER, 12 },	{ URUNC_GROUP, 4 },  { URUNC_CAPABILITIES, 40 },  { URUNC_NO_NEW_PRIVILEGES, 0 },
		{ URUNC_RLIMIT, 24 },	{ URUNC_NO_STDIN, 0 }, { URUNC_OOM_SCORE_ADJ, 4 }, { URUNC_TERMINAL, 4 },
	};
	char sentence[80];
	size_t i, length, whole, next = 0;

	for (i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
		(void)snprintf(sentence, sizeof sentence, "the process's document has a malformed record 0x%04x", fixed[i].tag);
		for (length = 0; length <= 48; length++) {
			begin();
			add_string(URUNC_ARG, "app");
			add_string(URUNC_CWD, "/");
			(void)add(fixed[i].tag, length);
			if (fixed[i].tag != URUNC_USER)
				add_user(0, 0, 0);
			if (length == fixed[i].length)
				expect_taken();
			else
				expect_refused(sentence);
		}
	}
	/* Cut anywhere but between two records. */
	add_everything();
	whole = drafted;
	for (drafted = 0; drafted < whole; drafted++) {
		if (drafted == next) {
			next += URUNC_RECORD_HEADER + urunc_get32(draft + next + 4);
			continue;
		}
		expect_refused("the process's document is malformed");
	}
	CHECK_EQUAL(next, whole);
	expect_taken();
}

static void test_settings_malformed(void)
{
	static const uint16_t strings[] = { URUNC_ARG, URUNC_ENV, URUNC_CWD };
	char sentence[80];
	size_t i;

	for (i = 0; i < 3; i++) {
		(void)snprintf(sentence, sizeof sentence, "the process's document has a malformed record 0x%04x", strings[i]);
		begin();
		add_bytes(strings[i], "", 0);
		expect_refused(sentence);
		begin();
		add_bytes(strings[i], "text", 4);
		expect_refused(sentence);
		begin();
		add_bytes(strings[i], "text\0more", 10);
		expect_refused(sentence);
	}
	begin_process();
	add_string(URUNC_CWD, "/other");
	expect_refused("the process's document has a malformed record 0x0203");
	begin_process();
	add_user(1, 2, UMASK_LEAVE);
	expect_refused("the process's document has a malformed record 0x0204");
	begin_process();
	(void)add(URUNC_HOSTNAME, 1);
	expect_refused("the process's document has an unknown record 0x0101");
	begin_process();
	(void)add(0x02ff, 0);
	expect_refused("the process's document has an unknown record 0x02ff");
	begin_process();
	(void)add(0, 0);
	expect_refused("the process's document has an unknown record 0x0000");
	/* The two bytes behind the tag are zero. */
	begin_process();
	draft[2] = 1;
	expect_refused("the process's document is malformed");
	begin_process();
	urunc_put32(draft + 4, UINT32_MAX);
	expect_refused("the process's document is malformed");
	begin_process();
	drafted += 7;
	memset(draft + drafted - 7, 0, 7);
	expect_refused("the process's document is malformed");
}

static void test_settings_query(void)
{
	static const char both[] = "the process's document is both a program's and a query's";

	begin();
	add_bytes(URUNC_QUERY, "stats\0one\ntwo", 14);
	(void)add(URUNC_NO_STDIN, 0);
	CHECK(read_copy(draft, drafted));
	CHECK_STRING(settings.query, "stats");
	CHECK_STRING(settings.query_argument, "one\ntwo");
	drop_settings();
	add_bytes(URUNC_QUERY, "ps\0", 4);
	expect_refused("the process's document has a malformed record 0x020d");
	begin_process();
	CHECK(read_copy(draft, drafted));
	CHECK(!settings.query);
	drop_settings();
	add_bytes(URUNC_QUERY, "ps\0", 4);
	expect_refused(both);
	begin();
	add_bytes(URUNC_QUERY, "ps\0", 4);
	(void)add(URUNC_TERMINAL, 4);
	expect_refused(both);
	begin();
	add_string(URUNC_QUERY, "ps");
	expect_refused("the process's document has a malformed record 0x020d");
}

static void test_settings_sizes(void)
{
	const size_t one = sizeof(struct sock_filter);
	const char *malformed = "the process's document has a malformed record 0x020b";
	size_t i;

	for (i = 0; i < 4 + 3 * one; i++) {
		begin_process();
		(void)add(URUNC_SECCOMP, i);
		if (i > 4 && (i - 4) % one == 0)
			expect_taken();
		else
			expect_refused(malformed);
	}
	begin_process();
	(void)add(URUNC_SECCOMP, 4 + BPF_MAXINSNS * one);
	expect_taken();
	begin_process();
	(void)add(URUNC_SECCOMP, 4 + (BPF_MAXINSNS + 1) * one);
	expect_refused(malformed);
	begin_process();
	for (i = 0; i < 65536; i++)
		(void)add(URUNC_GROUP, 4);
	expect_taken();
	(void)add(URUNC_GROUP, 4);
	expect_refused("a process has at most 65536 groups");
	begin_process();
	for (i = 0; i < 200000; i++)
		add_string(i % 2 ? URUNC_ARG : URUNC_ENV, "x=y");
	CHECK(read_copy(draft, drafted));
	CHECK_EQUAL(settings.argument_count, 100001);
	CHECK(!settings.arguments[100001]);
	CHECK_EQUAL(settings.environment_count, 100000);
	CHECK(!settings.environment[100001]);
	drop_settings();
}

static bool machine_is_right(const uint8_t *bytes, size_t length)
{
	uint8_t *exact = malloc(length);
	bool right;

	CHECK(exact);
	memcpy(exact, bytes, length);
	right = machine_check((struct urunc_records){ exact, exact + length }, &failure);
	free(exact);
	return right;
}

static void test_machine(void)
{
	static const uint16_t known[] = {
		URUNC_HOSTNAME, URUNC_DOMAINNAME,  URUNC_LINK,	       URUNC_ADDRESS, URUNC_ROUTE,  URUNC_ROOT,
		URUNC_MOUNT,	URUNC_MASKED_PATH, URUNC_READONLY_PATH, URUNC_SYSCTL,  URUNC_DEVICE,
		URUNC_CGROUP,	URUNC_DEAD_ROUTE,
		URUNC_RESOLVER, URUNC_OVERLAY, URUNC_SHARE, URUNC_DISK, URUNC_LAYER, URUNC_LOOPBACK_PORT,
	};
	size_t i;
	unsigned tag;

	begin();
	CHECK(machine_is_right(draft, drafted));
	for (i = 0; i < sizeof known / sizeof known[0]; i++)
		(void)add(known[i], i);
	CHECK(machine_is_right(draft, drafted));
	for (i = 1; i < drafted; i++) {
		if (machine_is_right(draft, i))
			continue;
		CHECK_STRING(failure.sentence, "the machine's document is malformed");
		CHECK_EQUAL(failure.status, 128);
	}
	CHECK(!machine_is_right(draft, drafted - 1));
	for (tag = 0; tag < 0x400; tag++) {
		bool wanted = false;

		for (i = 0; i < sizeof known / sizeof known[0]; i++)
			wanted |= known[i] == tag;
		begin();
		(void)add((uint16_t)tag, 0);
		CHECK_EQUAL(machine_is_right(draft, drafted), wanted);
	}
	CHECK_STRING(failure.sentence, "the machine's document has an unknown record 0x03ff");
}

static void test_limits_refused(void)
{
	static const struct {
		const char *value;
		size_t length;
	} wrong[] = {
		{ "", 0 },			    { "pids.max", 9 },		       { "pids.max\0007", 10 },
		{ "cgroup.procs\0001", 15 },	    { "pids.max\0007\0x", 13 },	       { "memory./../../x\0001", 18 },
		{ "pids.\0/", 7 },
	};
	size_t i;

	for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		begin();
		add_bytes(URUNC_CGROUP, wrong[i].value, wrong[i].length);
		CHECK(!cgroup_limit((struct urunc_records){ draft, draft + drafted }, &failure));
		CHECK_STRING(failure.sentence, "the machine's document has a malformed limit");
	}
	CHECK(cgroup_file_allowed("pids.max") && cgroup_file_allowed("memory.max") && cgroup_file_allowed("cpu.weight"));
	CHECK(!cgroup_file_allowed("pids") && !cgroup_file_allowed("") && !cgroup_file_allowed("../pids.max"));
	CHECK(!cgroup_file_allowed("memory."
				   "0123456789012345678901234567890123456789012345678901234567890123456789"));
}

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

/* A root whose links try to leave it. */

static int root;

/* True if the descriptor is what `name` is in the test's directory; closes it. */
static bool leads_to(int descriptor, const char *name)
{
	struct stat got, wanted;

	CHECK(descriptor >= 0);
	CHECK_EQUAL(fstat(descriptor, &got), 0);
	CHECK_EQUAL(stat(path_in(name), &wanted), 0);
	close(descriptor);
	return got.st_dev == wanted.st_dev && got.st_ino == wanted.st_ino;
}

static void no_way(const char *path, enum path_kind kind, int wanted)
{
	int got;

	errno = 0;
	got = path_open(root, path, kind);
	CHECK_EQUAL(got, -1);
	if (wanted != 0)
		CHECK_EQUAL(errno, wanted);
}

static bool is_there(const char *name)
{
	struct stat status;

	return lstat(path_in(name), &status) == 0;
}

static void make_root(void)
{
	make_directory("outside");
	make_file("outside/secret", 0644, "");
	make_directory("root");
	make_directory("root/real");
	make_file("root/real/file", 0644, "");
	CHECK_EQUAL(symlink("../../../../outside", path_in("root/up")), 0);
	CHECK_EQUAL(symlink("../../../../real", path_in("root/up-inside")), 0);
	CHECK_EQUAL(symlink("/real", path_in("root/absolute")), 0);
	CHECK_EQUAL(symlink(path_in("outside"), path_in("root/out")), 0);
	CHECK_EQUAL(symlink("loop-b", path_in("root/loop-a")), 0);
	CHECK_EQUAL(symlink("loop-a", path_in("root/loop-b")), 0);
	CHECK_EQUAL(symlink("/", path_in("root/real/top")), 0);
	root = open(path_in("root"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK(root >= 0);
}

static void test_paths_found(void)
{
	CHECK(leads_to(path_open(root, "real/file", PATH_MUST_EXIST), "root/real/file"));
	CHECK(leads_to(path_open(root, "//real///file", PATH_MUST_EXIST), "root/real/file"));
	CHECK(leads_to(path_open(root, "/real/", PATH_MUST_EXIST), "root/real"));
	CHECK(leads_to(path_open(root, "", PATH_MUST_EXIST), "root"));
	CHECK(leads_to(path_open(root, "///", PATH_MAKE_DIRECTORY), "root"));
	CHECK(leads_to(path_open(root, "..", PATH_MUST_EXIST), "root"));
	CHECK(leads_to(path_open(root, "/../../real/../..", PATH_MAKE_DIRECTORY), "root"));
	CHECK(leads_to(path_open(root, "absolute/file", PATH_MUST_EXIST), "root/real/file"));
	CHECK(leads_to(path_open(root, "up-inside", PATH_MUST_EXIST), "root/real"));
	CHECK(leads_to(path_open(root, "real/top/real/top", PATH_MUST_EXIST), "root"));
	CHECK(leads_to(path_open(root, "real/top/..", PATH_MUST_EXIST), "root"));
	/* What is there already is taken, whatever it is. */
	CHECK(leads_to(path_open(root, "real", PATH_MAKE_FILE), "root/real"));
	CHECK(leads_to(path_open(root, "real/file", PATH_MAKE_DIRECTORY), "root/real/file"));
}

/* As runc: what a link leads to is made, inside the root. */
static void test_paths_behind_dangling_links(void)
{
	CHECK_EQUAL(symlink("/made", path_in("root/dangling")), 0);
	CHECK_EQUAL(symlink("dangling", path_in("root/real/chain")), 0);
	CHECK_EQUAL(symlink("/dangling", path_in("root/real/again")), 0);
	CHECK_EQUAL(symlink("../../../../escaped", path_in("root/real/away")), 0);
	CHECK(leads_to(path_open(root, "dangling/a/b", PATH_MAKE_DIRECTORY), "root/made/a/b"));
	CHECK(leads_to(path_open(root, "real/chain", PATH_MAKE_FILE), "root/real/dangling"));
	CHECK(leads_to(path_open(root, "real/again/c", PATH_MAKE_FILE), "root/made/c"));
	CHECK(leads_to(path_open(root, "real/away", PATH_MAKE_DIRECTORY), "root/escaped"));
}

static void test_paths_refused(void)
{
	static const char *const away[] = { "up", "up/secret", "out", "out/secret", "../outside", "/../outside/secret",
					    "real/../../outside/secret", "real/top/../outside" };
	char *longest = malloc(PATH_MAX + 1);
	int host;
	size_t i;

	for (i = 0; i < sizeof away / sizeof away[0]; i++)
		no_way(away[i], PATH_MUST_EXIST, ENOENT);
	no_way("loop-a", PATH_MUST_EXIST, ELOOP);
	no_way("loop-a/x", PATH_MAKE_DIRECTORY, ELOOP);
	no_way("real/file/x", PATH_MAKE_FILE, ENOTDIR);
	no_way("real/file/x/y", PATH_MAKE_DIRECTORY, ENOTDIR);
	CHECK(longest);
	memset(longest, 'x', PATH_MAX);
	longest[PATH_MAX] = 0;
	no_way(longest, PATH_MAKE_DIRECTORY, ENAMETOOLONG);
	for (i = 2; i < PATH_MAX; i += 2)
		longest[i] = '/';
	longest[PATH_MAX - 1] = 0;
	no_way(longest, PATH_MUST_EXIST, ENOENT);
	free(longest);
	/* A process's own links in /proc lead out of every root. */
	host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK_EQUAL(path_open(host, "proc/self/root", PATH_MUST_EXIST), -1);
	CHECK_EQUAL(errno, ELOOP);
	close(host);
}

static void expect_mode(const char *name, mode_t mode)
{
	struct stat status;

	CHECK_EQUAL(lstat(path_in(name), &status), 0);
	CHECK_EQUAL(status.st_mode, mode);
}

static void test_paths_made(void)
{
	static const char *const away[] = { "up/made", "out/made", "out/made/deeper", "../outside/made", "up-inside/../../outside/made" };
	size_t i;
	int made;

	CHECK(leads_to(path_open(root, "/new/a//b/", PATH_MAKE_DIRECTORY), "root/new/a/b"));
	expect_mode("root/new", S_IFDIR | 0755);
	expect_mode("root/new/a/b", S_IFDIR | 0755);
	CHECK(leads_to(path_open(root, "new/c/file", PATH_MAKE_FILE), "root/new/c/file"));
	expect_mode("root/new/c", S_IFDIR | 0755);
	expect_mode("root/new/c/file", S_IFREG | 0644);
	CHECK(leads_to(path_open(root, "plain", PATH_MAKE_FILE), "root/plain"));
	CHECK(leads_to(path_open(root, "absolute/made", PATH_MAKE_DIRECTORY), "root/real/made"));
	CHECK(leads_to(path_open(root, "up-inside/made2/x", PATH_MAKE_FILE), "root/real/made2/x"));
	CHECK(leads_to(path_open(root, "new/../sibling", PATH_MAKE_DIRECTORY), "root/sibling"));
	for (i = 0; i < sizeof away / sizeof away[0]; i++) {
		made = path_open(root, away[i], i % 2 ? PATH_MAKE_DIRECTORY : PATH_MAKE_FILE);
		if (made >= 0)
			close(made);
		CHECK(!is_there("outside/made"));
	}
	/* Where `..` ended, inside of the root. */
	CHECK(is_there("root/outside/made"));
	CHECK(!is_there("made"));
}

static void test_path_parents(void)
{
	char path[300] = "deep/", name[256], buffer[32];
	int directory_of;

	directory_of = path_open_parent(root, "/parents/x/device", name);
	CHECK_STRING(name, "device");
	CHECK(leads_to(directory_of, "root/parents/x"));
	CHECK(!is_there("root/parents/x/device"));
	CHECK(leads_to(path_open_parent(root, "device/", name), "root"));
	CHECK_STRING(name, "device");
	CHECK(leads_to(path_open_parent(root, "absolute/file", name), "root/real"));
	CHECK_STRING(name, "file");
	for (const char *const *bad = (const char *const[]){ "", "/", "..", ".", "real/..", "real/.", "///", NULL }; *bad; bad++) {
		errno = 0;
		CHECK_EQUAL(path_open_parent(root, *bad, name), -1);
		CHECK_EQUAL(errno, EINVAL);
	}
	memset(path + 5, 'n', 255);
	CHECK(leads_to(path_open_parent(root, path, name), "root/deep"));
	CHECK_EQUAL(strlen(name), 255);
	path[5 + 255] = 'n';
	CHECK_EQUAL(path_open_parent(root, path, name), -1);
	CHECK_STRING(path_of_descriptor(INT_MAX, buffer), "/proc/self/fd/2147483647");
	close(root);
}

/* The channel over a socket pair: `host` is the other end. */

static struct channel channel;
static int host;

static void connect_channel(void)
{
	int ends[2];

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
	memset(&channel, 0, sizeof channel);
	channel.fd = ends[0];
	host = ends[1];
}

static void disconnect_channel(void)
{
	close(channel.fd);
	close(host);
}

static void host_sends(uint32_t length, uint16_t type, uint16_t reserved, uint32_t stream)
{
	uint8_t header[URUNC_FRAME_HEADER];

	urunc_put32(header, length);
	urunc_put16(header + 4, type);
	urunc_put16(header + 6, reserved);
	urunc_put32(header + 8, stream);
	CHECK_EQUAL(write(host, header, sizeof header), sizeof header);
}

static void test_channel_input(void)
{
	static uint8_t bytes[URUNC_FRAME_HEADER + URUNC_PAYLOAD_MAX];
	struct urunc_frame frame = { .length = URUNC_PAYLOAD_MAX, .type = URUNC_DATA, .stream = 0x01020304 };
	const uint8_t *payload = NULL;
	size_t i;

	connect_channel();
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_AGAIN);
	frame = (struct urunc_frame){ .length = URUNC_PAYLOAD_MAX, .type = URUNC_DATA, .stream = 0x01020304 };
	urunc_frame_encode(bytes, &frame);
	for (i = 0; i < URUNC_PAYLOAD_MAX; i++)
		bytes[URUNC_FRAME_HEADER + i] = (uint8_t)(i * 7);
	for (i = 0; i < sizeof bytes; i++) {
		memset(&frame, 0, sizeof frame);
		CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_AGAIN);
		CHECK_EQUAL(write(host, bytes + i, 1), 1);
	}
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_FRAME);
	CHECK_EQUAL(frame.length, URUNC_PAYLOAD_MAX);
	CHECK_EQUAL(frame.type, URUNC_DATA);
	CHECK_EQUAL(frame.stream, 0x01020304);
	CHECK(!memcmp(payload, bytes + URUNC_FRAME_HEADER, URUNC_PAYLOAD_MAX));
	/* Several at once come one by one. */
	host_sends(0, URUNC_START, 0, 3);
	host_sends(2, URUNC_CHUNK, 0, 7);
	CHECK_EQUAL(write(host, "ab", 2), 2);
	host_sends(0, URUNC_EOF, 0, 4);
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_FRAME);
	CHECK_EQUAL(frame.type, URUNC_START);
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_FRAME);
	CHECK_EQUAL(frame.type, URUNC_CHUNK);
	CHECK(!memcmp(payload, "ab", 2));
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_FRAME);
	CHECK_EQUAL(frame.stream, 4);
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_AGAIN);
	/* A port whose other side is closed for a moment. */
	channel_linger(&channel, INT_MAX);
	close(host);
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_AGAIN);
	channel.ends = true;
	channel_linger(&channel, INT_MAX);
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_BROKEN);
	close(channel.fd);
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_BROKEN);
}

static void expect_broken(uint32_t length, uint16_t reserved)
{
	struct urunc_frame frame;
	const uint8_t *payload;

	connect_channel();
	host_sends(length, URUNC_DATA, reserved, 4);
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_BROKEN);
	CHECK_EQUAL(channel_receive(&channel, &frame, &payload), CHANNEL_BROKEN);
	disconnect_channel();
}

/* Takes everything that the agent has written; checks the frames' headers, and that data is 0, 1, 2, … */
static size_t host_takes(uint32_t *counter)
{
	static uint8_t bytes[URUNC_FRAME_HEADER + URUNC_PAYLOAD_MAX];
	static size_t length;
	size_t frames = 0;
	ssize_t got;

	for (;;) {
		size_t wanted = URUNC_FRAME_HEADER;

		if (length >= URUNC_FRAME_HEADER)
			wanted += urunc_get32(bytes);
		CHECK(wanted <= sizeof bytes);
		if (length >= URUNC_FRAME_HEADER && length == wanted) {
			for (size_t i = URUNC_FRAME_HEADER; urunc_get16(bytes + 4) == URUNC_DATA && i < length; i++)
				CHECK_EQUAL(bytes[i], (uint8_t)(*counter)++);
			length = 0;
			frames++;
			continue;
		}
		got = read(host, bytes + length, wanted - length);
		if (got <= 0)
			return frames;
		length += (size_t)got;
	}
}

static void test_channel_output(void)
{
	static const uint8_t payload[URUNC_PAYLOAD_MAX];
	uint32_t put_in = 0, taken = 0;
	size_t frames = 0, received = 0, small = 0, room;

	connect_channel();
	for (int turn = 0; turn < 20; turn++) {
		while ((room = channel_room(&channel)) > 0) {
			uint8_t *space = channel_data_space(&channel);

			CHECK(room <= URUNC_PAYLOAD_MAX);
			CHECK(space + room <= channel.out + CHANNEL_OUT_MAX);
			for (size_t i = 0; i < room; i++)
				space[i] = (uint8_t)put_in++;
			channel_data_commit(&channel, 5, room);
			frames++;
		}
		/* Data has to wait, other frames do not, until they say so. */
		if (turn == 0) {
			CHECK(!channel_send(&channel, 5, URUNC_DATA, payload, URUNC_PAYLOAD_MAX));
			for (; channel_has_reserve(&channel); frames++)
				CHECK(channel_send(&channel, 3, URUNC_FAILED, payload, 4 + URUNC_SENTENCE_MAX));
			while (channel_send(&channel, 3, URUNC_BYE, NULL, 0))
				small++;
			CHECK(small >= 100);
			CHECK(CHANNEL_OUT_MAX - channel.out_end < URUNC_FRAME_HEADER);
			CHECK_EQUAL(channel_room(&channel), 0);
			frames += small;
		}
		CHECK(channel_flush(&channel));
		received += host_takes(&taken);
	}
	do {
		CHECK(channel_flush(&channel));
		received += host_takes(&taken);
	} while (channel.out_start < channel.out_end);
	CHECK_EQUAL(received, frames);
	CHECK_EQUAL(taken, put_in);
	CHECK(put_in > CHANNEL_OUT_MAX);
	/* Everything that there is room for again. */
	CHECK_EQUAL(channel_room(&channel), URUNC_PAYLOAD_MAX);
	CHECK(channel_send(&channel, 3, URUNC_BYE, NULL, 0));
	channel_drain(&channel);
	CHECK_EQUAL(host_takes(&taken), 1);
	(void)signal(SIGPIPE, SIG_IGN);
	close(host);
	CHECK(channel_send(&channel, 3, URUNC_BYE, NULL, 0));
	CHECK(!channel_flush(&channel));
	close(channel.fd);
}

/* A process, and frames of the host's for it. */

static struct process process;
static uint8_t payload_of[URUNC_PAYLOAD_MAX];

static void begin_frames(enum process_state state)
{
	document_free(&process.document);
	process_init(&process, 1, URUNC_WINDOW_DEFAULT);
	process.state = state;
}

static bool send_bytes(uint16_t type, enum urunc_channel on, uint32_t length)
{
	struct urunc_frame frame = { .length = length, .type = type, .stream = urunc_stream(1, on) };
	uint8_t *exact = malloc(length);
	bool taken;

	CHECK(exact);
	memcpy(exact, payload_of, length);
	taken = process_frame(&process, &frame, exact);
	free(exact);
	return taken;
}

static bool send_u32(uint16_t type, enum urunc_channel on, uint32_t value)
{
	urunc_put32(payload_of, value);
	return send_bytes(type, on, 4);
}

static void test_frames_refused(void)
{
	static const uint16_t others[] = { 0, URUNC_HELLO, URUNC_WELCOME, URUNC_CLOCK, URUNC_ENTROPY, URUNC_START,
					   URUNC_STARTED, URUNC_FAILED, URUNC_EXITED, URUNC_BYE, 17, 0xffff };
	static const struct {
		uint16_t type;
		unsigned channels; /* bit n: channel n */
		uint32_t length;
		uint32_t value;
	} known[] = {
		{ URUNC_DOCUMENT, 8, 4, 100 }, { URUNC_EOF, 7, 0, 0 },	   { URUNC_WINDOW, 6, 4, 1 },
		{ URUNC_SIGNAL, 8, 4, 15 },    { URUNC_RESIZE, 8, 4, 1 },
	};
	enum urunc_channel on;
	uint32_t length;
	size_t i;

	for (on = URUNC_STDIN; on <= URUNC_CONTROL; on++) {
		begin_frames(PROCESS_ABSENT);
		for (i = 0; i < sizeof others / sizeof others[0]; i++)
			CHECK(!send_bytes(others[i], on, 0) && !send_bytes(others[i], on, 4));
		for (i = 0; i < sizeof known / sizeof known[0]; i++) {
			for (length = 0; length < 10; length++) {
				begin_frames(PROCESS_ABSENT);
				urunc_put32(payload_of, known[i].value);
				CHECK_EQUAL(send_bytes(known[i].type, on, length),
					    (known[i].channels >> on & 1) && length == known[i].length);
			}
		}
		begin_frames(PROCESS_ABSENT);
		CHECK_EQUAL(send_bytes(URUNC_DATA, on, 5), on == URUNC_STDIN);
		CHECK_EQUAL(send_u32(URUNC_DOCUMENT, on, 5), on == URUNC_CONTROL);
		CHECK_EQUAL(send_bytes(URUNC_CHUNK, on, 5), on == URUNC_CONTROL);
	}
	begin_frames(PROCESS_ABSENT);
	CHECK(!send_bytes(URUNC_CHUNK, URUNC_CONTROL, 1));
	CHECK(!send_u32(URUNC_DOCUMENT, URUNC_CONTROL, URUNC_DOCUMENT_MAX + 1));
	CHECK(send_u32(URUNC_DOCUMENT, URUNC_CONTROL, 5));
	CHECK(!send_u32(URUNC_DOCUMENT, URUNC_CONTROL, 5));
	CHECK(send_bytes(URUNC_CHUNK, URUNC_CONTROL, 3));
	CHECK(!send_bytes(URUNC_CHUNK, URUNC_CONTROL, 3));
	CHECK(send_bytes(URUNC_CHUNK, URUNC_CONTROL, 2));
	CHECK(document_complete(&process.document));
	/* What crosses with its end. */
	begin_frames(PROCESS_ENDED);
	CHECK(send_bytes(URUNC_DATA, URUNC_STDIN, 5) && send_u32(URUNC_SIGNAL, URUNC_CONTROL, 9));
	CHECK_EQUAL(process.input_length, 0);
	CHECK_EQUAL(process.signals, 0);
}

static void test_frames_taken(void)
{
	begin_frames(PROCESS_ABSENT);
	CHECK(!send_u32(URUNC_SIGNAL, URUNC_CONTROL, 0));
	CHECK(!send_u32(URUNC_SIGNAL, URUNC_CONTROL, 65));
	CHECK(!send_u32(URUNC_SIGNAL, URUNC_CONTROL, UINT32_MAX));
	CHECK_EQUAL(process.signals, 0);
	CHECK(send_u32(URUNC_SIGNAL, URUNC_CONTROL, 1));
	CHECK(send_u32(URUNC_SIGNAL, URUNC_CONTROL, 64));
	CHECK(process.signals == (UINT64_C(1) << 63 | 1));
	CHECK(send_u32(URUNC_WINDOW, URUNC_STDERR, 100));
	CHECK_EQUAL(process.credit[1], URUNC_WINDOW_DEFAULT);
	CHECK_EQUAL(process.credit[2], URUNC_WINDOW_DEFAULT + 100);
	CHECK(send_u32(URUNC_RESIZE, URUNC_CONTROL, 80u << 16 | 24));
	CHECK_EQUAL(process.rows, 24);
	CHECK_EQUAL(process.columns, 80);
}

static void test_input_overflow(void)
{
	begin_frames(PROCESS_ABSENT);
	CHECK(send_bytes(URUNC_DATA, URUNC_STDIN, URUNC_PAYLOAD_MAX));
	CHECK(send_bytes(URUNC_DATA, URUNC_STDIN, URUNC_PAYLOAD_MAX - 1));
	CHECK(!send_bytes(URUNC_DATA, URUNC_STDIN, 2));
	CHECK(send_bytes(URUNC_DATA, URUNC_STDIN, 1));
	CHECK_EQUAL(process.input_length, sizeof process.input);
	CHECK(!send_bytes(URUNC_DATA, URUNC_STDIN, 1));
	CHECK(send_bytes(URUNC_EOF, URUNC_STDIN, 0));
	begin_frames(PROCESS_ABSENT);
	CHECK(send_bytes(URUNC_EOF, URUNC_STDIN, 0));
	CHECK(!send_bytes(URUNC_DATA, URUNC_STDIN, 1));
	/* Nobody reads any more: dropped. */
	process.ended[0] = true;
	CHECK(send_bytes(URUNC_DATA, URUNC_STDIN, 1));
	CHECK_EQUAL(process.input_length, 0);
}

/* Serves its streams once, as the agent's loop does; what goes to the host is counted and dropped. */
static void serve(uint32_t *granted, size_t *data, size_t *ends)
{
	struct pollfd entries[3];
	size_t at;

	process_poll(&process, &channel, entries);
	CHECK(poll(entries, 3, 0) >= 0);
	process_serve(&process, &channel, entries);
	for (at = channel.out_start; at < channel.out_end; at += URUNC_FRAME_HEADER + urunc_get32(channel.out + at)) {
		const uint8_t *frame = channel.out + at;

		switch (urunc_get16(frame + 4)) {
		case URUNC_WINDOW:
			CHECK_EQUAL(urunc_get32(frame + 8), 4);
			*granted += urunc_get32(frame + URUNC_FRAME_HEADER);
			break;
		case URUNC_DATA:
			CHECK_EQUAL(urunc_get32(frame + 8), 5);
			*data += urunc_get32(frame);
			break;
		default:
			CHECK_EQUAL(urunc_get16(frame + 4), URUNC_EOF);
			(*ends)++;
		}
	}
	channel.out_start = channel.out_end = 0;
}

static void test_input_ring(void)
{
	static uint8_t got[URUNC_WINDOW_DEFAULT];
	uint32_t sent = 0, received = 0, granted = 0;
	size_t data = 0, ends = 0;
	int pair[2];

	begin_frames(PROCESS_RUNNING);
	memset(&channel, 0, sizeof channel);
	CHECK_EQUAL(pipe2(pair, O_NONBLOCK), 0);
	process.streams[0] = pair[1];
	while (received < 1000000) {
		uint32_t length = 9973;
		ssize_t part;

		if (sent + length <= granted + URUNC_WINDOW_DEFAULT) {
			for (uint32_t i = 0; i < length; i++)
				payload_of[i] = (uint8_t)((sent + i) * 31 >> 3);
			CHECK(send_bytes(URUNC_DATA, URUNC_STDIN, length));
			sent += length;
		}
		serve(&granted, &data, &ends);
		CHECK_EQUAL(sent - granted, process.input_length);
		part = read(pair[0], got, 4999);
		for (ssize_t i = 0; i < part; i++)
			CHECK_EQUAL(got[i], (uint8_t)((received + (uint32_t)i) * 31 >> 3));
		received += part > 0 ? (uint32_t)part : 0;
	}
	CHECK(send_bytes(URUNC_EOF, URUNC_STDIN, 0));
	while (!process.ended[0]) {
		serve(&granted, &data, &ends);
		(void)read(pair[0], got, sizeof got);
	}
	CHECK_EQUAL(granted, sent);
	CHECK_EQUAL(process.streams[0], -1);
	CHECK_EQUAL(data + ends, 0);
	close(pair[0]);
	/* A reader that has gone is told, once. */
	begin_frames(PROCESS_RUNNING);
	CHECK_EQUAL(pipe2(pair, O_NONBLOCK), 0);
	process.streams[0] = pair[1];
	close(pair[0]);
	serve(&granted, &data, &ends);
	serve(&granted, &data, &ends);
	CHECK_EQUAL(ends, 1);
	CHECK(process.ended[0]);
}

/* The program meets SIGPIPE at its next write; what it has written already is nobody's. */
static void test_output_refused(void)
{
	uint32_t granted = 0;
	size_t data = 0, ends = 0;
	int pair[2];

	(void)signal(SIGPIPE, SIG_IGN);
	begin_frames(PROCESS_RUNNING);
	process.ended[0] = process.ended[2] = true;
	CHECK_EQUAL(pipe2(pair, O_NONBLOCK), 0);
	process.streams[1] = pair[0];
	CHECK_EQUAL(write(pair[1], "x", 1), 1);
	CHECK(send_bytes(URUNC_EOF, URUNC_STDOUT, 0));
	serve(&granted, &data, &ends);
	serve(&granted, &data, &ends);
	CHECK_EQUAL(data, 0);
	CHECK_EQUAL(ends, 1);
	CHECK(process.ended[1] && process.streams[1] == -1);
	CHECK_EQUAL(write(pair[1], "x", 1), -1);
	CHECK_EQUAL(errno, EPIPE);
	close(pair[1]);
	/* Not a terminal's. */
	begin_frames(PROCESS_RUNNING);
	process.ended[0] = process.ended[2] = process.settings.terminal = true;
	CHECK_EQUAL(pipe2(pair, O_NONBLOCK), 0);
	process.streams[1] = pair[0];
	CHECK(send_bytes(URUNC_EOF, URUNC_STDOUT, 0));
	CHECK_EQUAL(write(pair[1], "x", 1), 1);
	serve(&granted, &data, &ends);
	CHECK_EQUAL(data, 1);
	close(pair[0]);
	close(pair[1]);
}

static void test_output_credit(void)
{
	static const uint8_t bytes[100];
	uint32_t granted = 0;
	size_t data = 0, ends = 0;
	int pair[2];

	begin_frames(PROCESS_RUNNING);
	process.credit[1] = 10;
	process.ended[0] = process.ended[2] = true;
	CHECK_EQUAL(pipe2(pair, O_NONBLOCK), 0);
	process.streams[1] = pair[0];
	CHECK_EQUAL(write(pair[1], bytes, sizeof bytes), sizeof bytes);
	serve(&granted, &data, &ends);
	CHECK_EQUAL(data, 10);
	serve(&granted, &data, &ends);
	CHECK_EQUAL(data, 10);
	CHECK(send_u32(URUNC_WINDOW, URUNC_STDOUT, 1000));
	close(pair[1]);
	process.reaped = true;
	CHECK(!process_finished(&process));
	serve(&granted, &data, &ends);
	serve(&granted, &data, &ends);
	CHECK_EQUAL(data, 100);
	CHECK_EQUAL(ends, 1);
	CHECK_EQUAL(process.credit[1], 910);
	CHECK(process_finished(&process));
	process.status = 7 << 8;
	CHECK_EQUAL(process_status(&process), 7);
	process.status = SIGKILL;
	CHECK_EQUAL(process_status(&process), 137);
}

/* Documents that are changed by chance, always the same ones: nothing is read that is not there. */

#define FUZZ_ROUNDS 200000

static uint64_t chance_state = UINT64_C(0x9e3779b97f4a7c15);

static uint32_t chance(uint32_t below)
{
	chance_state ^= chance_state << 13;
	chance_state ^= chance_state >> 7;
	chance_state ^= chance_state << 17;
	return (uint32_t)(chance_state >> 32) % below;
}

static void mutate(uint8_t *bytes, size_t *length, size_t size)
{
	static const uint32_t edges[] = { 0, 1, 4, 7, 8, 0x7fffffff, 0x80000000, 0xfffffff7, 0xffffffff };
	size_t at = *length ? chance((uint32_t)*length) : 0;
	size_t part = *length - at < 24 ? *length - at : chance(24);

	switch (*length < 8 ? 5 : chance(6)) {
	case 0:
		bytes[at] ^= (uint8_t)(1u << chance(8));
		break;
	case 1:
		bytes[at] = (uint8_t)chance(256);
		break;
	case 2:
		if (*length - at >= 4)
			urunc_put32(bytes + at, edges[chance(sizeof edges / sizeof edges[0])]);
		break;
	case 3:
		*length = at;
		break;
	case 4:
		memmove(bytes + at, bytes + at + part, *length - at - part);
		*length -= part;
		break;
	default:
		if (*length + part > size)
			break;
		memmove(bytes + at + part, bytes + at, *length - at);
		*length += part;
	}
}

/* A document with records of known tags, and of sizes that may be theirs. */
static void draft_by_chance(void)
{
	uint32_t records = chance(12);

	begin();
	if (chance(2))
		begin_process();
	while (records-- > 0) {
		uint16_t tag = (uint16_t)(URUNC_ARG + chance(13));
		size_t length = chance(2) ? chance(5) * 4 : chance(48);
		uint8_t *value = add(tag, length);

		for (size_t i = 0; i < length; i++)
			value[i] = (uint8_t)chance(chance(4) ? 256 : 2);
		if (length > 0 && chance(3))
			value[length - 1] = 0;
	}
}

/* Reads every byte that settings point to. */
static uint32_t touch_settings(void)
{
	uint32_t sum = 0;
	size_t i;

	if (settings.query)
		return (uint32_t)(strlen(settings.query) + strlen(settings.query_argument));
	CHECK(settings.argument_count > 0 && settings.directory);
	for (i = 0; i < settings.argument_count; i++)
		sum += (uint32_t)strlen(settings.arguments[i]);
	CHECK(!settings.arguments[settings.argument_count]);
	for (i = 0; i < settings.environment_count; i++)
		sum += (uint32_t)strlen(settings.environment[i]);
	CHECK(!settings.environment[settings.environment_count] && !settings.environment[settings.environment_count + 1]);
	sum += (uint32_t)strlen(settings.directory);
	for (i = 0; settings.seccomp && i < settings.seccomp_length; i++)
		sum += settings.seccomp[i];
	return sum;
}

static void read_by_chance(const uint8_t *bytes, size_t length)
{
	uint8_t *exact = malloc(length);
	struct urunc_records records = { exact, exact + length };
	struct urunc_record record;

	CHECK(exact);
	memcpy(exact, bytes, length);
	while (urunc_record_next(&records, &record) == URUNC_RECORD_OK) {
		struct urunc_value value = urunc_value_of(&record);

		for (int reads = 0; reads < 4; reads++) {
			switch (chance(6)) {
			case 0:
				(void)urunc_value_u8(&value);
				break;
			case 1:
				(void)urunc_value_u16(&value);
				break;
			case 2:
				(void)urunc_value_u32(&value);
				break;
			case 3:
				(void)urunc_value_u64(&value);
				break;
			case 4:
				(void)urunc_value_bytes(&value, chance(100));
				break;
			default:
				CHECK(strlen(urunc_value_string(&value)) <= record.length);
			}
			CHECK(value.at <= value.end);
		}
	}
	free(exact);
}

static void test_by_chance(void)
{
	static uint8_t whole[1024], bytes[4096];
	size_t whole_length, length;
	unsigned taken = 0, refused = 0, machines = 0;

	add_everything();
	whole_length = drafted;
	CHECK(whole_length <= sizeof whole);
	memcpy(whole, draft, whole_length);
	for (int round = 0; round < FUZZ_ROUNDS; round++) {
		if (chance(2)) {
			memcpy(bytes, whole, whole_length);
			length = whole_length;
		} else {
			draft_by_chance();
			CHECK(drafted <= sizeof bytes);
			memcpy(bytes, draft, drafted);
			length = drafted;
		}
		for (uint32_t changes = chance(4); changes > 0; changes--)
			mutate(bytes, &length, sizeof bytes);
		if (read_copy(bytes, length)) {
			taken++;
			(void)touch_settings();
		} else {
			refused++;
			CHECK_EQUAL(failure.status, 128);
			CHECK(!strncmp(failure.sentence, "the process's document ", 23));
		}
		drop_settings();
		/* The same records with a machine's tags. */
		for (size_t at = 0; at + 1 < length && chance(3); at += URUNC_RECORD_HEADER + bytes[at + 4])
			bytes[at + 1] = 1;
		machines += machine_is_right(bytes, length);
		read_by_chance(bytes, length);
	}
	/* Neither is the exception, or the documents would prove little. */
	CHECK(taken > FUZZ_ROUNDS / 20);
	CHECK(refused > FUZZ_ROUNDS / 20);
	CHECK(machines > 100);
}

int main(void)
{
	(void)umask(0);
	make_scratch();
	test_document();
	test_settings();
	test_settings_lacking();
	test_settings_truncated();
	test_settings_malformed();
	test_settings_query();
	test_settings_sizes();
	test_machine();
	test_limits_refused();
	test_programs();
	aside(test_homes);
	make_root();
	test_paths_found();
	test_paths_behind_dangling_links();
	test_paths_refused();
	test_paths_made();
	test_path_parents();
	test_channel_input();
	expect_broken(URUNC_PAYLOAD_MAX + 1, 0);
	expect_broken(UINT32_MAX, 0);
	expect_broken(0, 1);
	expect_broken(4, 0x8000);
	test_channel_output();
	test_frames_refused();
	test_frames_taken();
	test_input_overflow();
	test_input_ring();
	test_output_refused();
	test_output_credit();
	document_free(&process.document);
	test_by_chance();
	remove_scratch();
	return 0;
}
