#include "bridge.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "terminal.h"

/* Milliseconds. */
#define GRACE_SENTENCE 1000

int64_t bridge_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

void bridge_open(struct bridge *bridge, const struct signals *signals)
{
	bridge->signals = *signals;
	stream_open(&bridge->input, STDIN_FILENO, O_RDONLY);
	output_open(&bridge->outputs[0], STDOUT_FILENO);
	output_open(&bridge->outputs[1], STDERR_FILENO);
}

/* Signals. */

static void terminal_resized(struct bridge *bridge)
{
	uint16_t rows, columns;

	if (terminal_size(STDIN_FILENO, &rows, &columns))
		session_resize(&bridge->session, rows, columns);
}

void bridge_take_terminal(struct bridge *bridge)
{
	terminal_take(STDIN_FILENO);
	terminal_resized(bridge);
}

static bool read_own_signals(struct bridge *bridge)
{
	bool sent, child = false;

	for (uint8_t number; (number = signals_next(bridge->signals.own, &sent)) != 0;) {
		if (number == SIGWINCH)
			terminal_resized(bridge);
		else if (sent)
			session_signal(&bridge->session, number);
		/* Two of SIGCHLD may have become one. */
		if (number == SIGCHLD)
			child = true;
	}
	return child;
}

static void read_foreign_signals(struct bridge *bridge)
{
	bool sent;

	while (session_signal_room(&bridge->session)) {
		uint8_t number = signals_next(bridge->signals.foreign, &sent);

		if (number == 0)
			return;
		if (sent)
			session_signal(&bridge->session, number);
	}
}

bool bridge_signals(struct bridge *bridge, const struct pollfd slots[BRIDGE_SLOTS])
{
	if (slots[BRIDGE_FOREIGN].revents)
		read_foreign_signals(bridge);
	return slots[BRIDGE_OWN].revents && read_own_signals(bridge);
}

/* Standard streams. */

bool bridge_input(struct bridge *bridge)
{
	size_t room = session_input_room(&bridge->session);
	ssize_t got;

	if (room == 0)
		return false;
	got = stream_read(&bridge->input, session_input_at(&bridge->session), room);
	if (got > 0)
		session_input(&bridge->session, (size_t)got);
	else if (got == 0)
		session_input_end(&bridge->session);
	return got >= 0;
}

bool bridge_input_now(struct bridge *bridge)
{
	struct pollfd slot = { bridge->input.shared, POLLIN, 0 };

	if (bridge->input.shared < 0 || session_input_room(&bridge->session) == 0 || poll(&slot, 1, 0) <= 0)
		return false;
	return bridge_input(bridge);
}

void bridge_outputs(struct bridge *bridge, const struct pollfd slots[BRIDGE_SLOTS])
{
	for (uint32_t i = 0; i < 2; i++) {
		struct output *output = &bridge->outputs[i];
		uint32_t passed;

		if (slots[BRIDGE_OUTPUT + i].revents & POLLERR && output->stream.nameless)
			output_broken(output);
		else if (slots[BRIDGE_OUTPUT + i].revents)
			output_flush(output);
		if (output_refused(output))
			session_refuse(&bridge->session, URUNC_STDOUT + i);
		passed = output_passed(output);
		if (passed > 0)
			session_grant(&bridge->session, URUNC_STDOUT + i, passed);
	}
}

bool bridge_put(struct bridge *bridge, const struct session_event *event)
{
	return output_put(&bridge->outputs[event->channel - URUNC_STDOUT], event->bytes, event->length);
}

bool bridge_done(const struct bridge *bridge)
{
	return !output_waits(&bridge->outputs[0]) && !output_waits(&bridge->outputs[1]);
}

static int wanted_input(struct bridge *bridge)
{
	if (!session_input_wanted(&bridge->session))
		return -1;
	if (bridge->input.shared < 0) {
		/* It was never there. */
		if (session_input_room(&bridge->session) > 0)
			session_input_end(&bridge->session);
		return -1;
	}
	return session_input_room(&bridge->session) > 0 ? bridge->input.shared : -1;
}

void bridge_choose(struct bridge *bridge, struct pollfd slots[BRIDGE_SLOTS])
{
	bool room = session_signal_room(&bridge->session);

	slots[BRIDGE_OWN] = (struct pollfd){ bridge->signals.own, POLLIN, 0 };
	slots[BRIDGE_FOREIGN] = (struct pollfd){ room ? bridge->signals.foreign : -1, POLLIN, 0 };
	slots[BRIDGE_INPUT] = (struct pollfd){ wanted_input(bridge), POLLIN, 0 };
	for (int i = 0; i < 2; i++) {
		const struct output *output = &bridge->outputs[i];

		bool waits = output_waits(output);

		/* Without anything to write, only that nobody reads any more. */
		slots[BRIDGE_OUTPUT + i] = (struct pollfd){
			waits || output->stream.nameless ? output->stream.shared : -1, waits ? POLLOUT : 0, 0,
		};
	}
}

bool bridge_send(struct bridge *bridge, int channel)
{
	for (;;) {
		struct session_span output = session_output(&bridge->session);
		ssize_t sent;

		if (output.length == 0)
			return true;
		sent = send(channel, output.bytes, output.length, MSG_DONTWAIT | MSG_NOSIGNAL);
		/* A channel that has been closed is noticed when reading. */
		if (sent < 0)
			return false;
		session_sent(&bridge->session, (size_t)sent);
	}
}

void bridge_say(struct output *errors, const char *prefix, const char *sentence)
{
	int64_t deadline = bridge_now() + GRACE_SENTENCE;

	/* What nobody has taken by now is lost, so that at least the reason is not. */
	errors->first = errors->length = 0;
	output_put(errors, (const uint8_t *)prefix, strlen(prefix));
	output_put(errors, (const uint8_t *)sentence, strlen(sentence));
	output_put(errors, (const uint8_t *)"\n", 1);
	while (output_waits(errors) && errors->stream.shared >= 0 && bridge_now() < deadline) {
		struct pollfd slot = { errors->stream.shared, POLLOUT, 0 };

		if (poll(&slot, 1, 50) > 0)
			output_flush(errors);
	}
}
