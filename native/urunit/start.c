#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
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
#include "signals.h"

/* What the child says before its program runs: one message each. */
enum report_kind { REPORT_MACHINE_READY = 1, REPORT_MACHINE_FAILED, REPORT_FORKED, REPORT_TERMINAL, REPORT_FAILED };

struct report {
	enum report_kind kind;
	pid_t pid; /* of REPORT_FORKED */
	struct failure failure;
};

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

/*
 * Process 1 of the container's namespace in the program's place: who has the program as its child hands signals on to it,
 * takes orphans, and ends as it does, by which the kernel ends all others.
 */
static _Noreturn void lead(pid_t program)
{
	sigset_t all;
	int number;
	int status;
	pid_t ended;

	(void)sigfillset(&all);
	for (;;) {
		number = sigwaitinfo(&all, NULL);
		if (number > 0 && number != SIGCHLD)
			(void)kill(program, number);
		while ((ended = waitpid(-1, &status, WNOHANG)) > 0)
			if (ended == program)
				_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	}
}

/* Returns in the program's process only, which is a child of process 1. */
static bool step_back(struct failure *failure)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct kept[2] = { { 1u << CAP_KILL, 1u << CAP_KILL, 0 }, { 0 } };
	sigset_t all;
	long program;

	/* What arrives while nobody waits for it stays. */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	program = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (program < 0)
		return fail_errno(failure, STATUS_OTHER, "making the process");
	if (program == 0) {
		reset_signals();
		return true;
	}
	/* The streams and the report are the program's; what could be traced from it must not have more rights. */
	(void)syscall(SYS_close_range, 0u, ~0u, 0);
	(void)syscall(SYS_capset, &header, kept);
	lead((pid_t)program);
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
	if ((!process->settings.not_first || step_back(&failure)) &&
	    take_streams(&process->settings, ends, terminal, &failure) && settings_apply(&process->settings, path, &failure))
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

bool start_first(struct process *process, const struct machine_part *machine, struct failure *failure)
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

bool start_further(struct process *process, pid_t first, struct failure *failure)
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

enum start_event start_report(struct process *process, struct failure *failure)
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
		process_started(process);
		return SETUP_STARTED;
	}
	attached = CMSG_FIRSTHDR(&header);
	if (attached && attached->cmsg_type == SCM_RIGHTS) {
		memcpy(&terminal, CMSG_DATA(attached), sizeof(terminal));
		process_take_terminal(process, terminal);
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
