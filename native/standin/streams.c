#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* A pipe that can be written to takes this much at once. */
#define PIPE_PIECE ((size_t)PIPE_BUF)
/* A terminal that can be written to takes less; nothing says how much. */
#define TERMINAL_PIECE ((size_t)256)

/*
 * An open file description of our own for the same pipe or terminal, which can have O_NONBLOCK. Not for a file, whose
 * position is shared with others. -1 where the permissions or /proc do not allow it.
 */
static int reopen(int descriptor, int way)
{
	char path[32];

	snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
	return open(path, way | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static bool is_nameless(int descriptor)
{
	struct statfs system;

	return fstatfs(descriptor, &system) == 0 && system.f_type == PIPEFS_MAGIC;
}

void stream_open(struct stream *stream, int descriptor, int way)
{
	struct stat status;

	stream->shared = stream->own = -1;
	stream->kind = STREAM_PLAIN;
	stream->nameless = false;
	if (fstat(descriptor, &status) < 0)
		return;
	stream->shared = stream->own = descriptor;
	if (S_ISSOCK(status.st_mode))
		stream->kind = STREAM_SOCKET;
	else if (S_ISFIFO(status.st_mode))
		stream->kind = STREAM_PIPE;
	else if (isatty(descriptor))
		stream->kind = STREAM_TERMINAL;
	stream->nameless = stream->kind == STREAM_PIPE && is_nameless(descriptor);
	if (stream->kind == STREAM_PIPE || stream->kind == STREAM_TERMINAL) {
		int own = reopen(descriptor, way);

		if (own >= 0) {
			stream->own = own;
			stream->kind = STREAM_OWN;
		}
	}
}

/* The descriptor given to us stays open, so that nobody sees its end before ours. */
static void stream_fail(struct stream *stream)
{
	if (stream->own != stream->shared)
		close(stream->own);
	stream->shared = stream->own = -1;
}

static bool must_wait(void)
{
	return errno == EAGAIN || errno == EINTR;
}

ssize_t stream_read(struct stream *stream, uint8_t *bytes, size_t size)
{
	ssize_t got;

	if (stream->kind == STREAM_SOCKET)
		got = recv(stream->own, bytes, size, MSG_DONTWAIT);
	else
		got = read(stream->own, bytes, size);
	if (got < 0 && must_wait())
		return -1;
	if (got > 0)
		return got;
	stream_fail(stream);
	return 0;
}

void output_open(struct output *output, int descriptor)
{
	stream_open(&output->stream, descriptor, O_WRONLY);
	output->refused = false;
	output->passed = 0;
	output->first = output->length = 0;
}

bool output_put(struct output *output, const uint8_t *bytes, size_t length)
{
	size_t last, whole;

	if (length > sizeof output->ring - output->length)
		return false;
	if (output->stream.shared < 0) {
		output->passed += (uint32_t)length;
		return true;
	}
	last = (output->first + output->length) % sizeof output->ring;
	whole = sizeof output->ring - last;
	if (whole > length)
		whole = length;
	memcpy(output->ring + last, bytes, whole);
	memcpy(output->ring, bytes + whole, length - whole);
	output->length += length;
	return true;
}

bool output_waits(const struct output *output)
{
	return output->length > 0;
}

static ssize_t write_piece(const struct stream *stream, const uint8_t *bytes, size_t length)
{
	switch (stream->kind) {
	case STREAM_SOCKET:
		return send(stream->own, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	case STREAM_PIPE:
		return write(stream->own, bytes, length < PIPE_PIECE ? length : PIPE_PIECE);
	case STREAM_TERMINAL:
		return write(stream->own, bytes, length < TERMINAL_PIECE ? length : TERMINAL_PIECE);
	default:
		return write(stream->own, bytes, length);
	}
}

void output_flush(struct output *output)
{
	size_t whole = sizeof output->ring - output->first;
	ssize_t written;

	if (output->length == 0)
		return;
	if (whole > output->length)
		whole = output->length;
	written = write_piece(&output->stream, output->ring + output->first, whole);
	if (written < 0 && must_wait())
		return;
	if (written < 0) {
		/* Nobody reads any more, or the disk is full. As with a pipe without a reader, what follows is lost. */
		output->refused = errno == EPIPE;
		stream_fail(&output->stream);
		written = (ssize_t)output->length;
	}
	output->passed += (uint32_t)written;
	output->length -= (size_t)written;
	output->first = output->length == 0 ? 0 : (output->first + (size_t)written) % sizeof output->ring;
}

void output_broken(struct output *output)
{
	if (output->stream.shared < 0)
		return;
	stream_fail(&output->stream);
	output->refused = true;
	output->passed += (uint32_t)output->length;
	output->first = output->length = 0;
}

bool output_refused(struct output *output)
{
	bool refused = output->refused;

	output->refused = false;
	return refused;
}

uint32_t output_passed(struct output *output)
{
	uint32_t passed = output->passed;

	output->passed = 0;
	return passed;
}
