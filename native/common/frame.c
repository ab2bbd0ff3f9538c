#include "frame.h"

void urunc_put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

void urunc_put32(uint8_t *at, uint32_t value)
{
	urunc_put16(at, (uint16_t)value);
	urunc_put16(at + 2, (uint16_t)(value >> 16));
}

void urunc_put64(uint8_t *at, uint64_t value)
{
	urunc_put32(at, (uint32_t)value);
	urunc_put32(at + 4, (uint32_t)(value >> 32));
}

uint16_t urunc_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] | (uint16_t)at[1] << 8);
}

uint32_t urunc_get32(const uint8_t *at)
{
	return (uint32_t)urunc_get16(at) | (uint32_t)urunc_get16(at + 2) << 16;
}

uint64_t urunc_get64(const uint8_t *at)
{
	return (uint64_t)urunc_get32(at) | (uint64_t)urunc_get32(at + 4) << 32;
}

bool urunc_frame_decode(const uint8_t *header, struct urunc_frame *frame)
{
	frame->length = urunc_get32(header);
	frame->type = urunc_get16(header + 4);
	frame->stream = urunc_get32(header + 8);
	return frame->length <= URUNC_PAYLOAD_MAX && urunc_get16(header + 6) == 0;
}

void urunc_frame_encode(uint8_t *header, const struct urunc_frame *frame)
{
	urunc_put32(header, frame->length);
	urunc_put16(header + 4, frame->type);
	urunc_put16(header + 6, 0);
	urunc_put32(header + 8, frame->stream);
}
