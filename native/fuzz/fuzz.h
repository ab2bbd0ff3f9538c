/*
 * What the fuzzers share. Each fuzz/NAME_fuzz.c is a libFuzzer program of its own: its input is a script of what the
 * other side sends and what this side does meanwhile, so that every order of the two can be found. What must hold
 * whatever comes is said with HOLDS; the rest is for the sanitizers.
 */
#ifndef URUNC_FUZZ_H
#define URUNC_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOLDS(condition)                                                                                \
	do {                                                                                            \
		if (!(condition)) {                                                                     \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);  \
			abort();                                                                        \
		}                                                                                       \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* What is left of the script. Beyond its end everything is zero. */
struct script {
	const uint8_t *at;
	const uint8_t *end;
};

static inline bool script_over(const struct script *script)
{
	return script->at == script->end;
}

static inline uint8_t script_u8(struct script *script)
{
	return script_over(script) ? 0 : *script->at++;
}

static inline uint16_t script_u16(struct script *script)
{
	uint16_t low = script_u8(script);

	return (uint16_t)(low | (uint16_t)(script_u8(script) << 8));
}

static inline uint32_t script_u32(struct script *script)
{
	uint32_t low = script_u16(script);

	return low | (uint32_t)script_u16(script) << 16;
}

/* At most `most` bytes. */
static inline const uint8_t *script_bytes(struct script *script, size_t most, size_t *length)
{
	const uint8_t *bytes = script->at;

	*length = (size_t)(script->end - script->at);
	if (*length > most)
		*length = most;
	script->at += *length;
	return bytes;
}

#endif
