/*
 * Signals as events. All are blocked: PID 1 of a name space gets a signal from inside it only if it is blocked or
 * handled, and what is sent to the stand-in is meant for the application.
 */
#ifndef URUNC_SIGNALS_H
#define URUNC_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

struct signals {
	int own;     /* a descriptor: SIGCHLD, and with a terminal SIGWINCH */
	int foreign; /* a descriptor: all others; not read while they cannot be kept, so that the kernel keeps them */
};

/* To be done before anything else: from then on none is lost. */
bool signals_block(void);

bool signals_open(struct signals *signals, bool terminal);

/* The next signal of one of the descriptors, 0: none. One of our own making is told from one that was sent. */
uint8_t signals_next(int descriptor, bool *sent);

#endif
