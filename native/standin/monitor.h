/* The monitor: the process that runs the virtual machine. */
#ifndef URUNC_MONITOR_H
#define URUNC_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct monitor {
	pid_t process; /* 0: reaped */
	/* Our ends, which never wait; -1: closed. */
	int agent;
	int console;
	int output;
};

/* Starts it. False: it cannot be started, errno says why. One that cannot be executed says so on its output. */
bool monitor_start(struct monitor *monitor, char *const arguments[], bool inherits_agent);

/* Connects to the agent's channel where the monitor listens for it. False: not yet. */
bool monitor_connect(struct monitor *monitor, const char *path);

/* Ends it without asking, and reaps it. */
void monitor_kill(struct monitor *monitor);

/* Reaps all children that have ended. True, and the monitor's wait status, if it is one of them. */
bool monitor_reap(struct monitor *monitor, int *status);

/* The exit status for a monitor that ended before the application, and a sentence that quotes its last words. */
int monitor_epitaph(int status, const char *last_words, char *sentence, size_t size);

#endif
