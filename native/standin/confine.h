/* What the stand-in gives up. It talks to a hostile guest, and needs little but the descriptors it holds. */
#ifndef URUNC_CONFINE_H
#define URUNC_CONFINE_H

#include <stdbool.h>

/* Before the monitor starts, and for it too: no core files, no new privileges, no descriptors but the standard ones. */
void confine_start(void);

/*
 * Once it runs: no capability (to kill one's own child takes none), and no system call but those of the loop.
 * `connects`: the agent's channel is still to be connected to.
 */
void confine_rest(bool connects);

#endif
