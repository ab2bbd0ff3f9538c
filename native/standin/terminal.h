/* The container's terminal, of which the guest has the other end: all that is typed is for the guest. */
#ifndef URUNC_TERMINAL_H
#define URUNC_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

/* Puts the terminal on a descriptor into raw mode; nothing if it is none. */
void terminal_take(int descriptor);

/* Puts it back as it was found. */
void terminal_give_back(void);

/* False: unknown. */
bool terminal_size(int descriptor, uint16_t *rows, uint16_t *columns);

#endif
