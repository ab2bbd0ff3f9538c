#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "query.h"

/* What the child says before its program runs: one message each. */
enum report_kind { REPORT_MACHINE_READY = 1, REPORT_MACHINE_FAILED, REPORT_FORKED, REPORT_TERMINAL, REPORT_FAILED };

struct report {
	enum report_kind kind;
	pid_t pid; /* of REPORT_FORKED */
	struct failure failure;
};

void process_init(struct process *process, uint32_t number, uint32_t window)
{
	unsigned i;

	memset(process, 0, sizeof(*process));
	process->number = number;
	process->setup = -1;
	for (i = 0; i < 3; i++) {
		process->streams[i] = -1;
		process->credit[i] = window;
	}
}

void process_release(struct process *process)
{
	int i;

	for (i = 0; i < 3; i++)
		if (process->streams[i] >= 0)
			(void)close(process->streams[i]);
	if (process->setup >= 0)
		(void)close(process->setup);
	settings_free(&process->settings);
	document_free(&process->document);
}

/* Sends a report, with a descriptor if it is not negative. */
static void report(int socket, enum report_kind kind, const struct failure *failure, int descriptor)
{
	struct report message = { .kind = kind, .pid = kind == REPORT_FORKED ? descriptor : 0 };
	struct iovec part = { .iov_base = &message, .iov_len = sizeof(message) };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };

	if (failure)
		message.failure = *failure;
	if (descriptor >= 0 && kind != REPORT_FORKED) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &descriptor, sizeof(int));
		header.msg_control = control.bytes;
		header.msg_controllen = sizeof(control.bytes);
	}
	if (sendmsg(socket, &header, MSG_NOSIGNAL) < 0)
		_exit(1);
}

static bool take_streams(const struct settings *settings, const int *ends, int terminal, struct failure *failure)
{
	int slave;
	int i;

	if (setsid() < 0)
		return fail_errno(failure, STATUS_OTHER, "starting a session");
	if (!settings->terminal) {
		for (i = 0; i < 3; i++)
			if (dup2(ends[i], i) < 0)
				return fail_errno(failure, STATUS_OTHER, "taking the standard streams");
		return true;
	}
	slave = ioctl(terminal, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || ioctl(slave, TIOCSCTTY, 0) < 0)
		return fail_errno(failure, STATUS_OTHER, "taking the terminal");
	for (i = 0; i < 3; i++)
		if (dup2(slave, i) < 0)
			return fail_errno(failure, STATUS_OTHER, "taking the terminal");
	/* runc gives it to the process's user. */
	if (fchown(slave, settings->uid, (gid_t)-1) < 0 && errno != EINVAL)
		return fail_errno(failure, STATUS_OTHER, "giving the terminal to its user");
	return true;
}

static void reset_signals(void)
{
	struct sigaction plain = { .sa_handler = SIG_DFL };
	sigset_t none;
	int number;

	for (number = 1; number < _NSIG; number++)
		(void)sigaction(number, &plain, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void child(struct process *process, const struct machine_part *machine, const int *ends, int socket)
{
	struct failure failure;
	char path[PATH_MAX];
	int terminal = -1;

	reset_signals();
	if (!cgroup_enter(&failure) || !cgroup_confine(&failure) ||
	    !machine->make(machine->context, process->settings.terminal ? &terminal : NULL, &failure)) {
		fail_during(&failure, "error during container init: ");
		report(socket, REPORT_MACHINE_FAILED, &failure, -1);
		_exit(1);
	}
	report(socket, REPORT_MACHINE_READY, NULL, terminal);
	if (take_streams(&process->settings, ends, terminal, &failure) &&
	    settings_apply(&process->settings, path, &failure))
		settings_execute(&process->settings, path);
	report(socket, REPORT_FAILED, &failure, -1);
	_exit(1);
}

/* A terminal of the container's /dev/pts; the caller is in its mount namespace. */
static bool open_terminal(int *master, struct failure *failure)
{
	int unlocked = 0;

	*master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	return (*master >= 0 && ioctl(*master, TIOCSPTLCK, &unlocked) == 0) ||
	       fail_errno(failure, STATUS_OTHER, "opening a terminal");
}

/* The process that is to be: in all of the container's namespaces. */
static _Noreturn void joined(struct process *process, const int *ends, int socket, int gate)
{
	struct failure failure;
	bool terminal = process->settings.terminal;
	char path[PATH_MAX];
	int master = -1;
	char nothing;

	/* Its end must not be seen before its process id is known. */
	(void)!read(gate, &nothing, 1);
	reset_signals();
	if (!terminal || open_terminal(&master, &failure)) {
		if (terminal)
			report(socket, REPORT_TERMINAL, NULL, master);
		if (take_streams(&process->settings, ends, master, &failure) &&
		    settings_apply(&process->settings, path, &failure))
			settings_execute(&process->settings, path);
	}
	report(socket, REPORT_FAILED, &failure, -1);
	_exit(1);
}

/* Enters the namespaces; that of processes counts for children alone, so there is one more, which is the agent's child. */
static _Noreturn void join(struct process *process, pid_t first, const int *ends, int socket)
{
	struct failure failure;
	int namespaces = (int)syscall(SYS_pidfd_open, first, 0);
	int gate[2];
	long pid = -1;

	if (!cgroup_enter(&failure)) {
		report(socket, REPORT_FAILED, &failure, -1);
		_exit(1);
	}
	if (namespaces >= 0 && setns(namespaces, CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWCGROUP) == 0 &&
	    pipe2(gate, O_CLOEXEC) == 0)
		pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		(void)close(gate[1]);
		joined(process, ends, socket, gate[0]);
	}
	if (pid < 0) {
		(void)fail_errno(&failure, STATUS_OTHER, "entering the container");
		report(socket, REPORT_FAILED, &failure, -1);
		_exit(1);
	}
	report(socket, REPORT_FORKED, NULL, (int)pid);
	_exit(0);
}

/* Answers a query, in the agent's own namespaces. */
static _Noreturn void answer(struct process *process, const int *ends, int socket)
{
	struct failure failure;

	reset_signals();
	if (take_streams(&process->settings, ends, -1, &failure)) {
		/* As the execution of a program would: the socket's end says that it runs. */
		(void)syscall(SYS_close_range, 3u, ~0u, 0);
		_exit(query_run(process->settings.query, process->settings.query_argument));
	}
	report(socket, REPORT_FAILED, &failure, -1);
	_exit(1);
}

/* The child's ends of its streams; ours go into the process. With a terminal there are none yet. */
static bool make_streams(struct process *process, int *ends)
{
	int pair[2];
	int i;

	for (i = 0; i < 3; i++)
		ends[i] = -1;
	if (process->settings.terminal)
		return true;
	for (i = 0; i < 3; i++) {
		if (i == 0 && process->settings.no_stdin) {
			ends[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
			process->ended[0] = true;
			if (ends[0] < 0)
				return false;
			continue;
		}
		if (pipe2(pair, O_CLOEXEC) < 0)
			return false;
		ends[i] = i == 0 ? pair[0] : pair[1];
		process->streams[i] = i == 0 ? pair[1] : pair[0];
		if (fcntl(process->streams[i], F_SETFL, O_NONBLOCK) < 0)
			return false;
	}
	return true;
}

static void close_all(int *descriptors, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (descriptors[i] >= 0)
			(void)close(descriptors[i]);
		descriptors[i] = -1;
	}
}

/* What is before the fork. */
static bool prepare(struct process *process, int *ends, int *sockets, struct failure *failure)
{
	if (!settings_read(document_records(&process->document), &process->settings, failure))
		return false;
	if (process->rows == 0 && process->columns == 0) {
		process->rows = process->settings.rows;
		process->columns = process->settings.columns;
	}
	return (make_streams(process, ends) && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0) ||
	       fail_errno(failure, STATUS_OTHER, "making the process's streams");
}

bool process_start(struct process *process, const struct machine_part *machine, struct failure *failure)
{
	int ends[3];
	int sockets[2];
	long pid;

	if (!prepare(process, ends, sockets, failure))
		return false;
	if (process->settings.query) {
		(void)close(sockets[0]);
		(void)close(sockets[1]);
		close_all(ends, 3);
		return fail(failure, STATUS_OTHER, "the container's process is a query");
	}
	pid = syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		child(process, machine, ends, sockets[1]);
	if (pid < 0)
		(void)fail_errno(failure, STATUS_OTHER, "making the process");
	(void)close(sockets[1]);
	close_all(ends, 3);
	process->setup = sockets[0];
	process->pid = (pid_t)pid;
	process->state = PROCESS_STARTING;
	return pid > 0;
}

bool process_join(struct process *process, pid_t first, struct failure *failure)
{
	int ends[3];
	int sockets[2];
	long pid;

	if (!prepare(process, ends, sockets, failure))
		return false;
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0 && process->settings.query)
		answer(process, ends, sockets[1]);
	if (pid == 0)
		join(process, first, ends, sockets[1]);
	if (pid < 0)
		(void)fail_errno(failure, STATUS_OTHER, "making the process");
	(void)close(sockets[1]);
	close_all(ends, 3);
	process->setup = sockets[0];
	if (process->settings.query && pid > 0)
		process->pid = (pid_t)pid;
	process->state = PROCESS_STARTING;
	return pid > 0;
}

static void resize(const struct process *process)
{
	struct winsize size = { .ws_row = process->rows, .ws_col = process->columns };

	if (process->settings.terminal && process->streams[1] >= 0 && (size.ws_row || size.ws_col))
		(void)ioctl(process->streams[1], TIOCSWINSZ, &size);
}

static void take_terminal(struct process *process, int master)
{
	int i;

	for (i = 0; i < 2; i++) {
		process->streams[i] = i == 0 ? master : fcntl(master, F_DUPFD_CLOEXEC, 0);
		(void)fcntl(process->streams[i], F_SETFL, O_NONBLOCK);
	}
	process->ended[2] = true;
	resize(process);
}

static void started(struct process *process)
{
	uint64_t signals = process->signals;
	int number;

	process->state = PROCESS_RUNNING;
	process->signals = 0;
	for (number = 1; number <= 64; number++)
		if (signals >> (number - 1) & 1)
			(void)kill(process->pid, number);
}

enum setup_event process_setup(struct process *process, struct failure *failure)
{
	struct report message;
	struct iovec part = { .iov_base = &message, .iov_len = sizeof(message) };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *attached;
	ssize_t length = recvmsg(process->setup, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int terminal;

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return SETUP_NOTHING;
	if (length != sizeof(message)) {
		/* Closed by the execution of the program, or by the child's death on the way to it. */
		(void)close(process->setup);
		process->setup = -1;
		if (process->pid <= 0) {
			(void)fail(failure, STATUS_OTHER, "the process ended before it was one");
			return SETUP_FAILED;
		}
		started(process);
		return SETUP_STARTED;
	}
	attached = CMSG_FIRSTHDR(&header);
	if (attached && attached->cmsg_type == SCM_RIGHTS) {
		memcpy(&terminal, CMSG_DATA(attached), sizeof(terminal));
		take_terminal(process, terminal);
	}
	*failure = message.failure;
	switch (message.kind) {
	case REPORT_MACHINE_READY:
		return SETUP_MACHINE_READY;
	case REPORT_MACHINE_FAILED:
		return SETUP_MACHINE_FAILED;
	case REPORT_FORKED:
		process->pid = message.pid;
		return SETUP_AGAIN;
	case REPORT_TERMINAL:
		return SETUP_AGAIN;
	case REPORT_FAILED:
		break;
	}
	return SETUP_FAILED;
}

static bool take_input(struct process *process, const uint8_t *bytes, uint32_t length)
{
	uint32_t i;

	if (process->ended[0])
		return true;
	if (process->input_eof || length > sizeof(process->input) - process->input_length)
		return false;
	for (i = 0; i < length;) {
		uint32_t at = (process->input_start + process->input_length) % (uint32_t)sizeof(process->input);
		uint32_t part = (uint32_t)sizeof(process->input) - at;

		if (part > length - i)
			part = length - i;
		memcpy(process->input + at, bytes + i, part);
		process->input_length += part;
		i += part;
	}
	return true;
}

static bool take_signal(struct process *process, uint32_t number)
{
	if (number < 1 || number > 64)
		return false;
	if (process->state == PROCESS_RUNNING && !process->reaped)
		(void)kill(process->pid, (int)number);
	else if (process->state != PROCESS_ENDED)
		process->signals |= UINT64_C(1) << (number - 1);
	return true;
}

static bool take_credit(struct process *process, unsigned channel, uint32_t credit)
{
	if (credit < 1 || credit > URUNC_WINDOW_GRANT_MAX || credit > UINT32_MAX - process->credit[channel])
		return false;
	process->credit[channel] += credit;
	return true;
}

bool process_frame(struct process *process, const struct urunc_frame *frame, const uint8_t *payload)
{
	unsigned channel = frame->stream % 4;

	if (process->state == PROCESS_ENDED)
		return true;
	switch (frame->type) {
	case URUNC_DOCUMENT:
		return channel == URUNC_CONTROL && frame->length == 4 && document_announce(&process->document, urunc_get32(payload));
	case URUNC_CHUNK:
		return channel == URUNC_CONTROL && document_append(&process->document, payload, frame->length);
	case URUNC_DATA:
		return channel == URUNC_STDIN && frame->length > 0 && take_input(process, payload, frame->length);
	case URUNC_EOF:
		if (channel == URUNC_CONTROL || frame->length != 0)
			return false;
		if (channel == URUNC_STDIN)
			process->input_eof = true;
		else
			process->refused[channel] = true;
		return true;
	case URUNC_WINDOW:
		return (channel == URUNC_STDOUT || channel == URUNC_STDERR) && frame->length == 4 &&
		       take_credit(process, channel, urunc_get32(payload));
	case URUNC_SIGNAL:
		return channel == URUNC_CONTROL && frame->length == 4 && take_signal(process, urunc_get32(payload));
	case URUNC_RESIZE:
		if (channel != URUNC_CONTROL || frame->length != 4)
			return false;
		process->rows = urunc_get16(payload);
		process->columns = urunc_get16(payload + 2);
		resize(process);
		return true;
	default:
		return false;
	}
}

void process_poll(const struct process *process, const struct channel *channel, struct pollfd *entries)
{
	int i;

	for (i = 0; i < 3; i++) {
		bool wanted = i == 0 ? process->input_length > 0 && channel_has_reserve(channel)
				     : process->credit[i] > 0 && channel_room(channel) > 0;

		entries[i].fd = process->ended[i] || !wanted ? -1 : process->streams[i];
		entries[i].events = i == 0 ? POLLOUT : POLLIN;
		entries[i].revents = 0;
	}
	/* Without anything to write, only that nobody reads any more. */
	if (!process->ended[0] && process->input_length == 0 && !process->settings.terminal) {
		entries[0].fd = process->streams[0];
		entries[0].events = 0;
	}
}

static void close_input(struct process *process)
{
	if (process->streams[0] >= 0)
		(void)close(process->streams[0]);
	process->streams[0] = -1;
	process->ended[0] = true;
	process->input_length = 0;
}

/* A terminal's end of input is its end-of-file character. */
static void end_terminal_input(struct process *process)
{
	static const char end_of_file = 4;

	if (write(process->streams[0], &end_of_file, 1) < 0 && errno == EAGAIN)
		return;
	process->ended[0] = true;
}

static void serve_input(struct process *process, struct channel *channel, short events)
{
	uint32_t stream = urunc_stream(process->number, URUNC_STDIN);
	uint8_t grant[4];

	while (process->input_length > 0 && (events & (POLLOUT | POLLERR)) && channel_has_reserve(channel)) {
		uint32_t part = (uint32_t)sizeof(process->input) - process->input_start;
		ssize_t put = write(process->streams[0], process->input + process->input_start,
				    part < process->input_length ? part : process->input_length);

		if (put < 0 && errno == EAGAIN)
			return;
		if (put <= 0) {
			events |= POLLERR;
			break;
		}
		process->input_start = (process->input_start + (uint32_t)put) % (uint32_t)sizeof(process->input);
		process->input_length -= (uint32_t)put;
		urunc_put32(grant, (uint32_t)put);
		(void)channel_send(channel, stream, URUNC_WINDOW, grant, sizeof(grant));
	}
	if (events & POLLERR) {
		(void)channel_send(channel, stream, URUNC_EOF, NULL, 0);
		close_input(process);
	} else if (process->input_eof && process->input_length == 0) {
		if (process->settings.terminal)
			end_terminal_input(process);
		else
			close_input(process);
	}
}

/* What a further process has left running keeps its output open: what is there when it has ended is all. */
static bool is_all(const struct process *process)
{
	return process->reaped && process->number != 1;
}

static void end_output(struct process *process, struct channel *channel, int i)
{
	(void)channel_send(channel, urunc_stream(process->number, (enum urunc_channel)i), URUNC_EOF, NULL, 0);
	(void)close(process->streams[i]);
	process->streams[i] = -1;
	process->ended[i] = true;
}

/* The host has no reader for it any more. A terminal's program learns that by SIGHUP, if at all. */
static bool is_refused(const struct process *process, int i)
{
	return process->refused[i] && !process->settings.terminal;
}

static void serve_output(struct process *process, struct channel *channel, int i)
{
	uint32_t stream = urunc_stream(process->number, (enum urunc_channel)i);

	for (;;) {
		size_t room = channel_room(channel);
		ssize_t got;

		if (room > process->credit[i])
			room = process->credit[i];
		if (room == 0)
			return;
		got = read(process->streams[i], channel_data_space(channel), room);
		if (got > 0) {
			channel_data_commit(channel, stream, (size_t)got);
			process->credit[i] -= (uint32_t)got;
			continue;
		}
		if (got < 0 && (errno == EINTR || (errno == EAGAIN && !is_all(process))))
			return;
		/* Nobody has it open any more; a terminal says EIO. */
		end_output(process, channel, i);
		return;
	}
}

void process_serve(struct process *process, struct channel *channel, const struct pollfd *entries)
{
	int i;

	if (process->state != PROCESS_RUNNING)
		return;
	/* Behind the last data that had to wait, or at once. */
	if (!process->ended[0] && process->streams[0] >= 0 && (entries[0].revents || process->input_eof))
		serve_input(process, channel, entries[0].revents);
	for (i = 1; i < 3; i++) {
		if (process->ended[i] || process->streams[i] < 0)
			continue;
		if (is_refused(process, i))
			end_output(process, channel, i);
		else if (entries[i].revents || is_all(process))
			serve_output(process, channel, i);
	}
}

void process_reaped(struct process *process, int status)
{
	process->status = status;
	process->reaped = true;
}

bool process_finished(const struct process *process)
{
	return process->state == PROCESS_RUNNING && process->reaped && process->ended[1] && process->ended[2];
}

uint32_t process_status(const struct process *process)
{
	if (WIFSIGNALED(process->status))
		return 128u + (uint32_t)WTERMSIG(process->status);
	return (uint32_t)WEXITSTATUS(process->status);
}
