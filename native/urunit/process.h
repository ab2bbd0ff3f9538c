/* A process of the container: its start, its streams with their credit, its end. */
#ifndef URUNIT_PROCESS_H
#define URUNIT_PROCESS_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "channel.h"
#include "document.h"
#include "failure.h"
#include "settings.h"

enum process_state {
	PROCESS_ABSENT,	  /* its document has not been started */
	PROCESS_STARTING, /* forked; its program does not run yet */
	PROCESS_RUNNING,
	PROCESS_ENDED, /* EXITED or FAILED has been sent */
};

struct process {
	uint32_t number;
	enum process_state state;
	struct document document;
	struct settings settings;
	pid_t pid; /* 0: not known yet */
	bool reaped;
	int status;  /* of waitpid(2) */
	int setup;   /* the child's reports; -1: done with */
	int streams[3]; /* our ends of its streams; with a terminal, 0 and 1 are its master */
	bool ended[3];	/* 0: takes no more input; 1, 2: EOF has been sent */
	bool refused[3];     /* 1, 2: the host has sent EOF */
	uint32_t credit[3];
	bool input_eof;	     /* the host has sent EOF */
	uint32_t input_start; /* of what waits in `input`, a ring */
	uint32_t input_length;
	uint64_t signals; /* that wait for the start, bit n - 1 for signal n */
	uint16_t rows;
	uint16_t columns;
	uint8_t input[URUNC_WINDOW_DEFAULT];
};

/* Called in the child when the machine's part of it is to be made; see process_start. */
struct machine_part {
	bool (*make)(void *context, int *terminal, struct failure *failure);
	void *context;
};

void process_init(struct process *process, uint32_t number, uint32_t window);

/* Gives back what the process holds: descriptors and memory. */
void process_release(struct process *process);

/*
 * Forks the container's first process into its own namespaces; it makes the machine's part and executes its program. What
 * becomes of it comes through process_setup.
 */
bool process_start(struct process *process, const struct machine_part *machine, struct failure *failure);

/*
 * Forks a further process into the namespaces of the container's first one, whose process id is `first`. The rest is as
 * with process_start, without the machine's part. One that is a query stays outside, and answers it.
 */
bool process_join(struct process *process, pid_t first, struct failure *failure);

enum setup_event {
	SETUP_NOTHING, /* nothing more has come yet */
	SETUP_AGAIN,   /* something of no concern; there may be more */
	SETUP_MACHINE_READY,
	SETUP_MACHINE_FAILED,
	SETUP_FAILED,
	SETUP_STARTED,
};

/* The next thing that the child has reported. */
enum setup_event process_setup(struct process *process, struct failure *failure);

/* A frame from the host for this process. False: a violation. */
bool process_frame(struct process *process, const struct urunc_frame *frame, const uint8_t *payload);

/* What to wait for: fills 3 entries, one for each stream. */
void process_poll(const struct process *process, const struct channel *channel, struct pollfd *entries);
/* Moves data as the entries say. */
void process_serve(struct process *process, struct channel *channel, const struct pollfd *entries);

/* Notes that it has ended, with the status of waitpid(2). */
void process_reaped(struct process *process, int status);

/* True when it has ended and all its output is sent. */
bool process_finished(const struct process *process);
/* The exit status to report. */
uint32_t process_status(const struct process *process);

#endif
