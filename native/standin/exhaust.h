/* The stand-in's end for an application that was killed for lack of memory. */
#ifndef URUNC_EXHAUST_H
#define URUNC_EXHAUST_H

#include <stdint.h>

/*
 * Takes memory, at most so many bytes and for at most EXHAUST_MOST milliseconds, until the kernel kills this process for
 * it: who watches the container's cgroup is told in the one way there is that the container had too little. Returns if
 * that does not happen. For when nothing else is left to do.
 */
#define EXHAUST_MOST 3000
void exhaust(uint64_t bytes);

#endif
