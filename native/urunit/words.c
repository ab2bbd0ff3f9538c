#include "words.h"

#include <string.h>

static char last_of(const char *word)
{
	size_t length = strlen(word);

	return length > 0 ? word[length - 1] : 0;
}

/* The word in which a quote that the word `from` begins with ends; `count`: none. */
static size_t closing_word(char *const words[], size_t from, size_t count)
{
	const char *first = words[from];
	size_t at;

	if ((*first != '\'' && *first != '"') || strpbrk(first, " \t\n\v\f\r"))
		return count;
	if (first[1] && last_of(first) == *first)
		return from;
	for (at = from + 1; at < count; at++)
		if (last_of(words[at]) == *first)
			return at;
	return count;
}

/* Without its first and its last byte. Returns where the room goes on. */
static char *join(char *const words[], size_t from, size_t to, char *room)
{
	char *end = room;
	size_t at;

	for (at = from; at <= to; at++) {
		size_t length = strlen(words[at]);

		memmove(end, words[at], length);
		end += length;
		*end++ = ' ';
	}
	/* The last blank and the quote before it. */
	end -= 2;
	memmove(room, room + 1, (size_t)(end - room) - 1);
	end[-1] = 0;
	return end;
}

size_t words_join(char *words[], size_t count, char *room)
{
	size_t joined = 0;
	size_t at;

	for (at = 0; at < count; at++) {
		size_t last = closing_word(words, at, count);

		if (last == count) {
			words[joined++] = words[at];
			continue;
		}
		{
			char *end = join(words, at, last, room);

			words[joined++] = room;
			room = end;
		}
		at = last;
	}
	words[joined] = NULL;
	return joined;
}

size_t words_size(char *const words[], size_t count)
{
	size_t size = 1;
	size_t at;

	for (at = 0; at < count; at++)
		size += strlen(words[at]) + 1;
	return size;
}
