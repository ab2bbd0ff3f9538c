/* Words of a kernel's command line that were one argument. */
#ifndef URUNIT_WORDS_H
#define URUNIT_WORDS_H

#include <stddef.h>

/*
 * Joins the words between quotes again, with one blank between each two, and without the quotes: a word that begins with
 * ' or " goes up to the first one that ends with the same. Without such a one it stays as it is, as does a word with a
 * blank in it, which was never split. `src/rootfs/application.ts` does the same on the host.
 *
 * `words` has `count` words, and then NULL; so has the result. Joined words are put into `room`, which has as many bytes
 * as the words together with a NUL each. Returns how many words there are then.
 */
size_t words_join(char *words[], size_t count, char *room);

/* The bytes that `room` must have. */
size_t words_size(char *const words[], size_t count);

#endif
