/*
 * The keeper of a machine that runs in the background: the parent of its stand-in, as long as that lives. It writes what
 * the machine says to a log and how it ended to a file, and then becomes the program that tidies up. It is in C because
 * it stays resident for each machine.
 *
 *   bunny-keeper [--interactive] [--terminal SOCKET] DIRECTORY -- CREATE -- START -- AFTER
 *
 * Each of the three is a program's path and its arguments from the zeroth on. CREATE gets --pid-file `pid` of its caller's
 * making; the working directory of all is DIRECTORY, the machine's. Descriptor 3 is told how far it is, a line each:
 * `created`, `started`, or `failed WHAT`. Descriptor 4 is the machine's lock, which AFTER inherits.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "console.h"
#include "record.h"
#include "words.h"

#define REPORT 3
#define LOCK 4
#define FIRST_OWN 5

#define PID_FILE "pid"
#define EXIT_FILE "exit"
#define EXIT_FILE_NEW ".exit"

/* Milliseconds, for output that is still on its way when the machine has ended. */
#define GRACE_OUTPUT 500
#define STATUS_FAILED 125

/* The ends of the machine's streams: ours, and those that CREATE gets; -1: closed. */
struct keeper {
	struct words words;
	struct record_log log;
	int signals;
	int console;
	int output[2]; /* standard output or the terminal, standard error */
	int given[3];
	int input; /* never written to, and open as long as the machine lives */
	pid_t machine;
	bool ended;
	int status;
};

static struct keeper keeper_state;

static void say(const char *line)
{
	if (write(REPORT, line, strlen(line)) < 0)
		return; /* nobody waits any more */
}

static void close_end(int *end)
{
	if (*end >= 0)
		close(*end);
	*end = -1;
}

static bool make_pipe(int *ours, int *theirs, bool reads)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	*ours = ends[reads ? 0 : 1];
	*theirs = ends[reads ? 1 : 0];
	return !reads || fcntl(*ours, F_SETFL, O_NONBLOCK) == 0;
}

static bool make_streams(struct keeper *keeper)
{
	const struct words *words = &keeper->words;

	for (int i = 0; i < 3; i++)
		keeper->given[i] = -1;
	keeper->output[0] = keeper->output[1] = keeper->input = keeper->console = -1;
	if (words->terminal) {
		keeper->console = console_listen(words->terminal);
		return keeper->console >= 0;
	}
	return (!words->interactive || make_pipe(&keeper->input, &keeper->given[0], false)) &&
	       make_pipe(&keeper->output[0], &keeper->given[1], true) &&
	       make_pipe(&keeper->output[1], &keeper->given[2], true);
}

static _Noreturn void become(const struct words_program *program, const int given[3])
{
	sigset_t none;
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; i < 3; i++)
		if (dup2(given[i] >= 0 ? given[i] : nothing, i) < 0)
			_exit(STATUS_FAILED);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGHUP, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	execv(program->path, program->arguments);
	_exit(127);
}

/* True if it ended with 0. The machine's first process may end meanwhile: it is not waited for here. */
static bool run(const struct words_program *program, const int given[3])
{
	int status;
	pid_t process = fork();

	if (process == 0) {
		close(REPORT);
		close(LOCK);
		become(program, given);
	}
	if (process < 0)
		return false;
	while (waitpid(process, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static pid_t read_pid(void)
{
	char text[16] = "";
	int file = open(PID_FILE, O_RDONLY | O_CLOEXEC);
	ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
	long pid = length > 0 ? strtol(text, NULL, 10) : 0;

	if (file >= 0)
		close(file);
	return pid > 1 && pid < 1 << 22 ? (pid_t)pid : 0;
}

static bool start(struct keeper *keeper)
{
	const int nothing[3] = { -1, -1, -1 };

	if (!run(&keeper->words.create, keeper->given)) {
		say("failed create\n");
		return false;
	}
	for (int i = 0; i < 3; i++)
		close_end(&keeper->given[i]);
	if (keeper->console >= 0)
		keeper->output[0] = console_take(keeper->console);
	keeper->machine = read_pid();
	if (!keeper->machine) {
		say("failed create\n");
		return false;
	}
	say("created\n");
	if (!run(&keeper->words.start, nothing)) {
		say("failed start\n");
		return false;
	}
	say("started\n");
	return true;
}

static void reap(struct keeper *keeper)
{
	int status;

	for (pid_t process; (process = waitpid(-1, &status, WNOHANG)) > 0;) {
		if (process != keeper->machine)
			continue;
		keeper->ended = true;
		keeper->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	}
}

/* False: there is nothing more to come now. */
static bool take_output(struct keeper *keeper, int which)
{
	static char part[65536];
	ssize_t got = keeper->output[which] < 0 ? 0 : read(keeper->output[which], part, sizeof part);

	if (got > 0) {
		record_add(&keeper->log, which == 0 ? 'o' : 'e', part, (size_t)got);
		return true;
	}
	if (got == 0 || (errno != EAGAIN && errno != EINTR))
		close_end(&keeper->output[which]);
	return false;
}

static void keep(struct keeper *keeper)
{
	struct signalfd_siginfo signal_info;

	/* It may have ended before anybody looked. */
	reap(keeper);
	while (!keeper->ended) {
		struct pollfd slots[3] = { { keeper->signals, POLLIN, 0 },
					   { keeper->output[0], POLLIN, 0 },
					   { keeper->output[1], POLLIN, 0 } };

		if (poll(slots, 3, -1) < 0 && errno != EINTR)
			return;
		for (int i = 0; i < 2; i++)
			if (slots[1 + i].revents)
				take_output(keeper, i);
		if (slots[0].revents && read(keeper->signals, &signal_info, sizeof signal_info) > 0)
			reap(keeper);
	}
}

/* What is in the pipes when the machine has ended. */
static void drain(struct keeper *keeper)
{
	for (int left = GRACE_OUTPUT; left > 0 && (keeper->output[0] >= 0 || keeper->output[1] >= 0); left -= 10) {
		bool more = take_output(keeper, 0) | take_output(keeper, 1);
		struct timespec moment = { 0, 10000000 };

		if (more)
			left = GRACE_OUTPUT;
		else if (keeper->output[0] >= 0 || keeper->output[1] >= 0)
			nanosleep(&moment, NULL);
	}
}

static void note_end(int status)
{
	char text[64];
	struct timespec now;
	int file = open(EXIT_FILE_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int length;

	if (file < 0)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	length = snprintf(text, sizeof text, "%d %lld.%09ld\n", status, (long long)now.tv_sec, now.tv_nsec);
	if (write(file, text, (size_t)length) == length)
		rename(EXIT_FILE_NEW, EXIT_FILE);
	close(file);
}

static bool prepare(struct keeper *keeper)
{
	sigset_t children;

	setsid();
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
	keeper->signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
	return keeper->signals >= 0 && chdir(keeper->words.directory) == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 &&
	       record_open(&keeper->log) && make_streams(keeper);
}

int main(int count, char *arguments[])
{
	struct keeper *keeper = &keeper_state;
	const int nothing[3] = { -1, -1, -1 };

	syscall(SYS_close_range, (unsigned int)FIRST_OWN, ~0u, 0);
	if (!words_parse(&keeper->words, count, arguments)) {
		fputs("usage: bunny-keeper [--interactive] [--terminal SOCKET] DIRECTORY -- CREATE -- START -- AFTER\n", stderr);
		return 2;
	}
	fcntl(REPORT, F_SETFD, FD_CLOEXEC);
	if (!prepare(keeper)) {
		say("failed keeper\n");
		return STATUS_FAILED;
	}
	if (start(keeper)) {
		close(REPORT);
		keep(keeper);
		drain(keeper);
		note_end(keeper->status);
	}
	if (keeper->words.terminal)
		unlink(keeper->words.terminal);
	become(&keeper->words.after, nothing);
}
