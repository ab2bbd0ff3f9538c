/* The monitor: the process that runs the virtual machine; and the server of its files, where they are not its own. */
#ifndef URUNC_MONITOR_H
#define URUNC_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "launch.h"

struct monitor {
	/* 0: reaped, or not there. */
	pid_t process;
	pid_t server;
	/* Our ends, which never wait; -1: closed. */
	int agent;
	int listener; /* where the monitor connects to on the agent's behalf */
	int console;
	int output;
	int server_output;
	/* Of the direct way, in which `agent` is what the image's init says by a port. */
	int commands; /* what it is told by another */
	int control;  /* the monitor's own (QMP) */
};

/* Which have ended, and their wait statuses. */
struct monitor_reaped {
	bool monitor;
	int monitor_status;
	bool server;
	int server_status;
};

/*
 * Starts it, and before it the server unless that has no argument; a monitor with a server has no capability. False: they
 * cannot be started, errno says why. One that cannot be executed says so on its output.
 */
bool monitor_start(struct monitor *monitor, const struct launch *launch);

/*
 * Takes the monitor's connection if it is there. The guest decides how often its monitor connects, and has this one alone:
 * nobody listens any more then.
 */
void monitor_accept(struct monitor *monitor);

/* Closes the agent's channel, and does not wait for it any more. */
void monitor_hang_up(struct monitor *monitor);

/* Ends both without asking, and reaps them. */
void monitor_kill(struct monitor *monitor);

/* Reaps all children that have ended. */
struct monitor_reaped monitor_reap(struct monitor *monitor);

#endif
