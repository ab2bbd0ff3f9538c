/* The first stand-in's side of `urunc exec`: the socket that second stand-ins connect to, and their connections. */
#ifndef URUNC_EXEC_H
#define URUNC_EXEC_H

#include <poll.h>
#include <stdbool.h>

#include "relay.h"

#define EXEC_SOCKET "/run/urunc/exec.sock"

struct exec {
	int listener; /* -1: closed */
	bool listens;
	struct exec_place {
		int client; /* -1: it has left */
		struct relay *relay; /* mapped; NULL: a free place */
	} places[SESSION_ADDED];
	unsigned int last; /* the place that had its turn */
};

/* One descriptor to poll for each place, and the listener. */
#define EXEC_SLOTS (SESSION_ADDED + 1)

/* Makes the socket, which refuses connections until exec_listen. False: it cannot be made. */
bool exec_open(struct exec *exec, const char *path);
void exec_listen(struct exec *exec);

void exec_choose(struct exec *exec, struct pollfd slots[EXEC_SLOTS]);
void exec_serve(struct exec *exec, struct session *session, const struct pollfd slots[EXEC_SLOTS]);

/* Something of the session about an added process. False: more data than was granted. */
bool exec_event(struct exec *exec, const struct session_event *event);

/* Puts the next frame for the guest, if the session has room: each process in its turn. False: there is none. */
bool exec_put(struct exec *exec, struct session *session);
bool exec_waits(const struct exec *exec);

/* Sends to the clients what they take now, and forgets what is over. */
void exec_flush(struct exec *exec, struct session *session);

/* The machine has ended: closes all. */
void exec_close(struct exec *exec, struct session *session);

#endif
