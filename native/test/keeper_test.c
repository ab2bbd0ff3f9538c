/* The keeper's command line and the records of its log. */
#include <stdlib.h>

#include "../keeper/record.c"
#include "../keeper/words.c"
#include "check.h"

static bool parse(struct words *words, const char *const text[])
{
	char *arguments[64];
	int count = 0;

	while (text[count]) {
		arguments[count] = (char *)(uintptr_t)text[count];
		count++;
	}
	return words_parse(words, count, arguments);
}

static void test_words(void)
{
	struct words words;
	const char *whole[] = { "k",	"--interactive", "--terminal", "/s", "/d", "--", "/bin/a", "a", "1", "2",
				"--", "/bin/b",	       "b",	     "--", "/bin/c", "c", NULL };
	const char *two[] = { "k", "/d", "--", "/bin/a", "a", "--", "/bin/b", "b", NULL };
	const char *four[] = { "k", "/d", "--", "/a", "a", "--", "/b", "b", "--", "/c", "c", "--", "/d", "d", NULL };
	const char *relative[] = { "k", "/d", "--", "a", "a", "--", "/b", "b", "--", "/c", "c", NULL };
	const char *nameless[] = { "k", "/d", "--", "/a", "--", "/b", "b", "--", "/c", "c", NULL };
	const char *homeless[] = { "k", "--", "/a", "a", "--", "/b", "b", "--", "/c", "c", NULL };
	const char *unknown[] = { "k", "--x", "/d", "--", "/a", "a", "--", "/b", "b", "--", "/c", "c", NULL };

	CHECK(parse(&words, whole));
	CHECK(words.interactive);
	CHECK_STRING(words.terminal, "/s");
	CHECK_STRING(words.directory, "/d");
	CHECK_STRING(words.create.path, "/bin/a");
	CHECK_STRING(words.create.arguments[2], "2");
	CHECK(!words.create.arguments[3]);
	CHECK_STRING(words.start.arguments[0], "b");
	CHECK_STRING(words.after.path, "/bin/c");
	CHECK(!parse(&words, two));
	CHECK(!parse(&words, four));
	CHECK(!parse(&words, relative));
	CHECK(!parse(&words, nameless));
	CHECK(!parse(&words, homeless));
	CHECK(!parse(&words, unknown));
}

static void test_head(void)
{
	char head[64];

	CHECK_EQUAL(record_head(head, sizeof head, 1700000000, 5, 'o', 12), strlen("1700000000.000000005 o 12\n"));
	CHECK_STRING(head, "1700000000.000000005 o 12\n");
	CHECK_EQUAL(record_head(head, 8, 1700000000, 5, 'o', 12), 0);
}

static void test_log(void)
{
	char directory[] = "/tmp/keeper-test-XXXXXX";
	struct record_log log;
	struct stat status;

	CHECK(mkdtemp(directory) && chdir(directory) == 0);
	CHECK(record_open(&log));
	record_add(&log, 'o', "a\nb", 3);
	CHECK(stat("log", &status) == 0 && status.st_size == log.length);
	/* A full one becomes the one before, and what comes is in a new one. */
	log.length = RECORD_LOG_MOST;
	record_add(&log, 'e', "c", 1);
	CHECK(stat("log.1", &status) == 0 && stat("log", &status) == 0 && status.st_size == log.length);
	CHECK(log.length < 64);
	close(log.file);
	CHECK(unlink("log") == 0 && unlink("log.1") == 0 && chdir("/") == 0 && rmdir(directory) == 0);
}

int main(void)
{
	test_words();
	test_head();
	test_log();
	return 0;
}
