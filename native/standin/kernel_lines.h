/*
 * The console of a machine whose kernel and application share it: which bytes are the kernel's own messages from before
 * the application, and what the kernel said at its end. No input or output, a fixed size.
 */
#ifndef URUNC_KERNEL_LINES_H
#define URUNC_KERNEL_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KERNEL_LINE_MOST 256u

struct kernel_lines {
	bool open; /* something else than the kernel's lines has come: from then on all is the application's */
	bool held; /* the line's beginning is the kernel's, and so is its rest */
	bool whole; /* the line has ended */
	size_t length;
	char line[KERNEL_LINE_MOST]; /* the beginning of the line */
	bool panicked;
	char panic[KERNEL_LINE_MOST]; /* why */
};

/* Bytes of the console in the order in which they came: the kernel's, or the application's. */
struct kernel_part {
	bool kernel;
	const uint8_t *bytes;
	size_t length;
};

/*
 * Takes bytes from the front. To be called until a part is empty: then all are taken, and perhaps the beginning of a line
 * is kept that may still become either. The structure begins with zeros. A part is good until the next call.
 */
struct kernel_part kernel_lines_next(struct kernel_lines *lines, const uint8_t **bytes, size_t *length);

/* The application's from now on; what is kept of a line is a part. */
struct kernel_part kernel_lines_open(struct kernel_lines *lines);

/*
 * The exit status of a first process whose end was the kernel's, by what waitpid(2) would have said of it; -1: the kernel
 * ended by another panic, or by none.
 */
int kernel_lines_status(const struct kernel_lines *lines);

#endif
