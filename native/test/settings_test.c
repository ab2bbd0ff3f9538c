/* Documents and what the agent reads of them: settings, a machine's, limits. */

/* Two of the sources have a function of this name. */
#define put put_into_file
#include "../urunit/cgroup.c"
#undef put
#include "../urunit/document.c"
#include "../urunit/failure.c"
#include "../urunit/path.c"
#include "../urunit/program.c"
#include "../urunit/settings.c"
#include "settings_draft.h"

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
		{ URUNC_NOT_FIRST, 0 },
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

int main(void)
{
	test_document();
	test_settings();
	test_settings_lacking();
	test_settings_truncated();
	test_settings_malformed();
	test_settings_query();
	test_settings_sizes();
	test_machine();
	test_limits_refused();
	return 0;
}
