#include "agent.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "channel.h"
#include "document.h"
#include "guest.h"
#include "loopback_ports.h"
#include "mounts.h"
#include "network.h"
#include "process.h"
#include "resolver.h"
#include "root.h"
#include "start.h"
#include "welcome.h"

/* Milliseconds until the host's end must be there. */
#define PORT_PATIENCE 10000u
/* And until a host that has what it wants to know ends the machine. */
#define LINGER 5000

/* The container's first process, and those that are added later. */
#define PROCESSES 65u

static struct agent {
	struct channel channel;
	struct document machine;
	bool machine_started;
	bool welcome;
	bool ending;
	uint32_t window;
	struct process *processes[PROCESSES]; /* mapped; NULL: a free place. The first is the container's */
	unsigned turn;			      /* the process whose output comes first */
	bool ended;			      /* a child has, and is not reaped yet */
	/* What every container needs, made while the host's port is not there yet. */
	bool prepared;
	struct failure unprepared;
} agent;

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
			guest_give_up("cannot mount the kernel's file systems");
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

/* A place for a further process; NULL: there is none. */
static struct process *add_process(uint32_t number)
{
	unsigned i = number == 1 ? 0 : 1;
	void *place;

	while (i < PROCESSES && agent.processes[i])
		i++;
	if (i == PROCESSES)
		return NULL;
	place = mmap(NULL, sizeof(struct process), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (place == MAP_FAILED)
		return NULL;
	process_init(place, number, agent.window);
	agent.processes[i] = place;
	return place;
}

static struct process *find_process(uint32_t number)
{
	unsigned i;

	for (i = 0; i < PROCESSES; i++)
		if (agent.processes[i] && agent.processes[i]->number == number)
			return agent.processes[i];
	return NULL;
}

/* The first stays: its end is the machine's. */
static void remove_process(struct process *process)
{
	unsigned i;

	process->state = PROCESS_ENDED;
	if (process->number == 1) {
		agent.ending = true;
		return;
	}
	for (i = 1; i < PROCESSES; i++)
		if (agent.processes[i] == process)
			agent.processes[i] = NULL;
	process_release(process);
	(void)munmap(process, sizeof(*process));
}

static void send_failed(uint32_t process, const struct failure *failure)
{
	uint8_t payload[4 + URUNC_SENTENCE_MAX];
	size_t length = strnlen(failure->sentence, URUNC_SENTENCE_MAX - 1);

	urunc_put32(payload, failure->status);
	memcpy(payload + 4, failure->sentence, length);
	payload[4 + length] = 0;
	(void)channel_send(&agent.channel, urunc_stream(process, URUNC_CONTROL), URUNC_FAILED, payload, 4 + length + 1);
}

static void fail_machine(const struct failure *failure)
{
	send_failed(0, failure);
	agent.ending = true;
}

static void fail_process(struct process *process, const struct failure *failure)
{
	send_failed(process->number, failure);
	remove_process(process);
}

static void send_started(uint32_t process, uint32_t pid)
{
	uint8_t payload[4];

	urunc_put32(payload, pid);
	(void)channel_send(&agent.channel, urunc_stream(process, URUNC_CONTROL), URUNC_STARTED, payload, sizeof(payload));
}

static void send_exited(struct process *process)
{
	uint8_t payload[8];

	urunc_put32(payload, process_status(process));
	urunc_put32(payload + 4, cgroup_lacked_memory() ? URUNC_EXITED_OOM : 0);
	(void)channel_send(&agent.channel, urunc_stream(process->number, URUNC_CONTROL), URUNC_EXITED, payload,
			   sizeof(payload));
	remove_process(process);
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
		fail_machine(&agent.unprepared);
	else if (!machine_check(records, &failure) || !cgroup_limit(records, &failure) ||
		 !root_mount(records, &failure) || !network_apply(records, &failure) ||
		 !resolver_start(records, &failure) || !loopback_ports_start(records, &failure))
		fail_machine(&failure);
	return true;
}

/* In the container's first process. */
static bool make_machine(void *context, int *terminal, struct failure *failure)
{
	struct urunc_records records = document_records(context);

	return mounts_apply(records, agent.processes[0]->settings.directory, terminal, failure) && mounts_enter(failure);
}

static bool start_process(struct process *process)
{
	struct machine_part machine = { .make = make_machine, .context = &agent.machine };
	const struct process *first = agent.processes[0];
	struct failure failure;
	bool started;

	if (!agent.machine_started || process->state != PROCESS_ABSENT || !document_complete(&process->document))
		return false;
	if (process->number == 1)
		started = start_first(process, &machine, &failure);
	else if (!first || first->state != PROCESS_RUNNING || first->reaped)
		started = fail(&failure, STATUS_OTHER, "the container's process is not running");
	else
		started = start_further(process, first->pid, &failure);
	if (!started)
		fail_process(process, &failure);
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
		agent.window = urunc_get32(payload + 4);
		return true;
	case URUNC_CLOCK:
		return welcome_clock(frame, payload);
	case URUNC_ENTROPY:
		return welcome_entropy(frame, payload);
	case URUNC_DOCUMENT:
		return frame->length == 4 && document_announce(&agent.machine, urunc_get32(payload));
	case URUNC_CHUNK:
		return document_append(&agent.machine, payload, frame->length);
	case URUNC_START:
		return frame->length == 0 && start_machine();
	case URUNC_DNS_ANSWER:
		return resolver_answer(frame, payload);
	default:
		return false;
	}
}

static bool take_frame(const struct urunc_frame *frame, const uint8_t *payload)
{
	uint32_t number = frame->stream / 4;
	struct process *process;
	struct failure failure;

	if (!agent.welcome && frame->type != URUNC_WELCOME)
		return false;
	if (number == 0)
		return take_machine_frame(frame, payload);
	if (number > URUNC_PROCESS_MAX)
		return false;
	process = find_process(number);
	if (!process) {
		/* What crosses with a process's end finds nobody; a document is a new one's. */
		if (frame->type != URUNC_DOCUMENT)
			return true;
		process = add_process(number);
		if (!process) {
			(void)fail(&failure, STATUS_OTHER, "too many processes at a time: %u are possible", PROCESSES - 1);
			send_failed(number, &failure);
			return true;
		}
	}
	if (frame->type == URUNC_START && process->state != PROCESS_ENDED)
		return frame->stream % 4 == URUNC_CONTROL && frame->length == 0 && start_process(process);
	if (!process_frame(process, frame, payload))
		return false;
	/* Killed before it was started: given up. */
	if (number != 1 && process->state == PROCESS_ABSENT && process->signals >> (SIGKILL - 1) & 1)
		remove_process(process);
	return true;
}

static void receive(void)
{
	struct urunc_frame frame;
	const uint8_t *payload;

	while (!agent.ending && channel_has_reserve(&agent.channel)) {
		switch (channel_receive(&agent.channel, &frame, &payload)) {
		case CHANNEL_AGAIN:
			return;
		case CHANNEL_BROKEN:
			guest_give_up("the host's channel is broken");
		case CHANNEL_FRAME:
			if (!take_frame(&frame, payload))
				guest_give_up("the host broke the protocol");
			break;
		}
	}
}

/* All that the process's child has reported. */
static void follow_setup(struct process *process)
{
	struct failure failure;

	while (process->state == PROCESS_STARTING && channel_has_reserve(&agent.channel)) {
		switch (start_report(process, &failure)) {
		case SETUP_NOTHING:
			return;
		case SETUP_AGAIN:
			break;
		case SETUP_MACHINE_READY:
			send_started(0, 0);
			break;
		case SETUP_MACHINE_FAILED:
			send_failed(0, &failure);
			remove_process(process);
			return;
		case SETUP_FAILED:
			fail_process(process, &failure);
			return;
		case SETUP_STARTED:
			send_started(process->number, (uint32_t)process->pid);
			return;
		}
	}
}

/* NULL: a child that is nobody's process, as what enters the container on behalf of one. */
static struct process *process_of(pid_t pid)
{
	unsigned i;

	for (i = 0; i < PROCESSES; i++)
		if (agent.processes[i] && agent.processes[i]->pid == pid && !agent.processes[i]->reaped)
			return agent.processes[i];
	return NULL;
}

static void follow_setups(void)
{
	unsigned i;

	for (i = 0; i < PROCESSES; i++)
		if (agent.processes[i])
			follow_setup(agent.processes[i]);
}

/*
 * A further process's id is known by its report only, which is there before it runs: one that has begun and ended since the
 * reports were read is known when they are read again. Reaped before that, its end would be nobody's.
 */
static void reap(void)
{
	siginfo_t ended = { 0 };
	struct process *process;
	int status;

	while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid > 0) {
		process = process_of(ended.si_pid);
		if (!process) {
			follow_setups();
			process = process_of(ended.si_pid);
		}
		/* Not all reports may have been taken. */
		if (!process && !channel_has_reserve(&agent.channel)) {
			agent.ended = true;
			return;
		}
		if (waitpid(ended.si_pid, &status, WNOHANG) > 0 && process)
			process_reaped(process, status);
		ended.si_pid = 0;
	}
}

enum { POLL_CHANNEL, POLL_CHILDREN, POLL_PROCESSES, POLL_EACH = 4, POLL_RESOLVER = POLL_PROCESSES + POLL_EACH * PROCESSES,
       POLL_COUNT = POLL_RESOLVER + RESOLVER_SLOTS };

/* Of each process: its setup, then its three streams. */
static void poll_processes(struct pollfd *entries)
{
	unsigned i;
	unsigned j;

	for (i = 0; i < PROCESSES; i++) {
		struct pollfd *own = entries + POLL_EACH * i;
		const struct process *process = agent.processes[i];

		for (j = 0; j < POLL_EACH; j++)
			own[j] = (struct pollfd){ .fd = -1 };
		if (process && process->state == PROCESS_STARTING && channel_has_reserve(&agent.channel))
			own[0] = (struct pollfd){ .fd = process->setup, .events = POLLIN };
		else if (process && process->state == PROCESS_RUNNING)
			process_poll(process, &agent.channel, own + 1);
	}
}

/* Who fills the channel has had its turn: else the first that writes a lot would be the only one. */
static void serve_process(unsigned which, const struct pollfd *entries)
{
	struct process *process = agent.processes[which];
	bool room = channel_room(&agent.channel) > 0;

	if (!process)
		return;
	process_serve(process, &agent.channel, entries + POLL_EACH * which + 1);
	if (room && channel_room(&agent.channel) == 0)
		agent.turn = (which + 1) % PROCESSES;
	if (process_finished(process))
		send_exited(process);
}

/* What was reported comes before what has ended: a further process's id is known by its report only. */
static void serve_processes(const struct pollfd *entries, bool ended)
{
	unsigned first = agent.turn;
	unsigned i;

	follow_setups();
	/* Without room for more, not all reports may have been taken. */
	agent.ended |= ended;
	if (agent.ended && channel_has_reserve(&agent.channel)) {
		agent.ended = false;
		reap();
	}
	for (i = 0; i < PROCESSES; i++)
		serve_process((first + i) % PROCESSES, entries);
}

static void wait_and_serve(int children)
{
	static struct pollfd entries[POLL_COUNT];
	struct signalfd_siginfo information;
	bool ended;

	entries[POLL_CHANNEL] = (struct pollfd){ .fd = agent.channel.fd };
	entries[POLL_CHILDREN] = (struct pollfd){ .fd = children, .events = POLLIN };
	if (channel_has_reserve(&agent.channel))
		entries[POLL_CHANNEL].events |= POLLIN;
	if (agent.channel.out_start < agent.channel.out_end)
		entries[POLL_CHANNEL].events |= POLLOUT;
	poll_processes(entries + POLL_PROCESSES);
	resolver_poll(&agent.channel, entries + POLL_RESOLVER);
	if (poll(entries, POLL_COUNT, -1) < 0 && errno != EINTR)
		guest_give_up("cannot wait");
	/* The host's end is closed for a moment at the start, which poll(2) reports again and again. */
	if ((entries[POLL_CHANNEL].revents & (POLLHUP | POLLERR)) && !(entries[POLL_CHANNEL].revents & POLLIN))
		(void)poll(NULL, 0, 1);
	ended = entries[POLL_CHILDREN].revents && read(children, &information, sizeof(information)) > 0;
	/* First, as credit may be what an ended process waits for. */
	if (entries[POLL_CHANNEL].revents & POLLIN)
		receive();
	/* Before the processes, whose output may take all the room there is. */
	resolver_serve(&agent.channel, entries + POLL_RESOLVER);
	serve_processes(entries + POLL_PROCESSES, ended);
	if (!channel_flush(&agent.channel))
		guest_give_up("the host's channel is broken");
}

/* Everything of the container's is dead with its first process; what it wrote goes to where it belongs. */
static _Noreturn void end(void)
{
	channel_drain(&agent.channel);
	(void)kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	root_settle();
	(void)channel_send(&agent.channel, urunc_stream(0, URUNC_CONTROL), URUNC_BYE, NULL, 0);
	channel_drain(&agent.channel);
	channel_linger(&agent.channel, LINGER);
	guest_restart();
}

_Noreturn void agent_run(void)
{
	sigset_t all;
	int children;

	(void)umask(0);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	mount_own();
	guest_allow_many_processes();
	(void)sigemptyset(&all);
	(void)sigaddset(&all, SIGCHLD);
	children = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	agent.prepared = network_prepare(&agent.unprepared) && cgroup_make(&agent.unprepared);
	if (!channel_open(&agent.channel, PORT_PATIENCE))
		guest_give_up(errno == ENODEV ? "the host has given no port named " URUNC_AGENT_PORT ", and no vsock" :
						"the host does not take the agent's connection");
	send_hello();
	while (!agent.ending)
		wait_and_serve(children);
	end();
}
