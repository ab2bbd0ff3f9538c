/* Logs, and sentences that others have written. */
#include "../standin/log.c"
#include "../standin/sentence.c"
#include "frame.h"
#include "scratch.h"

/* Logs: bytes are numbered, so that what is kept can be told. */

static void append_numbered(struct log *log, uint32_t from, uint32_t count)
{
	for (uint32_t i = from; i < from + count; i++) {
		uint8_t bytes[4];

		urunc_put32(bytes, i);
		log_append(log, bytes, sizeof bytes);
	}
}

static void test_log(void)
{
	static uint8_t large[LOG_MOST / 2];
	struct log log;
	struct stat status;
	uint8_t bytes[8];
	uint32_t last = 1000000;

	CHECK(log_open(&log, path_in("log")));
	CHECK_EQUAL(log_tail(&log, bytes, sizeof bytes), 0);
	append_numbered(&log, 0, LOG_MOST / 4);
	CHECK_EQUAL(log.size, LOG_MOST);
	append_numbered(&log, LOG_MOST / 4, 1);
	CHECK_EQUAL(log.size, LOG_MOST / 2 + 4);
	CHECK_EQUAL(pread(log.file, bytes, 4, 0), 4);
	CHECK_EQUAL(urunc_get32(bytes), LOG_MOST / 8);
	append_numbered(&log, LOG_MOST / 4 + 1, last - LOG_MOST / 4);
	CHECK_EQUAL(fstat(log.file, &status), 0);
	CHECK_EQUAL(status.st_size, log.size);
	CHECK(log.size <= LOG_MOST && log.size > LOG_MOST / 2);
	CHECK_EQUAL(status.st_mode & 0777, 0600);
	for (int64_t at = 0; at < log.size; at += 4) {
		CHECK_EQUAL(pread(log.file, bytes, 4, at), 4);
		CHECK_EQUAL(urunc_get32(bytes), last - (uint32_t)(log.size - at - 4) / 4);
	}
	CHECK_EQUAL(log_tail(&log, bytes, sizeof bytes), 8);
	CHECK_EQUAL(urunc_get32(bytes + 4), last);
	for (int i = 0; i < 5; i++)
		log_append(&log, large, sizeof large);
	CHECK_EQUAL(log.size, LOG_MOST);
	close(log.file);
	CHECK_EQUAL(unlink(path_in("log")), 0);
	CHECK_EQUAL(symlink("elsewhere", path_in("log")), 0);
	CHECK(!log_open(&log, path_in("log")));
	CHECK_EQUAL(unlink(path_in("log")), 0);
	/* Without a file nothing happens. */
	log_append(&log, bytes, sizeof bytes);
	CHECK_EQUAL(log_tail(&log, bytes, sizeof bytes), 0);
}

static const char *clean(const char *text, size_t size)
{
	static char line[64];

	CHECK(size <= sizeof line);
	memset(line, 'Z', sizeof line);
	sentence_clean(line, size, (const uint8_t *)text, strlen(text));
	return line;
}

static void test_sentences(void)
{
	static const char *const bad[] = { "\x80", "\xc0", "\xc1", "\xff", "\xf5" };
	char line[16];

	CHECK_STRING(clean("plain", 64), "plain");
	CHECK_STRING(clean("  a\nfailed 1\x1b[2J\x7f\r\n", 64), "a failed 1 [2J");
	CHECK_STRING(clean("", 64), "");
	CHECK_STRING(clean("\n \t", 64), "");
	CHECK_STRING(clean("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", 64),
		     "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
	CHECK_STRING(clean("a\xc2\x9b" "31mb", 64), "a 31mb");
	CHECK_STRING(clean("a\xe2\x80\xae" "b\xe2\x80\xa8" "c\xe2\x81\xa6" "d", 64), "a b c d");
	CHECK_STRING(clean("a\xed\xa0\x80" "b", 64), "a???b");
	CHECK_STRING(clean("a\xe0\x80\x80" "b\xf4\x90\x80\x80", 64), "a???b????");
	CHECK_STRING(clean("a\xe2\x82", 64), "a??");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		CHECK_STRING(clean(bad[i], 64), "?");
	CHECK_STRING(clean("12345678", 8), "1234567");
	CHECK_STRING(clean("123456\xc3\xbc", 8), "123456");
	CHECK_STRING(clean("x", 1), "");
	sentence_last_line(line, sizeof line, (const uint8_t *)"one\ntwo\n\n \n", 11);
	CHECK_STRING(line, "two");
	sentence_last_line(line, sizeof line, (const uint8_t *)"one", 3);
	CHECK_STRING(line, "one");
	sentence_last_line(line, sizeof line, (const uint8_t *)"\n\n", 2);
	CHECK_STRING(line, "");
	sentence_last_line(line, sizeof line, (const uint8_t *)"", 0);
	CHECK_STRING(line, "");
}

int main(void)
{
	make_scratch();
	test_log();
	test_sentences();
	remove_scratch();
	return 0;
}
