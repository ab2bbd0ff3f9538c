#ifndef BUNNY_KEEPER_WORDS_H
#define BUNNY_KEEPER_WORDS_H

#include <stdbool.h>

#define WORDS_MOST 32

/* A program to run: its path, then its arguments from the zeroth on. */
struct words_program {
	const char *path;
	char *arguments[WORDS_MOST + 1];
};

/* The keeper's command line: see main.c. */
struct words {
	const char *directory;
	const char *terminal; /* path of the socket, or NULL */
	bool interactive;
	struct words_program create;
	struct words_program start;
	struct words_program after;
};

/* False: it is not one. */
bool words_parse(struct words *words, int count, char *arguments[]);

#endif
