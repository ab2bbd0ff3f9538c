/* The agent's loop: whose turn it is when the channel is full, and whose end a child's is. */
#include <sys/socket.h>

#include "../urunit/agent.c"
#include "check.h"

static int host;
static uint8_t received[1 << 20];
static size_t received_length;

static void open_channel(void)
{
	int ends[2];
	int least = 4096;

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
	CHECK_EQUAL(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
	agent.channel.fd = ends[0];
	agent.window = URUNC_WINDOW_DEFAULT;
	host = ends[1];
}

/* A process that runs; what is written to `ends` is its output. */
static struct process *add_running(uint32_t number, int *ends)
{
	struct process *process = add_process(number);
	int pair[2];

	CHECK(process);
	for (int i = 0; i < 2; i++) {
		CHECK_EQUAL(pipe2(pair, O_NONBLOCK | O_CLOEXEC), 0);
		process->streams[i + 1] = pair[0];
		ends[i] = pair[1];
	}
	process->ended[0] = true;
	process->state = PROCESS_RUNNING;
	return process;
}

static void fill(int pipe_end)
{
	static const uint8_t piece[4096];

	while (write(pipe_end, piece, sizeof piece) > 0)
		;
}

static void serve_once(void)
{
	static struct pollfd entries[POLL_EACH * PROCESSES];

	poll_processes(entries);
	CHECK(poll(entries, POLL_EACH * PROCESSES, 0) >= 0);
	serve_processes(entries, false);
	CHECK(channel_flush(&agent.channel));
}

/* The host takes a little, and grants those that flood again what has come of them. True: something of the third. */
static bool host_takes_a_little(struct process *const flooding[2])
{
	struct urunc_frame frame = { 0 };
	ssize_t got = read(host, received + received_length, 4096);
	bool heard = false;
	size_t at = 0;

	CHECK(got > 0);
	received_length += (size_t)got;
	while (received_length - at >= URUNC_FRAME_HEADER) {
		CHECK(urunc_frame_decode(received + at, &frame));
		if (received_length - at < URUNC_FRAME_HEADER + frame.length)
			break;
		if (frame.stream / 4 == 3)
			heard = true;
		else
			flooding[frame.stream / 4 - 1]->credit[frame.stream % 4] += frame.length;
		at += URUNC_FRAME_HEADER + frame.length;
	}
	memmove(received, received + at, received_length - at);
	received_length -= at;
	return heard;
}

static void test_those_that_flood_let_others_have_a_turn(void)
{
	int floods[2][2], little[2];
	struct process *flooding[2];
	int turns = 0;

	open_channel();
	for (uint32_t i = 0; i < 2; i++)
		flooding[i] = add_running(i + 1, floods[i]);
	(void)add_running(3, little);
	CHECK_EQUAL(write(little[0], "heard", 5), 5);
	do {
		CHECK(++turns < 1000);
		for (int i = 0; i < 4; i++)
			fill(floods[i / 2][i % 2]);
		serve_once();
	} while (!host_takes_a_little(flooding));
}

/* What a child says that has been made on behalf of `process`. */
struct said {
	int kind;
	pid_t pid;
	struct failure failure;
};

static void test_an_end_is_known_by_a_report_that_came_after_the_others_were_read(void)
{
	struct said forked = { .kind = 3 };
	struct process *process = add_process(4);
	int sockets[2];
	siginfo_t ended;
	pid_t pid;

	CHECK(process);
	process->state = PROCESS_STARTING;
	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	process->setup = sockets[0];
	follow_setups();
	CHECK_EQUAL(process->pid, 0);
	pid = fork();
	if (pid == 0)
		_exit(7);
	forked.pid = pid;
	CHECK_EQUAL(send(sockets[1], &forked, sizeof forked, 0), (ssize_t)sizeof forked);
	CHECK_EQUAL(close(sockets[1]), 0);
	CHECK_EQUAL(waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT), 0);
	reap();
	CHECK_EQUAL(process->state, PROCESS_RUNNING);
	CHECK(process->reaped);
	CHECK_EQUAL(process_status(process), 7u);
	remove_process(process);
	memset(&agent, 0, sizeof agent);
}

int main(void)
{
	test_an_end_is_known_by_a_report_that_came_after_the_others_were_read();
	test_those_that_flood_let_others_have_a_turn();
	return 0;
}
