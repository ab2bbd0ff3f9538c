#ifndef BUNNY_KEEPER_CONSOLE_H
#define BUNNY_KEEPER_CONSOLE_H

/* Listens on the socket at a path for the one connection that brings a terminal; -1 if that cannot be. */
int console_listen(const char *path);

/* Takes the terminal's descriptor, which has been sent already or never will be (runc, "Console sockets"); -1: none. */
int console_take(int listening);

#endif
