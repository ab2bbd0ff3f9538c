/* Sentences for people: made of what the guest or the monitor wrote, they must not steer a terminal or forge a line. */
#ifndef URUNC_SENTENCE_H
#define URUNC_SENTENCE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Copies text as one line of printable UTF-8: each control character becomes a space, each byte that is not UTF-8 a
 * question mark; blanks at both ends go, what does not fit is cut. `size`, of the line with its NUL, is at least 1.
 */
void sentence_clean(char *line, size_t size, const uint8_t *text, size_t length);

/* The last line of a text that is not blank, cleaned: empty if there is none. */
void sentence_last_line(char *line, size_t size, const uint8_t *text, size_t length);

#endif
