/*
 * The two ports of the machine by which an init without any driver speaks with the host (docs/direct.md, "The ports"):
 * urunit says lines by one of them, and is told commands by the other.
 */
#ifndef URUNIT_PORT_H
#define URUNIT_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum command_kind { COMMAND_PIPES, COMMAND_TERMINAL, COMMAND_SIGNAL, COMMAND_SIZE, COMMAND_END };

struct command {
	enum command_kind kind;
	int signal;
	uint16_t rows;
	uint16_t columns;
	uint64_t bytes; /* of COMMAND_END: so much input there is in all */
};

/* A line without its end. False: it is no command. */
bool command_parse(const char *line, struct command *command);

/* False: there is no such host, and the other calls are not to be made. */
bool port_open(void);

/* Says a line, without its end in `format`. */
void port_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The host's next command. False: none has come as a whole. */
bool port_next(struct command *command);

/* For a child: no program is to have the ports. */
void port_leave(void);

#endif
