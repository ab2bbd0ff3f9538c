#include "record.h"

#include <string.h>

#include "frame.h"

enum urunc_record_result urunc_record_next(struct urunc_records *records, struct urunc_record *record)
{
	size_t left = (size_t)(records->end - records->at);

	if (left == 0)
		return URUNC_RECORD_END;
	if (left < URUNC_RECORD_HEADER || urunc_get16(records->at + 2) != 0)
		return URUNC_RECORD_MALFORMED;
	record->tag = urunc_get16(records->at);
	record->length = urunc_get32(records->at + 4);
	if (record->length > left - URUNC_RECORD_HEADER)
		return URUNC_RECORD_MALFORMED;
	record->value = records->at + URUNC_RECORD_HEADER;
	records->at = record->value + record->length;
	return URUNC_RECORD_OK;
}

struct urunc_value urunc_value_of(const struct urunc_record *record)
{
	return (struct urunc_value){ .at = record->value, .end = record->value + record->length, .bad = false };
}

const uint8_t *urunc_value_bytes(struct urunc_value *value, size_t length)
{
	const uint8_t *at = value->at;

	if (value->bad || (size_t)(value->end - at) < length) {
		value->bad = true;
		return NULL;
	}
	value->at = at + length;
	return at;
}

uint8_t urunc_value_u8(struct urunc_value *value)
{
	const uint8_t *at = urunc_value_bytes(value, 1);

	return at ? at[0] : 0;
}

uint16_t urunc_value_u16(struct urunc_value *value)
{
	const uint8_t *at = urunc_value_bytes(value, 2);

	return at ? urunc_get16(at) : 0;
}

uint32_t urunc_value_u32(struct urunc_value *value)
{
	const uint8_t *at = urunc_value_bytes(value, 4);

	return at ? urunc_get32(at) : 0;
}

uint64_t urunc_value_u64(struct urunc_value *value)
{
	const uint8_t *at = urunc_value_bytes(value, 8);

	return at ? urunc_get64(at) : 0;
}

const char *urunc_value_string(struct urunc_value *value)
{
	const char *text = (const char *)value->at;
	const void *nul = value->bad ? NULL : memchr(value->at, 0, (size_t)(value->end - value->at));

	if (!nul) {
		value->bad = true;
		return "";
	}
	value->at = (const uint8_t *)nul + 1;
	return text;
}

bool urunc_value_whole(const struct urunc_value *value)
{
	return !value->bad && value->at == value->end;
}
