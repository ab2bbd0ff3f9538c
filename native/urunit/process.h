/* A process of the container: its streams with their credit, its signals, its end. How it starts: start.h. */
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

void process_init(struct process *process, uint32_t number, uint32_t window);

/* Gives back what the process holds: descriptors and memory. */
void process_release(struct process *process);

/* Its program runs: gives it the signals that have waited. */
void process_started(struct process *process);

/* Takes the master of its terminal for its streams. */
void process_take_terminal(struct process *process, int master);

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
