/* urunit: PID 1 of the guest and the host's agent in it (docs/guest-protocol.md). */
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "channel.h"
#include "document.h"
#include "mounts.h"
#include "network.h"
#include "process.h"

/* Milliseconds until the host's port must be there. */
#define PORT_PATIENCE 10000u

static struct agent {
	struct channel channel;
	struct document machine;
	bool machine_started;
	bool welcome;
	bool ending;
	struct process process;
	/* What every container needs, made while the host's port is not there yet. */
	bool prepared;
	struct failure unprepared;
} agent;

static _Noreturn void restart(void)
{
	sync();
	(void)reboot(RB_AUTOBOOT);
	for (;;)
		(void)pause();
}

/* There is nobody to tell but the kernel log. */
static _Noreturn void give_up(const char *sentence)
{
	(void)dprintf(STDERR_FILENO, "urunit: %s\n", sentence);
	restart();
}

static void mount_own(void)
{
	static const struct {
		const char *type;
		const char *path;
	} own[] = { { "devtmpfs", "/dev" }, { "proc", "/proc" }, { "sysfs", "/sys" } };
	size_t i;

	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		(void)mkdir(own[i].path, 0755);
		if (mount(own[i].type, own[i].path, own[i].type, MS_NOSUID | MS_NOEXEC, NULL) < 0)
			give_up("cannot mount the kernel's file systems");
	}
}

static void send_hello(void)
{
	uint8_t hello[12];

	urunc_put32(hello, URUNC_MAGIC);
	urunc_put16(hello + 4, URUNC_VERSION);
	urunc_put16(hello + 6, URUNC_VERSION);
	urunc_put32(hello + 8, 0);
	(void)channel_send(&agent.channel, urunc_stream(0, URUNC_CONTROL), URUNC_HELLO, hello, sizeof(hello));
}

static void send_failed(uint32_t process, const struct failure *failure)
{
	uint8_t payload[4 + URUNC_SENTENCE_MAX];
	size_t length = strnlen(failure->sentence, URUNC_SENTENCE_MAX - 1);

	urunc_put32(payload, failure->status);
	memcpy(payload + 4, failure->sentence, length);
	payload[4 + length] = 0;
	(void)channel_send(&agent.channel, urunc_stream(process, URUNC_CONTROL), URUNC_FAILED, payload, 4 + length + 1);
	agent.process.state = PROCESS_ENDED;
	agent.ending = true;
}

static void send_started(uint32_t process, uint32_t pid)
{
	uint8_t payload[4];

	urunc_put32(payload, pid);
	(void)channel_send(&agent.channel, urunc_stream(process, URUNC_CONTROL), URUNC_STARTED, payload, sizeof(payload));
}

static void send_exited(void)
{
	uint32_t number = agent.process.number;
	uint8_t payload[8];

	urunc_put32(payload, process_status(&agent.process));
	urunc_put32(payload + 4, cgroup_lacked_memory() ? URUNC_EXITED_OOM : 0);
	(void)channel_send(&agent.channel, urunc_stream(number, URUNC_CONTROL), URUNC_EXITED, payload, sizeof(payload));
	agent.process.state = PROCESS_ENDED;
	agent.ending = true;
}

static bool take_clock(const struct urunc_frame *frame, const uint8_t *payload)
{
	struct timespec time;
	uint64_t nanoseconds;

	if (frame->length != 8)
		return false;
	nanoseconds = urunc_get64(payload);
	time.tv_sec = (time_t)(nanoseconds / 1000000000u);
	time.tv_nsec = (long)(nanoseconds % 1000000000u);
	return clock_settime(CLOCK_REALTIME, &time) == 0;
}

static bool take_entropy(const struct urunc_frame *frame, const uint8_t *payload)
{
	struct {
		struct rand_pool_info info;
		uint8_t bytes[256];
	} pool = { 0 };
	int device;

	if (frame->length < 1 || frame->length > sizeof(pool.bytes))
		return false;
	pool.info.entropy_count = (int)frame->length * 8;
	pool.info.buf_size = (int)frame->length;
	memcpy(pool.bytes, payload, frame->length);
	device = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	if (device < 0)
		return false;
	if (ioctl(device, RNDADDENTROPY, &pool) < 0)
		give_up("cannot take entropy");
	(void)close(device);
	return true;
}

/* START of the machine: what needs no process of the container's. */
static bool start_machine(void)
{
	struct urunc_records records;
	struct failure failure;

	if (agent.machine_started || !document_complete(&agent.machine))
		return false;
	agent.machine_started = true;
	records = document_records(&agent.machine);
	if (!agent.prepared)
		send_failed(0, &agent.unprepared);
	else if (!machine_check(records, &failure) || !mounts_share(records, &failure) || !network_apply(records, &failure))
		send_failed(0, &failure);
	return true;
}

/* In the container's first process. */
static bool make_machine(void *context, int *terminal, struct failure *failure)
{
	struct urunc_records records = document_records(context);

	return mounts_apply(records, terminal, failure) && mounts_enter(failure);
}

static bool start_process(void)
{
	struct machine_part machine = { .make = make_machine, .context = &agent.machine };
	struct failure failure;

	if (!agent.machine_started || agent.process.state != PROCESS_ABSENT || !document_complete(&agent.process.document))
		return false;
	if (!process_start(&agent.process, &machine, &failure))
		send_failed(agent.process.number, &failure);
	return true;
}

static bool take_machine_frame(const struct urunc_frame *frame, const uint8_t *payload)
{
	if (frame->stream % 4 != URUNC_CONTROL)
		return false;
	switch (frame->type) {
	case URUNC_WELCOME:
		if (agent.welcome || frame->length != 8 || urunc_get16(payload) != URUNC_VERSION)
			return false;
		agent.welcome = true;
		process_init(&agent.process, 1, urunc_get32(payload + 4));
		return true;
	case URUNC_CLOCK:
		return take_clock(frame, payload);
	case URUNC_ENTROPY:
		return take_entropy(frame, payload);
	case URUNC_DOCUMENT:
		return frame->length == 4 && document_announce(&agent.machine, urunc_get32(payload));
	case URUNC_CHUNK:
		return document_append(&agent.machine, payload, frame->length);
	case URUNC_START:
		return frame->length == 0 && start_machine();
	default:
		return false;
	}
}

static bool take_frame(const struct urunc_frame *frame, const uint8_t *payload)
{
	uint32_t number = frame->stream / 4;

	if (!agent.welcome && frame->type != URUNC_WELCOME)
		return false;
	if (number == 0)
		return take_machine_frame(frame, payload);
	if (number != agent.process.number)
		return false;
	if (frame->type == URUNC_START && agent.process.state != PROCESS_ENDED)
		return frame->stream % 4 == URUNC_CONTROL && frame->length == 0 && start_process();
	return process_frame(&agent.process, frame, payload);
}

static void receive(void)
{
	struct urunc_frame frame;
	const uint8_t *payload;

	while (!agent.ending) {
		switch (channel_receive(&agent.channel, &frame, &payload)) {
		case CHANNEL_AGAIN:
			return;
		case CHANNEL_BROKEN:
			give_up("the host's channel is broken");
		case CHANNEL_FRAME:
			if (!take_frame(&frame, payload))
				give_up("the host broke the protocol");
			break;
		}
	}
}

static void reap(void)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == agent.process.pid) {
			agent.process.status = status;
			agent.process.reaped = true;
		}
	}
}

static void follow_setup(void)
{
	struct failure failure;

	switch (process_setup(&agent.process, &failure)) {
	case SETUP_NOTHING:
		break;
	case SETUP_MACHINE_READY:
		send_started(0, 0);
		break;
	case SETUP_MACHINE_FAILED:
		send_failed(0, &failure);
		break;
	case SETUP_FAILED:
		send_failed(agent.process.number, &failure);
		break;
	case SETUP_STARTED:
		send_started(agent.process.number, (uint32_t)agent.process.pid);
		break;
	}
}

enum { POLL_CHANNEL, POLL_CHILDREN, POLL_SETUP, POLL_STREAMS, POLL_COUNT = POLL_STREAMS + 3 };

static void wait_and_serve(int children)
{
	struct pollfd entries[POLL_COUNT] = {
		[POLL_CHANNEL] = { .fd = agent.channel.fd, .events = POLLIN },
		[POLL_CHILDREN] = { .fd = children, .events = POLLIN },
		[POLL_SETUP] = { .fd = agent.process.state == PROCESS_STARTING ? agent.process.setup : -1, .events = POLLIN },
	};
	struct signalfd_siginfo information;

	if (agent.channel.out_start < agent.channel.out_end)
		entries[POLL_CHANNEL].events |= POLLOUT;
	if (agent.process.state == PROCESS_RUNNING) {
		process_poll(&agent.process, &agent.channel, entries + POLL_STREAMS);
	} else {
		entries[POLL_STREAMS].fd = -1;
		entries[POLL_STREAMS + 1].fd = -1;
		entries[POLL_STREAMS + 2].fd = -1;
	}
	if (poll(entries, POLL_COUNT, -1) < 0 && errno != EINTR)
		give_up("cannot wait");
	/* The host's end is closed for a moment at the start, which poll(2) reports again and again. */
	if ((entries[POLL_CHANNEL].revents & (POLLHUP | POLLERR)) && !(entries[POLL_CHANNEL].revents & POLLIN))
		(void)poll(NULL, 0, 1);
	if (entries[POLL_CHILDREN].revents && read(children, &information, sizeof(information)) > 0)
		reap();
	if (entries[POLL_SETUP].revents)
		follow_setup();
	if (entries[POLL_CHANNEL].revents & POLLIN)
		receive();
	process_serve(&agent.process, &agent.channel, entries + POLL_STREAMS);
	if (process_finished(&agent.process))
		send_exited();
	if (!channel_flush(&agent.channel))
		give_up("the host's channel is broken");
}

/* Everything of the container's is dead with its first process; what it wrote goes to where it belongs. */
static _Noreturn void end(void)
{
	channel_drain(&agent.channel);
	(void)kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	sync();
	(void)umount2(SHARE, 0);
	(void)channel_send(&agent.channel, urunc_stream(0, URUNC_CONTROL), URUNC_BYE, NULL, 0);
	channel_drain(&agent.channel);
	restart();
}

int main(void)
{
	sigset_t all;
	int children;

	(void)umask(0);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	mount_own();
	(void)sigemptyset(&all);
	(void)sigaddset(&all, SIGCHLD);
	children = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	agent.prepared = network_prepare(&agent.unprepared) && cgroup_make(&agent.unprepared);
	if (!channel_open(&agent.channel, PORT_PATIENCE))
		give_up("the host has given no port named " URUNC_AGENT_PORT);
	send_hello();
	while (!agent.ending)
		wait_and_serve(children);
	end();
}
