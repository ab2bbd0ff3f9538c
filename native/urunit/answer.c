#include "answer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool answer_flush(struct answer *answer)
{
	size_t gone = 0;

	while (gone < answer->length && !answer->lost) {
		ssize_t put = write(answer->fd, answer->bytes + gone, answer->length - gone);

		if (put > 0)
			gone += (size_t)put;
		else if (put == 0 || errno != EINTR)
			answer->lost = true;
	}
	answer->length = 0;
	return !answer->lost;
}

void answer_put(struct answer *answer, const void *bytes, size_t length)
{
	const char *from = bytes;

	while (length > 0) {
		size_t part = sizeof(answer->bytes) - answer->length;

		if (part == 0) {
			(void)answer_flush(answer);
			continue;
		}
		if (part > length)
			part = length;
		memcpy(answer->bytes + answer->length, from, part);
		answer->length += part;
		from += part;
		length -= part;
	}
}

void answer_format(struct answer *answer, const char *format, ...)
{
	char text[512];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (length > 0)
		answer_put(answer, text, (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1);
}

void answer_escaped(struct answer *answer, const char *bytes, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)bytes[i];
		char escaped[4] = { '\\', 'x', digits[byte >> 4], digits[byte & 15] };

		if (byte < 32 || byte == 127 || byte == '\\')
			answer_put(answer, escaped, sizeof(escaped));
		else
			answer_put(answer, bytes + i, 1);
	}
}
