#include "direct_streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define CONSOLES "/sys/class/tty/console/active"
#define CONSOLE "/dev/console"

enum { SLOT_CONSOLE, SLOT_INPUT, SLOT_OUTPUT };

/* The last one that the kernel writes to: /dev/console itself cannot be a process's terminal. */
static void console_path(char path[128])
{
	char names[96];
	int file = open(CONSOLES, O_RDONLY | O_CLOEXEC);
	ssize_t got = file < 0 ? -1 : read(file, names, sizeof(names) - 1);
	char *last;

	if (file >= 0)
		(void)close(file);
	names[got > 0 ? got : 0] = 0;
	names[strcspn(names, "\n")] = 0;
	last = strrchr(names, ' ');
	(void)snprintf(path, 128, "/dev/%s", names[0] ? (last ? last + 1 : names) : "console");
}

/* Bytes as they are: nothing is typed at it. */
static void make_raw(int console)
{
	struct termios mode;

	if (tcgetattr(console, &mode) < 0)
		return;
	cfmakeraw(&mode);
	mode.c_cflag |= CLOCAL | CREAD;
	(void)tcsetattr(console, TCSANOW, &mode);
}

void relay_inherit(struct relay *relay, struct direct_streams *streams)
{
	memset(relay, 0, sizeof(*relay));
	relay->console = relay->input = relay->output = -1;
	*streams = (struct direct_streams){ .inherited = true, .input = -1, .output = -1 };
}

bool relay_open(struct relay *relay, bool terminal, struct direct_streams *streams, struct failure *failure)
{
	char path[128];
	int in[2];
	int out[2];

	memset(relay, 0, sizeof(*relay));
	relay->input = relay->output = -1;
	console_path(path);
	relay->console = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | (terminal ? 0 : O_NONBLOCK));
	if (relay->console < 0)
		relay->console = open(CONSOLE, O_RDWR | O_NOCTTY | O_CLOEXEC | (terminal ? 0 : O_NONBLOCK));
	if (relay->console < 0)
		return fail_errno(failure, STATUS_OTHER, "opening %s", path);
	*streams = (struct direct_streams){ .terminal = terminal, .input = relay->console, .output = relay->console };
	if (terminal)
		return true;
	make_raw(relay->console);
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || fcntl(in[1], F_SETFL, O_NONBLOCK) < 0 ||
	    fcntl(out[0], F_SETFL, O_NONBLOCK) < 0)
		return fail_errno(failure, STATUS_OTHER, "making the process's streams");
	streams->input = in[0];
	streams->output = out[1];
	relay->relays = true;
	relay->input = in[1];
	relay->output = out[0];
	return true;
}

void relay_begin(const struct direct_streams *streams)
{
	if (streams->terminal || streams->inherited)
		return;
	(void)close(streams->input);
	(void)close(streams->output);
}

void relay_choose(const struct relay *relay, struct pollfd slots[RELAY_SLOTS])
{
	short console = 0;

	if (relay->in_end < sizeof(relay->in))
		console |= POLLIN;
	if (relay->out_start < relay->out_end)
		console |= POLLOUT;
	slots[SLOT_CONSOLE] = (struct pollfd){ relay->relays ? relay->console : -1, console, 0 };
	/* Without anything to write, only that nobody reads any more. */
	slots[SLOT_INPUT] =
		(struct pollfd){ relay->input, relay->in_start < relay->in_end ? POLLOUT : 0, 0 };
	slots[SLOT_OUTPUT] = (struct pollfd){ relay->out_end < sizeof(relay->out) ? relay->output : -1, POLLIN, 0 };
}

static void close_input(struct relay *relay)
{
	if (relay->input >= 0)
		(void)close(relay->input);
	relay->input = -1;
}

static void take(struct relay *relay, size_t length)
{
	relay->in_start += length;
	relay->taken += length;
	relay->taken_unsaid += (uint32_t)length;
	if (relay->in_start == relay->in_end)
		relay->in_start = relay->in_end = 0;
	if (relay->ends && relay->taken >= relay->end)
		close_input(relay);
}

static void pass_input(struct relay *relay)
{
	ssize_t written;

	/* Nobody reads it: what comes is dropped, so that the host is not held up. */
	if (relay->input < 0) {
		take(relay, relay->in_end - relay->in_start);
		return;
	}
	if (relay->in_start == relay->in_end)
		return;
	written = write(relay->input, relay->in + relay->in_start, relay->in_end - relay->in_start);
	if (written > 0)
		take(relay, (size_t)written);
	else if (written < 0 && errno != EAGAIN && errno != EINTR)
		close_input(relay);
}

static void read_console(struct relay *relay)
{
	ssize_t got = read(relay->console, relay->in + relay->in_end, sizeof(relay->in) - relay->in_end);

	if (got > 0)
		relay->in_end += (size_t)got;
}

/* False: it cannot take more now. */
static bool write_console(struct relay *relay)
{
	ssize_t written = write(relay->console, relay->out + relay->out_start, relay->out_end - relay->out_start);

	if (written <= 0)
		return false;
	relay->out_start += (size_t)written;
	if (relay->out_start == relay->out_end)
		relay->out_start = relay->out_end = 0;
	return true;
}

/* False: there is no more now. */
static bool read_output(struct relay *relay)
{
	ssize_t got = read(relay->output, relay->out + relay->out_end, sizeof(relay->out) - relay->out_end);

	if (got > 0)
		relay->out_end += (size_t)got;
	return got > 0;
}

void relay_serve(struct relay *relay, const struct pollfd slots[RELAY_SLOTS])
{
	if (slots[SLOT_CONSOLE].revents & POLLIN)
		read_console(relay);
	if (slots[SLOT_INPUT].revents & POLLERR)
		close_input(relay);
	pass_input(relay);
	if (slots[SLOT_OUTPUT].revents & POLLIN) {
		(void)read_output(relay);
	} else if (slots[SLOT_OUTPUT].revents) {
		/* All who could write have closed it. */
		(void)close(relay->output);
		relay->output = -1;
	}
	if (relay->out_start < relay->out_end)
		(void)write_console(relay);
}

void relay_end_input(struct relay *relay, uint64_t bytes)
{
	relay->ends = true;
	relay->end = bytes;
	take(relay, 0);
}

uint32_t relay_taken(struct relay *relay)
{
	uint32_t taken = relay->taken_unsaid;

	relay->taken_unsaid = 0;
	return taken;
}

static void drain_part(struct relay *relay)
{
	struct pollfd slot = { relay->console, POLLOUT, 0 };

	while (relay->out_start < relay->out_end && (write_console(relay) || errno == EAGAIN || errno == EINTR))
		(void)poll(&slot, 1, -1);
}

void relay_drain(struct relay *relay)
{
	drain_part(relay);
	while (relay->output >= 0 && read_output(relay))
		drain_part(relay);
	if (relay->console >= 0)
		(void)tcdrain(relay->console);
}

void relay_resize(const struct relay *relay, uint16_t rows, uint16_t columns)
{
	struct winsize size = { .ws_row = rows, .ws_col = columns };

	if (rows > 0 && columns > 0)
		(void)ioctl(relay->console, TIOCSWINSZ, &size);
}
