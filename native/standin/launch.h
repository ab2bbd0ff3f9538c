/* The launch document (docs/guest-protocol.md), which `urunc start` leaves for the stand-in. */
#ifndef URUNC_LAUNCH_H
#define URUNC_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "resolver_record.h"

/* Two documents, and arguments. */
#define LAUNCH_MOST (9u * 1024u * 1024u)
#define LAUNCH_MOST_ADDED (5u * 1024u * 1024u)
#define LAUNCH_ARGUMENTS 1024u
#define LAUNCH_SERVER_ARGUMENTS 63u
#define LAUNCH_DEVICES 4u

struct launch {
	/* All of the following but the resolvers points into these bytes. */
	uint8_t *bytes;
	size_t length;
	char *arguments[LAUNCH_ARGUMENTS + 1]; /* the monitor's, then NULL */
	char *server[LAUNCH_SERVER_ARGUMENTS + 1]; /* the file server's, then NULL; none: there is no such server */
	const uint8_t *machine;
	size_t machine_length;
	const uint8_t *process;
	size_t process_length;
	bool terminal;
	bool direct;              /* there is no agent, and so neither machine nor process */
	bool attached;            /* of a process that is added: it ends with its caller */
	uint32_t boot_timeout;    /* milliseconds */
	const char *agent_socket; /* where the monitor connects to; NULL: it inherits the agent's channel */
	bool console_on_stdio;    /* the monitor has the guest's console on its standard input and output */
	const char *devices[LAUNCH_DEVICES]; /* block devices that nobody else may have */
	unsigned int device_count;
	uint64_t memory_limit;    /* bytes, see exhaust.h; 0: none */
	union urunc_resolver resolvers[URUNC_RESOLVERS_MAX];
	unsigned int resolver_count;
};

/* Reads the file and removes it: a stand-in is started once. NULL, or what is wrong. */
const char *launch_read(struct launch *launch, const char *path);

/* The same for a process that is added: the document has nothing but the process and what it is tied to. */
const char *launch_read_added(struct launch *launch, const char *path);

/* Finds all records in launch->bytes. NULL, or what is wrong. */
const char *launch_parse(struct launch *launch);
const char *launch_parse_added(struct launch *launch);

/* Gives the memory back. The documents and the arguments are gone with it. */
void launch_forget(struct launch *launch);

#endif
