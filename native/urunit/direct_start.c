#include "direct_start.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frame.h"
#include "path.h"
#include "port.h"
#include "program.h"
#include "settings.h"
#include "signals.h"

/* For who says none: as runc's callers have it. */
#define PATH_VARIABLE "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* What is between urunit and the host, and no business of the application's. */
#define OWN_VARIABLES "URUNIT_"

/* The kernel's number for "as it is". */
#define UMASK_LEAVE 0xffffffffu

struct draft {
	uint8_t *bytes; /* NULL: only its length is looked for */
	size_t length;
};

static uint8_t *add(struct draft *draft, uint16_t tag, size_t length)
{
	static uint8_t nowhere[64];
	uint8_t *at = draft->bytes + draft->length;

	draft->length += URUNC_RECORD_HEADER + length;
	if (!draft->bytes)
		return nowhere;
	memset(at, 0, URUNC_RECORD_HEADER);
	urunc_put16(at, tag);
	urunc_put32(at + 4, (uint32_t)length);
	return at + URUNC_RECORD_HEADER;
}

static void add_string(struct draft *draft, uint16_t tag, const char *text)
{
	size_t length = strlen(text) + 1;
	uint8_t *at = add(draft, tag, length);

	if (draft->bytes)
		memcpy(at, text, length);
}

static bool names_path(const char *variable)
{
	return strncmp(variable, "PATH=", 5) == 0;
}

static void add_environment(struct draft *draft, char *const environment[], const struct conf *conf)
{
	bool has_path = false;
	size_t i;

	for (i = 0; conf->has_environment && i < conf->variable_count; i++) {
		add_string(draft, URUNC_ENV, conf->variables[i]);
		has_path |= names_path(conf->variables[i]);
	}
	for (i = 0; !conf->has_environment && environment[i]; i++) {
		if (strncmp(environment[i], OWN_VARIABLES, strlen(OWN_VARIABLES)) == 0)
			continue;
		add_string(draft, URUNC_ENV, environment[i]);
		has_path |= names_path(environment[i]);
	}
	if (!has_path)
		add_string(draft, URUNC_ENV, PATH_VARIABLE);
}

/* Root keeps what it has: the machine is what holds it. Others have none, as after setuid(2), and may raise them again. */
static void add_capabilities(struct draft *draft, bool root)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	uint8_t *at = add(draft, URUNC_CAPABILITIES, 40);
	uint64_t own;

	(void)syscall(SYS_capget, &header, data);
	own = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	urunc_put64(at, own);
	urunc_put64(at + 8, root ? own : 0);
	urunc_put64(at + 16, 0);
	urunc_put64(at + 24, root ? own : 0);
	urunc_put64(at + 32, 0);
}

/* The document that the agent would be given for such a process. */
static void add_all(struct draft *draft, char *const words[], char *const environment[], const struct conf *conf)
{
	uint8_t *at;
	size_t i;

	for (i = 0; words[i]; i++)
		add_string(draft, URUNC_ARG, words[i]);
	add_environment(draft, environment, conf);
	add_string(draft, URUNC_CWD, conf->directory ? conf->directory : "/");
	at = add(draft, URUNC_USER, 12);
	urunc_put32(at, conf->uid);
	urunc_put32(at + 4, conf->gid);
	urunc_put32(at + 8, UMASK_LEAVE);
	add_capabilities(draft, conf->uid == 0);
	for (i = 0; i < conf->limit_count; i++) {
		at = add(draft, URUNC_RLIMIT, 24);
		urunc_put32(at, conf->limits[i].resource);
		urunc_put32(at + 4, 0);
		urunc_put64(at + 8, conf->limits[i].soft);
		urunc_put64(at + 16, conf->limits[i].hard);
	}
}

static bool make_document(struct draft *draft, char *const words[], char *const environment[], const struct conf *conf,
			  struct failure *failure)
{
	void *area;

	*draft = (struct draft){ 0 };
	add_all(draft, words, environment, conf);
	area = mmap(NULL, draft->length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return fail_errno(failure, STATUS_OTHER, "making the process");
	*draft = (struct draft){ .bytes = area };
	add_all(draft, words, environment, conf);
	return true;
}

/* As runc does. Where that is not possible, to enter it fails with a sentence of its own. */
static void make_directory(const char *path)
{
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int place = root < 0 ? -1 : path_open(root, path, PATH_MAKE_DIRECTORY);

	if (place >= 0)
		(void)close(place);
	if (root >= 0)
		(void)close(root);
}

static bool take_streams(const struct direct_streams *streams, struct failure *failure)
{
	if (streams->inherited)
		return true;
	(void)setsid();
	/* Without a terminal driver it is none; the program finds out. */
	if (streams->terminal)
		(void)ioctl(streams->input, TIOCSCTTY, 1);
	return (dup2(streams->input, STDIN_FILENO) >= 0 && dup2(streams->output, STDOUT_FILENO) >= 0 &&
		dup2(streams->output, STDERR_FILENO) >= 0) ||
	       fail_errno(failure, STATUS_OTHER, "giving the process its streams");
}

/* In a container that is no machine the process is what urunit itself is, unless something else is said. */
static bool become(struct settings *settings, const struct direct_streams *streams, bool as_is, char path[PATH_MAX],
		   struct failure *failure)
{
	if (as_is)
		return program_find(settings->arguments[0], getenv("PATH"), path, failure);
	make_directory(settings->directory);
	return take_streams(streams, failure) && settings_apply(settings, path, failure);
}

static _Noreturn void child(struct settings *settings, const struct direct_streams *streams, bool as_is, int report)
{
	struct failure failure;
	char path[PATH_MAX];

	port_leave();
	reset_signals();
	if (become(settings, streams, as_is, path, &failure))
		settings_execute(settings, path);
	_exit(write(report, &failure, sizeof(failure)) < 0);
}

/* True: the program runs. */
static bool wait_for_program(pid_t process, int report, struct failure *failure)
{
	ssize_t got;

	do
		got = read(report, failure, sizeof(*failure));
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return true;
	if (got != (ssize_t)sizeof(*failure))
		(void)fail(failure, STATUS_OTHER, "the process ended before its program ran");
	(void)waitpid(process, NULL, 0);
	return false;
}

static pid_t start(struct settings *settings, const struct direct_streams *streams, bool as_is, struct failure *failure)
{
	int report[2];
	pid_t process = -1;
	bool runs;

	if (pipe2(report, O_CLOEXEC) < 0)
		return (void)fail_errno(failure, STATUS_OTHER, "making the process"), -1;
	process = fork();
	if (process == 0)
		child(settings, streams, as_is, report[1]);
	(void)close(report[1]);
	runs = process > 0 ? wait_for_program(process, report[0], failure)
			   : fail_errno(failure, STATUS_OTHER, "making the process");
	(void)close(report[0]);
	return runs ? process : -1;
}

pid_t direct_start(char *const words[], char *const environment[], const struct conf *conf,
		   const struct direct_streams *streams, struct failure *failure)
{
	struct settings settings;
	struct draft draft;
	pid_t process = -1;

	if (!make_document(&draft, words, environment, conf, failure))
		return -1;
	if (settings_read((struct urunc_records){ draft.bytes, draft.bytes + draft.length }, &settings, failure))
		process = start(&settings, streams, streams->inherited && !conf->has_process, failure);
	settings_free(&settings);
	(void)munmap(draft.bytes, draft.length);
	return process;
}
