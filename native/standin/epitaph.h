/* Sentences about machines that have ended before their application, for the user. */
#ifndef URUNC_EPITAPH_H
#define URUNC_EPITAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"

/* What any of them may need. */
#define EPITAPH_MOST (2 * LOG_LINE + 128)

/*
 * The exit status for a program that has ended, and a sentence that quotes its own last words, and else the last line of the
 * guest's kernel. Of a monitor that ended as it should the kernel's come first: the guest has ended its machine.
 */
int epitaph_ended(const char *who, int wait_status, const struct log *own, const struct log *kernel,
		  char sentence[EPITAPH_MOST]);

/* Of `timeout` milliseconds; whether the guest's agent has been heard of. */
void epitaph_timeout(uint32_t timeout, bool connected, char sentence[EPITAPH_MOST]);

/* The guest has closed its channel, or its machine has been reset. */
void epitaph_closed(const struct log *kernel, char sentence[EPITAPH_MOST]);

/* By what the kernel said of it; `whose` kernel. */
void epitaph_panicked(const char *whose, const char *panic, char sentence[EPITAPH_MOST]);

#endif
