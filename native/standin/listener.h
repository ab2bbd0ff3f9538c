/* A unix socket in the sandbox that another process connects to. */
#ifndef URUNC_LISTENER_H
#define URUNC_LISTENER_H

/*
 * Makes one with this name, for its user alone, in the place of what has the name from before. It refuses connections until
 * listen(2), and accept(2) never waits. -1, with errno: it cannot be made.
 */
int listener_bind(const char *path);

#endif
