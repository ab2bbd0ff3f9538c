/* What the stand-in gives up. It talks to a hostile guest, and needs little but the descriptors it holds. */
#ifndef URUNC_CONFINE_H
#define URUNC_CONFINE_H

/* Before the monitor starts, and for it too: no core files, no new privileges, no descriptors but the standard ones. */
void confine_start(void);

/* No capability, now and in every program that is executed. */
void confine_capabilities(void);

/*
 * Once it runs: no capability (to kill one's own child takes none), and no system call but those of the loop, and of
 * what is still to be done: `more` is a sum of the following.
 */
#define CONFINE_SERVES 1u   /* others connect to a socket that is there, and memory is needed for them */
#define CONFINE_RESOLVES 2u /* connections by TCP are made */
void confine_rest(unsigned int more);

#endif
