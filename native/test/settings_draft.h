/* Documents that a test writes, and what the agent reads of them. For tests that include settings.c. */
#ifndef URUNC_SETTINGS_DRAFT_H
#define URUNC_SETTINGS_DRAFT_H

#include <sys/mman.h>

#include "check.h"
#include "frame.h"
#include "record.h"

/* A document that a test writes; read from a copy of exactly its size, so that reading on would be noticed. */
static uint8_t draft[4 * 1024 * 1024];
static size_t drafted;

static inline void begin(void)
{
	drafted = 0;
}

static inline uint8_t *add(uint16_t tag, size_t length)
{
	uint8_t *at = draft + drafted;

	CHECK(URUNC_RECORD_HEADER + length <= sizeof draft - drafted);
	memset(at, 0, URUNC_RECORD_HEADER + length);
	urunc_put16(at, tag);
	urunc_put32(at + 4, (uint32_t)length);
	drafted += URUNC_RECORD_HEADER + length;
	return at + URUNC_RECORD_HEADER;
}

static inline void add_bytes(uint16_t tag, const void *bytes, size_t length)
{
	uint8_t *value = add(tag, length);

	if (length > 0)
		memcpy(value, bytes, length);
}

static inline void add_string(uint16_t tag, const char *text)
{
	add_bytes(tag, text, strlen(text) + 1);
}

static inline void add_user(uint32_t uid, uint32_t gid, uint32_t mask)
{
	uint8_t *value = add(URUNC_USER, 12);

	urunc_put32(value, uid);
	urunc_put32(value + 4, gid);
	urunc_put32(value + 8, mask);
}

/* What no process document may lack. */
static inline void begin_process(void)
{
	begin();
	add_string(URUNC_ARG, "app");
	add_string(URUNC_CWD, "/");
	add_user(1, 2, UMASK_LEAVE);
}

static struct settings settings;
static struct failure failure;
static uint8_t *copy;

static inline bool read_copy(const uint8_t *bytes, size_t length)
{
	copy = malloc(length);
	CHECK(copy);
	memcpy(copy, bytes, length);
	memset(&failure, 'Z', sizeof failure);
	return settings_read((struct urunc_records){ copy, copy + length }, &settings, &failure);
}

/* The agent never gives settings back: its process ends with them. */
static inline void drop_settings(void)
{
	struct urunc_records records = settings.records;
	struct urunc_record record;
	size_t strings = 3;

	while (urunc_record_next(&records, &record) == URUNC_RECORD_OK)
		strings += record.tag == URUNC_ARG || record.tag == URUNC_ENV;
	CHECK_EQUAL(munmap((void *)(uintptr_t)settings.arguments, strings * sizeof(char *)), 0);
	free(copy);
}

static inline void expect_refused(const char *sentence)
{
	CHECK(!read_copy(draft, drafted));
	CHECK_STRING(failure.sentence, sentence);
	CHECK_EQUAL(failure.status, 128);
	drop_settings();
}

static inline void expect_taken(void)
{
	if (!read_copy(draft, drafted)) {
		fprintf(stderr, "refused: %s\n", failure.sentence);
		CHECK(false);
	}
	drop_settings();
}

static inline void add_everything(void)
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

static inline bool machine_is_right(const uint8_t *bytes, size_t length)
{
	uint8_t *exact = malloc(length);
	bool right;

	CHECK(exact);
	memcpy(exact, bytes, length);
	right = machine_check((struct urunc_records){ exact, exact + length }, &failure);
	free(exact);
	return right;
}

#endif
