#include "sentence.h"

#include <stdbool.h>
#include <string.h>

/* The length of the UTF-8 sequence at the front of the text; 0: it is none. Overlong forms and surrogates are none. */
static size_t utf8_length(const uint8_t *text, size_t length)
{
	size_t wanted = text[0] < 0x80 ? 1 : text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;

	if (wanted > length || text[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < wanted; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
	    (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return wanted;
}

/* Of a whole sequence: the C0 and C1 controls, delete, and the separators and marks that reorder or break a line. */
static bool is_control(const uint8_t *text, size_t length)
{
	if (length == 1)
		return text[0] < 0x20 || text[0] == 0x7f;
	if (length == 2)
		return text[0] == 0xc2 && text[1] < 0xa0;
	if (length == 3 && text[0] == 0xe2 && text[1] == 0x80)
		return text[2] >= 0xa8 && text[2] <= 0xae;
	return length == 3 && text[0] == 0xe2 && text[1] == 0x81 && text[2] >= 0xa6 && text[2] <= 0xa9;
}

void sentence_clean(char *line, size_t size, const uint8_t *text, size_t length)
{
	size_t used = 0;

	for (size_t at = 0, step; at < length; at += step) {
		const uint8_t *from = text + at;
		size_t wide = utf8_length(from, length - at);

		step = wide > 0 ? wide : 1;
		if (wide == 0) {
			from = (const uint8_t *)"?";
			wide = 1;
		} else if (is_control(from, wide)) {
			from = (const uint8_t *)" ";
			wide = 1;
		}
		if (*from == ' ' && used == 0)
			continue;
		if (wide >= size - used)
			break;
		memcpy(line + used, from, wide);
		used += wide;
	}
	while (used > 0 && line[used - 1] == ' ')
		used--;
	line[used] = '\0';
}

void sentence_last_line(char *line, size_t size, const uint8_t *text, size_t length)
{
	line[0] = '\0';
	while (length > 0 && line[0] == '\0') {
		const uint8_t *newline = memrchr(text, '\n', length);
		size_t start = newline ? (size_t)(newline - text) + 1 : 0;

		sentence_clean(line, size, text + start, length - start);
		length = newline ? start - 1 : 0;
	}
}
