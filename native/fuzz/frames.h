/* Frames of a script: u8 type, u8 process, u8 channel, u16 length, u8 how many bytes of payload follow; the rest is 'x'. */
#ifndef URUNC_FUZZ_FRAMES_H
#define URUNC_FUZZ_FRAMES_H

#include "frame.h"
#include "fuzz.h"

/* Types from here on are not the contract's yet: they are tried all the same. */
#define FRAMES_TYPES 32u

struct made_frame {
	struct urunc_frame frame;
	size_t length;
	uint8_t bytes[URUNC_FRAME_HEADER + URUNC_PAYLOAD_MAX];
};

/* The frame need not be allowed; no more of it is made than one of the longest payload has. */
static inline void frames_make(struct made_frame *made, struct script *script)
{
	size_t given, payload;
	const uint8_t *bytes;

	made->frame.type = script_u8(script) % FRAMES_TYPES;
	made->frame.stream = script_u8(script) * 4u;
	made->frame.stream += script_u8(script) % 4u;
	made->frame.length = script_u16(script);
	bytes = script_bytes(script, script_u8(script), &given);
	payload = made->frame.length < URUNC_PAYLOAD_MAX ? made->frame.length : URUNC_PAYLOAD_MAX;
	urunc_frame_encode(made->bytes, &made->frame);
	memset(made->bytes + URUNC_FRAME_HEADER, 'x', payload);
	memcpy(made->bytes + URUNC_FRAME_HEADER, bytes, given < payload ? given : payload);
	made->length = URUNC_FRAME_HEADER + payload;
}

/* A stream of frames that this side has written, cut into frames again. */
struct read_frames {
	size_t length;
	uint8_t bytes[URUNC_FRAME_HEADER + URUNC_PAYLOAD_MAX];
};

/* Calls `each` for every frame that has become whole. */
static inline void frames_read(struct read_frames *frames, const uint8_t *bytes, size_t length,
			       void (*each)(void *context, const struct urunc_frame *frame, const uint8_t *payload),
			       void *context)
{
	struct urunc_frame frame = { 0 };

	while (length > 0) {
		bool header = frames->length < URUNC_FRAME_HEADER;
		size_t whole = URUNC_FRAME_HEADER + (header ? 0 : urunc_get32(frames->bytes));
		size_t part = length < whole - frames->length ? length : whole - frames->length;

		HOLDS(whole <= sizeof frames->bytes);
		memcpy(frames->bytes + frames->length, bytes, part);
		frames->length += part;
		bytes += part;
		length -= part;
		if (frames->length < URUNC_FRAME_HEADER)
			continue;
		HOLDS(urunc_frame_decode(frames->bytes, &frame));
		if (frames->length < URUNC_FRAME_HEADER + frame.length)
			continue;
		each(context, &frame, frames->bytes + URUNC_FRAME_HEADER);
		frames->length = 0;
	}
}

#endif
