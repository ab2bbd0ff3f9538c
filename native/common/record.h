/*
 * Records of a document (docs/guest-protocol.md, "Documents"), read in place: values point into the caller's
 * bytes, and strings are NUL-terminated there. No input or output, no allocation.
 */
#ifndef URUNC_RECORD_H
#define URUNC_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol.h"

struct urunc_records {
	const uint8_t *at;
	const uint8_t *end;
};

struct urunc_record {
	uint16_t tag;
	uint32_t length;
	const uint8_t *value;
};

enum urunc_record_result { URUNC_RECORD_END, URUNC_RECORD_OK, URUNC_RECORD_MALFORMED };

/* The next record of a document. Once malformed, every further call says so again. */
enum urunc_record_result urunc_record_next(struct urunc_records *records, struct urunc_record *record);

/*
 * A cursor over one value. A read past the end gives zero, an empty string or NULL bytes and sets `bad`, so that
 * a decoder reads all its fields and asks once, with urunc_value_whole.
 */
struct urunc_value {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

struct urunc_value urunc_value_of(const struct urunc_record *record);
uint8_t urunc_value_u8(struct urunc_value *value);
uint16_t urunc_value_u16(struct urunc_value *value);
uint32_t urunc_value_u32(struct urunc_value *value);
uint64_t urunc_value_u64(struct urunc_value *value);
const uint8_t *urunc_value_bytes(struct urunc_value *value, size_t length);
/* A NUL-terminated string inside the value; never NULL. */
const char *urunc_value_string(struct urunc_value *value);
/* True if nothing was read past the end and nothing is left over. */
bool urunc_value_whole(const struct urunc_value *value);

#endif
