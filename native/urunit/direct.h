/*
 * urunit as the init of an image that is booted by its own kernel (docs/direct.md): everything it is to do stands in the
 * kernel's command line.
 */
#ifndef URUNIT_DIRECT_H
#define URUNIT_DIRECT_H

#include <stddef.h>

/*
 * Starts the program that the words name, and stays until it has ended. `words` has `count` of them, then NULL. Where the
 * machine does not end, as this is not its first process, returns the program's exit status.
 */
int direct_run(size_t count, char *words[]);

#endif
