#include "direct.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conf.h"
#include "direct_machine.h"
#include "direct_start.h"
#include "direct_streams.h"
#include "failure.h"
#include "guest.h"
#include "port.h"
#include "words.h"

/* Milliseconds. How long the host may take to answer, and how often it is asked for a command: each takes an exit. */
#define ANSWER_PATIENCE 2000
#define COMMANDS_EVERY 50

/* The kernel's number of the first name space of processes: in another one this is a container, not a machine. */
#define FIRST_NAMESPACE "pid:[4026531836]"

/* What the kernel still writes to the console. */
#define EMERGENCIES "1"
#define NOTHING "0"

extern char **environ;

static struct direct {
	bool whole; /* the machine is ours */
	bool port;  /* the host is there, and says how the streams are */
	bool terminal;
	uint16_t rows;
	uint16_t columns;
	struct conf conf;
	struct relay relay;
} direct;

static bool is_machine(void)
{
	char name[32];
	ssize_t length = readlink("/proc/self/ns/pid", name, sizeof(name) - 1);

	name[length > 0 ? length : 0] = 0;
	return getpid() == 1 && (length < 0 || strcmp(name, FIRST_NAMESPACE) == 0);
}

/* A kernel that finds no console gives none. */
static void open_standard_streams(void)
{
	int file;

	do
		file = open("/dev/null", O_RDWR);
	while (file >= 0 && file <= STDERR_FILENO);
	if (file > STDERR_FILENO)
		(void)close(file);
}

/* How the streams are to be. A host that does not answer has given a console and nothing else: a terminal. */
static void ask_host(void)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	struct command command;
	int left;

	direct.terminal = true;
	direct.port = direct.whole && port_open();
	if (!direct.port)
		return;
	port_say("urunit 1");
	for (left = ANSWER_PATIENCE; left > 0; left--) {
		if (port_next(&command) && (command.kind == COMMAND_PIPES || command.kind == COMMAND_TERMINAL)) {
			direct.terminal = command.kind == COMMAND_TERMINAL;
			direct.rows = command.rows;
			direct.columns = command.columns;
			return;
		}
		(void)nanosleep(&moment, NULL);
	}
	direct.port = false;
}

static bool read_configuration(struct failure *failure)
{
	static char text[CONF_MAX + 1];
	const char *path = getenv("URUNIT_CONFIG");
	size_t length = 0;
	ssize_t got = 0;
	int file;

	if (!path)
		return true;
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0 && strcmp(path, "/sys/firmware/initrd") == 0)
		return fail_errno(failure, STATUS_OTHER,
				  "urunit's configuration is the initrd, which this kernel does not show (Linux 6.8 does): %s",
				  path);
	if (file < 0)
		return fail_errno(failure, STATUS_OTHER, "opening urunit's configuration %.1024s", path);
	while (length < sizeof(text) && (got = read(file, text + length, sizeof(text) - length)) > 0)
		length += (size_t)got;
	(void)close(file);
	if (got < 0)
		return fail_errno(failure, STATUS_OTHER, "reading urunit's configuration %.1024s", path);
	if (length > CONF_MAX)
		return fail(failure, STATUS_OTHER, "urunit's configuration %.1024s is too large", path);
	return conf_read(text, length, &direct.conf, failure);
}

/* The console is the application's: the kernel's words would be among its output, and the last of them behind it. */
static void silence_kernel(const char *level)
{
	int file = direct.whole ? open("/proc/sys/kernel/printk", O_WRONLY | O_CLOEXEC) : -1;

	if (file < 0)
		return;
	if (write(file, level, strlen(level)) < 0)
		errno = 0; /* Then it says them. */
	(void)close(file);
}

static size_t join_words(size_t count, char *words[])
{
	void *room = mmap(NULL, words_size(words, count), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return room == MAP_FAILED ? 0 : words_join(words, count, room);
}

static pid_t start(size_t count, char *words[], struct failure *failure)
{
	struct direct_streams streams;
	pid_t process;

	if (count == 0 || join_words(count, words) == 0) {
		(void)fail(failure, STATUS_OTHER, "urunit is given no program: name one behind it in the container's command");
		return -1;
	}
	if (!direct_mount(failure) || (direct.whole && !direct_network(failure)) || !read_configuration(failure) ||
	    !direct_mount_volumes(&direct.conf, failure))
		return -1;
	if (direct.whole)
		guest_allow_many_processes();
	if (!direct.whole)
		relay_inherit(&direct.relay, &streams);
	else if (!relay_open(&direct.relay, direct.terminal, &streams, failure))
		return -1;
	relay_resize(&direct.relay, direct.rows, direct.columns);
	silence_kernel(EMERGENCIES);
	process = direct_start(words, environ, &direct.conf, &streams, failure);
	relay_begin(&streams);
	return process;
}

/* Commands of the host that have come. */
static void obey(pid_t process)
{
	struct command command;

	while (direct.port && port_next(&command)) {
		switch (command.kind) {
		case COMMAND_SIGNAL:
			(void)kill(process, command.signal);
			break;
		case COMMAND_SIZE:
			relay_resize(&direct.relay, command.rows, command.columns);
			break;
		case COMMAND_END:
			relay_end_input(&direct.relay, command.bytes);
			break;
		case COMMAND_PIPES:
		case COMMAND_TERMINAL:
			break;
		}
	}
}

/* Reaps whoever has ended. True: the process is among them. */
static bool reap(pid_t process, int *status)
{
	bool ended = false;
	pid_t pid;
	int one;

	while ((pid = waitpid(-1, &one, WNOHANG)) > 0) {
		if (pid != process)
			continue;
		*status = one;
		ended = true;
	}
	return ended;
}

/* Signals of others than children are meant for the application, as those of a container's first process are. */
static void pass_signals(int signals, pid_t process)
{
	struct signalfd_siginfo information;

	while (read(signals, &information, sizeof(information)) == sizeof(information))
		if (information.ssi_signo != SIGCHLD && information.ssi_signo != SIGPIPE)
			(void)kill(process, (int)information.ssi_signo);
}

/* Until the process has ended; its wait status. */
static int serve(int signals, pid_t process)
{
	struct pollfd slots[1 + RELAY_SLOTS];
	int status = 0;

	do {
		uint32_t taken;

		slots[0] = (struct pollfd){ signals, POLLIN, 0 };
		relay_choose(&direct.relay, slots + 1);
		(void)poll(slots, 1 + RELAY_SLOTS, direct.port ? COMMANDS_EVERY : -1);
		obey(process);
		if (slots[0].revents)
			pass_signals(signals, process);
		relay_serve(&direct.relay, slots + 1);
		taken = relay_taken(&direct.relay);
		if (taken > 0 && direct.port)
			port_say("urunit taken %u", taken);
	} while (!reap(process, &status));
	return status;
}

/* Everything is dead with the process, as in a container. */
static void end_others(void)
{
	if (!direct.whole)
		return;
	(void)kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
}

static int finish(int status)
{
	if (direct.whole)
		direct_settle(&direct.conf);
	silence_kernel(NOTHING);
	if (direct.port)
		port_say("urunit exited %d", status);
	if (direct.whole)
		guest_end();
	return status;
}

static int refuse(const struct failure *failure)
{
	if (direct.port)
		port_say("urunit failed %u %s", failure->status, failure->sentence);
	else
		(void)dprintf(STDERR_FILENO, "urunit: %s\n", failure->sentence);
	return finish((int)failure->status);
}

int direct_run(size_t count, char *words[])
{
	struct failure failure;
	sigset_t all;
	pid_t process;
	int signals;
	int status;

	open_standard_streams();
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	/* Where this is not the first process, orphans are its children all the same. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	direct.whole = is_machine();
	ask_host();
	process = start(count, words, &failure);
	if (process < 0)
		return refuse(&failure);
	if (direct.port)
		port_say("urunit started");
	status = serve(signals, process);
	end_others();
	relay_drain(&direct.relay);
	return finish(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}
