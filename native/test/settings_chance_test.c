/* Documents that are changed by chance, always the same ones: nothing is read that is not there. */
#include "../urunit/failure.c"
#include "../urunit/program.c"
#include "../urunit/settings.c"
#include "settings_draft.h"

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
	test_by_chance();
	return 0;
}
