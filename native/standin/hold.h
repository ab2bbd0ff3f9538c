/* Block devices of the machine's: nobody else may mount them, or give them to another machine, as long as it runs. */
#ifndef URUNC_HOLD_H
#define URUNC_HOLD_H

#include "launch.h"

/* Until this process ends. NULL, or what is wrong: `sentence` then. */
const char *hold_devices(const struct launch *launch, char *sentence, size_t size);

#endif
