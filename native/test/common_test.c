/* What both ends of the protocol share: frames' headers, and records read in place. */
#include "check.h"
#include "frame.h"
#include "record.h"

static void test_integers(void)
{
	/* In the middle, unaligned, with a guard on either side. */
	uint8_t bytes[11];

	memset(bytes, 0xee, sizeof bytes);
	urunc_put64(bytes + 1, UINT64_C(0xf1e2d3c4b5a69788));
	CHECK(!memcmp(bytes, "\xee\x88\x97\xa6\xb5\xc4\xd3\xe2\xf1\xee\xee", sizeof bytes));
	CHECK(urunc_get64(bytes + 1) == UINT64_C(0xf1e2d3c4b5a69788));
	CHECK_EQUAL(urunc_get32(bytes + 1), 0xb5a69788);
	CHECK_EQUAL(urunc_get16(bytes + 1), 0x9788);
	memset(bytes, 0xee, sizeof bytes);
	urunc_put32(bytes + 3, 0x80000001);
	CHECK(!memcmp(bytes, "\xee\xee\xee\x01\x00\x00\x80\xee\xee\xee\xee", sizeof bytes));
	CHECK_EQUAL(urunc_get32(bytes + 3), 0x80000001);
	memset(bytes, 0xee, sizeof bytes);
	urunc_put16(bytes + 5, 0xff00);
	CHECK(!memcmp(bytes, "\xee\xee\xee\xee\xee\x00\xff\xee\xee\xee\xee", sizeof bytes));
	CHECK_EQUAL(urunc_get16(bytes + 5), 0xff00);
}

static bool decode(uint32_t length, uint16_t type, uint16_t reserved, uint32_t stream, struct urunc_frame *frame)
{
	uint8_t header[URUNC_FRAME_HEADER];

	urunc_put32(header, length);
	urunc_put16(header + 4, type);
	urunc_put16(header + 6, reserved);
	urunc_put32(header + 8, stream);
	return urunc_frame_decode(header, frame);
}

static void test_frames(void)
{
	struct urunc_frame frame;
	uint8_t header[URUNC_FRAME_HEADER + 1];
	unsigned bit;

	memset(header, 0xee, sizeof header);
	urunc_frame_encode(header, &(struct urunc_frame){ .length = 0x1234, .type = 0x0a0b, .stream = 0x01020304 });
	CHECK(!memcmp(header, "\x34\x12\0\0\x0b\x0a\0\0\x04\x03\x02\x01\xee", sizeof header));
	CHECK(urunc_frame_decode(header, &frame));
	CHECK_EQUAL(frame.length, 0x1234);
	CHECK_EQUAL(frame.type, 0x0a0b);
	CHECK_EQUAL(frame.stream, 0x01020304);
	/* Which types and streams there are is not known here. */
	CHECK(decode(0, 0xffff, 0, UINT32_MAX, &frame));
	CHECK_EQUAL(frame.type, 0xffff);
	CHECK_EQUAL(frame.stream, UINT32_MAX);
	CHECK(decode(URUNC_PAYLOAD_MAX, URUNC_DATA, 0, 4, &frame));
	CHECK(!decode(URUNC_PAYLOAD_MAX + 1, URUNC_DATA, 0, 4, &frame));
	for (bit = 16; bit < 32; bit++)
		CHECK(!decode(UINT32_C(1) << bit, URUNC_DATA, 0, 4, &frame));
	for (bit = 0; bit < 16; bit++)
		CHECK(!decode(0, URUNC_DATA, (uint16_t)(1u << bit), 4, &frame));
	CHECK_EQUAL(urunc_stream(0, URUNC_CONTROL), 3);
	CHECK_EQUAL(urunc_stream(1, URUNC_STDERR), 6);
	CHECK_EQUAL(urunc_stream(URUNC_PROCESS_MAX, URUNC_CONTROL), 262143);
}

/* Records are read from a copy of exactly their size: reading on would be noticed. */
static uint8_t *copy;

static struct urunc_records records_of(const void *bytes, size_t length)
{
	free(copy);
	copy = malloc(length);
	CHECK(copy);
	memcpy(copy, bytes, length);
	return (struct urunc_records){ copy, copy + length };
}

static void test_records(void)
{
	static const char two[] = "\x02\x01\0\0\3\0\0\0abc\xff\xff\0\0\0\0\0\0";
	struct urunc_records records = records_of(two, sizeof two - 1);
	struct urunc_record record;
	size_t length;

	CHECK_EQUAL(urunc_record_next(&records, &record), URUNC_RECORD_OK);
	CHECK_EQUAL(record.tag, 0x0102);
	CHECK_EQUAL(record.length, 3);
	CHECK(record.value == copy + 8 && !memcmp(record.value, "abc", 3));
	CHECK_EQUAL(urunc_record_next(&records, &record), URUNC_RECORD_OK);
	CHECK_EQUAL(record.tag, 0xffff);
	CHECK_EQUAL(record.length, 0);
	CHECK_EQUAL(urunc_record_next(&records, &record), URUNC_RECORD_END);
	CHECK_EQUAL(urunc_record_next(&records, &record), URUNC_RECORD_END);
	/* Cut anywhere but between the two. */
	for (length = 0; length < sizeof two - 1; length++) {
		enum urunc_record_result result;

		records = records_of(two, length);
		do
			result = urunc_record_next(&records, &record);
		while (result == URUNC_RECORD_OK);
		CHECK_EQUAL(result, length == 0 || length == 11 ? URUNC_RECORD_END : URUNC_RECORD_MALFORMED);
		CHECK_EQUAL(urunc_record_next(&records, &record), result);
	}
}

static void test_bad_records(void)
{
	static const uint32_t lengths[] = { 4, 5, 0xff, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff };
	struct urunc_record record;
	size_t i;

	for (i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		uint8_t bytes[URUNC_RECORD_HEADER + 3] = { 1, 2 };
		struct urunc_records records;

		urunc_put32(bytes + 4, lengths[i]);
		records = records_of(bytes, sizeof bytes);
		CHECK_EQUAL(urunc_record_next(&records, &record), URUNC_RECORD_MALFORMED);
		CHECK_EQUAL(urunc_record_next(&records, &record), URUNC_RECORD_MALFORMED);
		CHECK(records.at == copy);
	}
	for (i = 0; i < 16; i++) {
		uint8_t bytes[URUNC_RECORD_HEADER] = { 1, 2 };
		struct urunc_records records;

		urunc_put16(bytes + 2, (uint16_t)(1u << i));
		records = records_of(bytes, sizeof bytes);
		CHECK_EQUAL(urunc_record_next(&records, &record), URUNC_RECORD_MALFORMED);
	}
}

static struct urunc_value value_of(const void *bytes, size_t length)
{
	struct urunc_records records = records_of(bytes, length);
	struct urunc_record record = { .tag = 1, .length = (uint32_t)length, .value = records.at };

	return urunc_value_of(&record);
}

static void test_values(void)
{
	static const char bytes[] = "\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c\x0d\x0e\x0fone\0\0xy";
	struct urunc_value value = value_of(bytes, sizeof bytes - 1);
	const uint8_t *rest;

	CHECK_EQUAL(urunc_value_u8(&value), 1);
	CHECK_EQUAL(urunc_value_u16(&value), 0x0302);
	CHECK_EQUAL(urunc_value_u32(&value), 0x07060504);
	CHECK(urunc_value_u64(&value) == UINT64_C(0x0f0e0d0c0b0a0908));
	CHECK_STRING(urunc_value_string(&value), "one");
	CHECK_STRING(urunc_value_string(&value), "");
	CHECK(!urunc_value_whole(&value));
	rest = urunc_value_bytes(&value, 2);
	CHECK(rest && !memcmp(rest, "xy", 2));
	CHECK(urunc_value_whole(&value));
	CHECK(urunc_value_bytes(&value, 0) == copy + sizeof bytes - 1);
	CHECK(urunc_value_whole(&value));
	CHECK_EQUAL(urunc_value_u8(&value), 0);
	CHECK(!urunc_value_whole(&value));
}

/* A value that is one byte too short for what is read gives nothing, then and afterwards. */
static void test_short_values(void)
{
	static const uint8_t ones[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	static const size_t sizes[] = { 1, 2, 4, 8 };
	size_t i, length;

	for (i = 0; i < 4; i++) {
		for (length = 0; length <= sizes[i]; length++) {
			struct urunc_value value = value_of(ones, length);
			uint64_t got = i == 0 ? urunc_value_u8(&value) :
				       i == 1 ? urunc_value_u16(&value) :
				       i == 2 ? urunc_value_u32(&value) :
						urunc_value_u64(&value);

			CHECK(got == (length < sizes[i] ? 0 : UINT64_MAX >> (64 - 8 * sizes[i])));
			CHECK_EQUAL(urunc_value_whole(&value), length == sizes[i]);
			if (length == sizes[i])
				continue;
			CHECK(value.bad);
			CHECK_EQUAL(urunc_value_u8(&value), 0);
			CHECK(!urunc_value_bytes(&value, 0));
			CHECK_STRING(urunc_value_string(&value), "");
		}
	}
}

static void test_bad_strings(void)
{
	struct urunc_value value = value_of("text", 4);

	CHECK_STRING(urunc_value_string(&value), "");
	CHECK(value.bad && !urunc_value_whole(&value));
	value = value_of("", 0);
	CHECK_STRING(urunc_value_string(&value), "");
	CHECK(value.bad);
	value = value_of("a\0b", 3);
	CHECK_STRING(urunc_value_string(&value), "a");
	CHECK(!value.bad && !urunc_value_whole(&value));
	CHECK_STRING(urunc_value_string(&value), "");
	CHECK(value.bad);
	value = value_of("ab", 2);
	CHECK(!urunc_value_bytes(&value, SIZE_MAX));
	CHECK(value.bad);
}

int main(void)
{
	test_integers();
	test_frames();
	test_records();
	test_bad_records();
	test_values();
	test_short_values();
	test_bad_strings();
	free(copy);
	return 0;
}
