/* The monitor: the process that runs the virtual machine; and the server of its files, where they are not its own. */
#ifndef URUNC_MONITOR_H
#define URUNC_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct monitor {
	/* 0: reaped, or not there. */
	pid_t process;
	pid_t server;
	/* Our ends, which never wait; -1: closed. */
	int agent;
	int console;
	int output;
	int server_output;
	/* Of the direct way, in which `agent` is what the image's init says by a port. */
	int commands; /* what it is told by another */
	int control;  /* the monitor's own (QMP) */
};

enum monitor_channels {
	MONITOR_AGENT,		 /* it inherits the agent's channel */
	MONITOR_CONNECTED_AGENT, /* it listens for it */
	MONITOR_DIRECT,		 /* there is no agent */
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
bool monitor_start(struct monitor *monitor, char *const arguments[], char *const server[],
		   enum monitor_channels channels);

/* Connects to the agent's channel where the monitor listens for it. False: not yet. */
bool monitor_connect(struct monitor *monitor, const char *path);

/* Ends both without asking, and reaps them. */
void monitor_kill(struct monitor *monitor);

/* Reaps all children that have ended. */
struct monitor_reaped monitor_reap(struct monitor *monitor);

/*
 * The exit status for one that ended before the application, and a sentence that quotes its last words, or, if it had none,
 * the guest's kernel's.
 */
int monitor_epitaph(const char *who, int status, const char *last_words, const char *kernel, char *sentence, size_t size);

#endif
