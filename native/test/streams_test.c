/* Outputs and inputs of a process on the host. */
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "../standin/streams.c"
#include "scratch.h"

/* Outputs: a pipe of which little is read, so that the ring wraps, and one that nobody reads. */

static struct output output;

static void test_output(void)
{
	static uint8_t bytes[URUNC_WINDOW_DEFAULT];
	static uint8_t got[URUNC_WINDOW_DEFAULT];
	uint32_t put_count = 0, got_count = 0, passed = 0;
	int ends[2];

	CHECK_EQUAL(pipe(ends), 0);
	output_open(&output, ends[1]);
	CHECK_EQUAL(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
	while (got_count < 3000000) {
		struct pollfd slot = { ends[1], POLLOUT, 0 };
		size_t length = 7001;
		ssize_t part;

		for (size_t i = 0; i < length; i++)
			bytes[i] = (uint8_t)((put_count + i) * 31 >> 3);
		if (output_put(&output, bytes, length))
			put_count += (uint32_t)length;
		if (poll(&slot, 1, 0) > 0)
			output_flush(&output);
		passed += output_passed(&output);
		CHECK_EQUAL(put_count - passed, output.length);
		if (output.length < 30000 && passed - got_count < 5000)
			continue;
		part = read(ends[0], got, 4999);
		for (ssize_t i = 0; i < part; i++)
			CHECK_EQUAL(got[i], (uint8_t)((got_count + (uint32_t)i) * 31 >> 3));
		got_count += (uint32_t)part;
	}
	while (output_put(&output, bytes, 1))
		put_count++;
	CHECK_EQUAL(output.length, sizeof output.ring);
	signal(SIGPIPE, SIG_IGN);
	close(ends[0]);
	output_flush(&output);
	CHECK_EQUAL(output_passed(&output), sizeof output.ring);
	CHECK(!output_waits(&output));
	CHECK(output_refused(&output) && !output_refused(&output));
	CHECK(output_put(&output, bytes, sizeof bytes));
	CHECK(!output_waits(&output));
	CHECK_EQUAL(output_passed(&output), sizeof bytes);
	close(ends[1]);
}

static void test_broken_output(void)
{
	char path[64];
	int ends[2];

	/* A pipe without a name is noticed before anything is written to it. */
	CHECK_EQUAL(pipe(ends), 0);
	output_open(&output, ends[1]);
	CHECK(output.stream.nameless);
	CHECK(output_put(&output, (const uint8_t *)"x", 1));
	output_broken(&output);
	CHECK(output_refused(&output));
	CHECK_EQUAL(output_passed(&output), 1);
	output_broken(&output);
	CHECK(!output_refused(&output));
	close(ends[0]);
	close(ends[1]);
	/* One with a name may have another reader later. */
	snprintf(path, sizeof path, "%s", path_in("fifo"));
	CHECK_EQUAL(mkfifo(path, 0600), 0);
	ends[0] = open(path, O_RDWR);
	output_open(&output, ends[0]);
	CHECK(!output.stream.nameless);
	close(ends[0]);
	CHECK_EQUAL(unlink(path), 0);
}

static void test_input(void)
{
	struct stream stream;
	uint8_t bytes[8];
	int ends[2];

	CHECK_EQUAL(pipe(ends), 0);
	stream_open(&stream, ends[0], O_RDONLY);
	CHECK_EQUAL(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
	CHECK_EQUAL(stream_read(&stream, bytes, sizeof bytes), -1);
	CHECK_EQUAL(write(ends[1], "hello", 5), 5);
	CHECK_EQUAL(stream_read(&stream, bytes, sizeof bytes), 5);
	close(ends[1]);
	CHECK_EQUAL(stream_read(&stream, bytes, sizeof bytes), 0);
	CHECK_EQUAL(stream.shared, -1);
	close(ends[0]);
	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	stream_open(&stream, ends[0], O_RDONLY);
	CHECK_EQUAL(stream_read(&stream, bytes, sizeof bytes), -1);
	close(ends[0]);
	close(ends[1]);
	stream_open(&stream, ends[0], O_RDONLY);
	CHECK_EQUAL(stream.shared, -1);
	CHECK_EQUAL(open("/dev/null", O_RDONLY), ends[0]);
	stream_open(&stream, ends[0], O_RDONLY);
	CHECK_EQUAL(stream_read(&stream, bytes, sizeof bytes), 0);
	close(ends[0]);
}

int main(void)
{
	make_scratch();
	test_output();
	test_broken_output();
	test_input();
	remove_scratch();
	return 0;
}
