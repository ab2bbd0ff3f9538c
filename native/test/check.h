/* Assertions for the unit tests: the first that does not hold says where, and ends the program with status 1. */
#ifndef URUNC_CHECK_H
#define URUNC_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                        \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: %s: not true: %s\n", __FILE__, __LINE__, __func__, #condition); \
			exit(1);                                                                \
		}                                                                               \
	} while (0)

/* Integers; both are shown. */
#define CHECK_EQUAL(got, wanted)                                                                \
	do {                                                                                    \
		long long got_ = (long long)(got), wanted_ = (long long)(wanted);               \
		if (got_ != wanted_) {                                                          \
			fprintf(stderr, "%s:%d: %s: %s is %lld, not %lld\n", __FILE__, __LINE__, __func__, #got, got_, \
				wanted_);                                                       \
			exit(1);                                                                \
		}                                                                               \
	} while (0)

#define CHECK_STRING(got, wanted)                                                               \
	do {                                                                                    \
		const char *got_ = (got), *wanted_ = (wanted);                                  \
		if (strcmp(got_, wanted_) != 0) {                                               \
			fprintf(stderr, "%s:%d: %s: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, __func__, #got, \
				got_, wanted_);                                                 \
			exit(1);                                                                \
		}                                                                               \
	} while (0)

#endif
