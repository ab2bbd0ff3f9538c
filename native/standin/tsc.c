#include "tsc.h"

#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define ROUNDS 5
#define ROUND_NANOSECONDS 20000000
/* Of so many pairs of readings the one that took the least time is the most exact. */
#define READINGS 16

struct reading {
	int64_t nanoseconds;
	uint64_t ticks;
};

static int64_t raw_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint64_t counter(void)
{
#if defined(__x86_64__)
	__builtin_ia32_lfence();
	return __builtin_ia32_rdtsc();
#else
	return 0;
#endif
}

static struct reading read_both(void)
{
	struct reading best = { 0, 0 };
	int64_t shortest = INT64_MAX;

	for (int i = 0; i < READINGS; i++) {
		int64_t before = raw_clock();
		uint64_t ticks = counter();
		int64_t after = raw_clock();

		if (after - before < shortest) {
			shortest = after - before;
			best = (struct reading){ before + shortest / 2, ticks };
		}
	}
	return best;
}

static uint64_t measure_round(void)
{
	struct timespec pause = { .tv_nsec = ROUND_NANOSECONDS };
	struct reading first = read_both(), last;

	nanosleep(&pause, NULL);
	last = read_both();
	if (last.nanoseconds <= first.nanoseconds || last.ticks <= first.ticks)
		return 0;
	/* In 20 ms, or some seconds on a machine that is busy, the product stays far below 64 bits. */
	return (last.ticks - first.ticks) * 1000000 / (uint64_t)(last.nanoseconds - first.nanoseconds);
}

static void sort(uint64_t *values)
{
	for (int i = 1; i < ROUNDS; i++) {
		uint64_t value = values[i];
		int at = i;

		for (; at > 0 && values[at - 1] > value; at--)
			values[at] = values[at - 1];
		values[at] = value;
	}
}

int tsc_measure(void)
{
	uint64_t khz[ROUNDS];

	for (int i = 0; i < ROUNDS; i++)
		khz[i] = measure_round();
	sort(khz);
	/* A counter whose rate changes is no clock. */
	if (khz[0] == 0 || khz[ROUNDS - 1] - khz[0] > khz[0] / 100) {
		fputs("urunc: the processor's time stamp counter does not run at a constant rate\n", stderr);
		return 1;
	}
	printf("%llu\n", (unsigned long long)khz[ROUNDS / 2]);
	return 0;
}
