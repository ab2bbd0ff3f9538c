/* Frames of the guest protocol (docs/guest-protocol.md, "Frames"): encoding and decoding, no input or output. */
#ifndef URUNC_FRAME_H
#define URUNC_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

struct urunc_frame {
	uint32_t length; /* of the payload, in bytes, at most URUNC_PAYLOAD_MAX */
	uint16_t type;
	uint32_t stream;
};

/* Decodes a header of URUNC_FRAME_HEADER bytes. False: a violation (length too large, reserved bytes set). */
bool urunc_frame_decode(const uint8_t *header, struct urunc_frame *frame);

/* Encodes a header of URUNC_FRAME_HEADER bytes. The caller keeps length within URUNC_PAYLOAD_MAX. */
void urunc_frame_encode(uint8_t *header, const struct urunc_frame *frame);

void urunc_put16(uint8_t *at, uint16_t value);
void urunc_put32(uint8_t *at, uint32_t value);
void urunc_put64(uint8_t *at, uint64_t value);
uint16_t urunc_get16(const uint8_t *at);
uint32_t urunc_get32(const uint8_t *at);
uint64_t urunc_get64(const uint8_t *at);

#endif
