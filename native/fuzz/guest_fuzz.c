/*
 * The agent: frames of the host, between what its processes do. Files, processes and the kernel are played by the
 * script, so that nothing happens to the machine that this runs on.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "frames.h"

/* Descriptors that are none: the host's port, and from STREAMS on each process's three streams. */
#define PORT 1000
#define STREAMS 1100

static struct script script;
static struct made_frame made;
static size_t made_at;
static jmp_buf given_up;

static ssize_t fuzz_read(int descriptor, void *bytes, size_t size);
static ssize_t fuzz_write(int descriptor, const void *bytes, size_t size);
static int fuzz_open(const char *path, int flags);
static int fuzz_nothing(void);
static int fuzz_ioctl(int descriptor, unsigned long request, ...);
static int fuzz_say(int descriptor, const char *format, ...);
static int fuzz_look(siginfo_t *ended);
static pid_t fuzz_wait(pid_t process, int *status, int flags);
static _Noreturn void fuzz_restart(void);

#define read fuzz_read
#define write fuzz_write
#define open fuzz_open
#define close(descriptor) ((void)(descriptor), fuzz_nothing())
#define ioctl fuzz_ioctl
#define kill(process, number) ((void)(process), (void)(number), fuzz_nothing())
#define reboot(how) (fuzz_restart(), 0)
#define sync() ((void)fuzz_nothing())
#define dprintf fuzz_say
#define clock_settime(clock, time) ((time)->tv_nsec < 0 || (time)->tv_nsec > 999999999 ? -1 : 0)
#define waitid(kind, process, ended, flags) fuzz_look(ended)
#define waitpid fuzz_wait

#include "../urunit/channel.c"

/* No frame is lost, however much there is to say while the host does not read. */
static bool send_all(struct channel *channel, uint32_t stream, uint16_t type, const void *payload, size_t length)
{
	HOLDS(channel_send(channel, stream, type, payload, length));
	return true;
}

#define channel_send send_all

#include "../urunit/process.c"

#include "../urunit/cgroup.h"
#include "../urunit/mounts.h"
#include "../urunit/network.h"
#include "../urunit/resolver.h"
#include "../urunit/root.h"
#include "../urunit/start.h"

/* The kernel refuses what comes next, in so many words; 0: nothing. */
static uint8_t refusing;

static bool may_fail(struct failure *failure)
{
	int words = refusing;

	refusing = 0;
	return words == 0 || fail(failure, STATUS_OTHER, "%*s", words * 16, "no");
}

#define start_first(process, machine, failure) ((void)(machine), fuzz_start(process, failure))
#define start_further(process, first, failure) ((void)(first), fuzz_start(process, failure))
#define start_report fuzz_setup
#define cgroup_limit(records, failure) ((void)(records), may_fail(failure))
#define root_mount(records, failure) ((void)(records), may_fail(failure))
#define network_apply(records, failure) ((void)(records), may_fail(failure))
#define resolver_start(records, failure) ((void)(records), may_fail(failure))

static bool fuzz_start(struct process *process, struct failure *failure);
static enum start_event fuzz_setup(struct process *process, struct failure *failure);

#include "../urunit/guest.c"
#include "../urunit/welcome.c"
#include "../urunit/agent.c"

static ssize_t fuzz_read(int descriptor, void *bytes, size_t size)
{
	size_t part;

	if (descriptor == PORT) {
		part = made.length - made_at < size ? made.length - made_at : size;
		if (part == 0) {
			errno = EAGAIN;
			return -1;
		}
		memcpy(bytes, made.bytes + made_at, part);
		made_at += part;
		return (ssize_t)part;
	}
	HOLDS(descriptor >= STREAMS && size > 0);
	part = script_u8(&script);
	if (part == 0) {
		errno = EAGAIN;
		return -1;
	}
	if (part == 255)
		return 0;
	part = part * 300 < size ? part * 300 : size;
	memset(bytes, 'o', part);
	return (ssize_t)part;
}

static ssize_t fuzz_write(int descriptor, const void *bytes, size_t size)
{
	size_t part = script_u8(&script);

	HOLDS(size > 0 && bytes);
	if (part == 0) {
		errno = EAGAIN;
		return -1;
	}
	if (part == 255 && descriptor != PORT) {
		errno = EPIPE;
		return -1;
	}
	part = part * 300 < size ? part * 300 : size;
	return (ssize_t)part;
}

static int fuzz_open(const char *path, int flags)
{
	(void)path;
	(void)flags;
	return STREAMS - 1;
}

static int fuzz_nothing(void)
{
	return 0;
}

static int fuzz_ioctl(int descriptor, unsigned long request, ...)
{
	(void)descriptor;
	(void)request;
	return 0;
}

static int fuzz_say(int descriptor, const char *format, ...)
{
	(void)descriptor;
	return (int)strlen(format);
}

static _Noreturn void fuzz_restart(void)
{
	longjmp(given_up, 1);
}

/* One process at a time has ended. */
static int fuzz_look(siginfo_t *ended)
{
	unsigned which = script_u8(&script);

	ended->si_pid = which < 200 ? 0 : (pid_t)(which - 199);
	return 0;
}

/* Of one that has been looked at; at the end nobody is left. */
static pid_t fuzz_wait(pid_t process, int *status, int flags)
{
	(void)flags;
	if (process < 0) {
		errno = ECHILD;
		return -1;
	}
	*status = script_u16(&script);
	return process;
}

static bool fuzz_start(struct process *process, struct failure *failure)
{
	static int pid;
	int i;

	if (!settings_read(document_records(&process->document), &process->settings, failure) || !may_fail(failure))
		return false;
	pid = pid % 50 + 1;
	process->pid = pid;
	process->state = PROCESS_STARTING;
	for (i = 0; i < 3; i++)
		process->streams[i] = STREAMS + pid * 3 + i;
	if (process->settings.terminal)
		process->ended[2] = true;
	return true;
}

static enum start_event fuzz_setup(struct process *process, struct failure *failure)
{
	uint8_t answer = script_u8(&script);

	switch (answer % 8) {
	case 0:
		return SETUP_NOTHING;
	case 1:
		return SETUP_AGAIN;
	case 2:
		return SETUP_MACHINE_READY;
	case 3:
		(void)fail(failure, STATUS_OTHER, "%*s", answer * 16, "no");
		return SETUP_MACHINE_FAILED;
	case 4:
		(void)fail(failure, STATUS_NOT_FOUND, "%*s", answer * 16, "no");
		return SETUP_FAILED;
	default:
		process_started(process);
		return SETUP_STARTED;
	}
}

static void check_agent(void)
{
	HOLDS(agent.channel.in_length <= sizeof agent.channel.in);
	HOLDS(agent.channel.out_start <= agent.channel.out_end && agent.channel.out_end <= sizeof agent.channel.out);
	for (unsigned i = 0; i < PROCESSES; i++) {
		const struct process *process = agent.processes[i];

		if (!process)
			continue;
		HOLDS(process->number >= 1 && process->number <= URUNC_PROCESS_MAX);
		HOLDS(process->input_length <= sizeof process->input && process->input_start < sizeof process->input);
		HOLDS(process->document.length <= process->document.size);
		HOLDS(process->document.size <= URUNC_DOCUMENT_MAX);
	}
}

/* The processes do what they do; every descriptor may be ready or not. */
static void serve(void)
{
	static struct pollfd entries[POLL_EACH * PROCESSES];
	uint8_t ready = script_u8(&script);

	poll_processes(entries);
	for (unsigned i = 0; i < POLL_EACH * PROCESSES; i++)
		if (entries[i].fd >= 0 && ready & 1 << i % POLL_EACH)
			entries[i].revents = entries[i].events ? entries[i].events : POLLERR;
	serve_processes(entries, ready & 16);
	if (ready & 32)
		(void)channel_flush(&agent.channel);
}

/* A small process's document, whole: what the script would take long to find. */
static void give_document(void)
{
	static const uint8_t document[] = { 1, 2, 0, 0, 2, 0, 0, 0, 'a', 0, 3, 2, 0, 0, 2, 0, 0, 0, '/', 0,
					    4, 2, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	struct urunc_frame frames[] = { { 4, URUNC_DOCUMENT, 0 }, { sizeof document, URUNC_CHUNK, 0 }, { 0, URUNC_START, 0 } };
	uint32_t number = script_u8(&script);

	made.length = made_at = 0;
	for (size_t i = 0; i < 3; i++) {
		uint8_t *at = made.bytes + made.length;

		frames[i].stream = urunc_stream(number, URUNC_CONTROL);
		urunc_frame_encode(at, &frames[i]);
		urunc_put32(at + URUNC_FRAME_HEADER, sizeof document);
		if (i == 1)
			memcpy(at + URUNC_FRAME_HEADER, document, sizeof document);
		made.length += URUNC_FRAME_HEADER + frames[i].length;
	}
	receive();
}

static void act(void)
{
	size_t length;
	const uint8_t *bytes;

	switch (script_u8(&script) % 8) {
	case 0:
		bytes = script_bytes(&script, script_u8(&script), &length);
		memcpy(made.bytes, bytes, length);
		made.length = length;
		made_at = 0;
		receive();
		break;
	case 1:
	case 2:
	case 3:
		frames_make(&made, &script);
		made_at = 0;
		receive();
		break;
	case 4:
		give_document();
		break;
	case 5:
		refusing = script_u8(&script);
		break;
	default:
		serve();
		break;
	}
	check_agent();
}

static void reset(void)
{
	for (unsigned i = 0; i < PROCESSES; i++) {
		if (!agent.processes[i])
			continue;
		process_release(agent.processes[i]);
		(void)munmap(agent.processes[i], sizeof *agent.processes[i]);
	}
	document_free(&agent.machine);
	memset(&agent, 0, sizeof agent);
	agent.channel.fd = PORT;
	agent.prepared = true;
	made.length = made_at = 0;
	refusing = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	reset();
	script = (struct script){ bytes, bytes + length };
	/* Most scripts would not find it. */
	if (script_u8(&script) & 1) {
		agent.welcome = true;
		agent.window = URUNC_WINDOW_DEFAULT;
	}
	if (setjmp(given_up) == 0)
		for (int actions = 0; !script_over(&script) && !agent.ending && actions < 512; actions++)
			act();
	return 0;
}
