#include "exhaust.h"

#include <stddef.h>
#include <sys/mman.h>

#include "bridge.h"

#define PART ((size_t)4 * 1024 * 1024)
#define PAGE 4096u

void exhaust(uint64_t bytes)
{
	int64_t end = bridge_now() + EXHAUST_MOST;

	for (uint64_t taken = 0; taken < bytes && bridge_now() < end; taken += PART) {
		volatile uint8_t *part = mmap(NULL, PART, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (part == MAP_FAILED)
			return;
		for (size_t at = 0; at < PART; at += PAGE)
			part[at] = 1;
	}
}
