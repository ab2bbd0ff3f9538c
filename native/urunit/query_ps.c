#include "query.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "lines.h"

#define ARGUMENTS_MAX 4096u

/* Of /proc/PID/status. Identifiers are those of the container's PID namespace; 0: of none of its. */
struct status {
	bool inside; /* it is in that namespace, or below */
	unsigned long pid;
	unsigned long group;
	unsigned long session;
	unsigned long parent; /* as the agent sees it */
	unsigned long users[2];
	unsigned long groups[2];
};

/* Of /proc/PID/stat. */
struct stat_line {
	char name[64];
	char state;
	long process_group;
	long terminal;
	long terminal_group;
	unsigned long long user_time;
	unsigned long long system_time;
	long priority;
	long nice;
	long threads;
	unsigned long long start;
	unsigned long long size;
	long resident;
	int processor;
};

/* The n-th number of a line, from 0. False: there are fewer, and the number stays. */
static bool number_of(const char *text, unsigned n, unsigned long *number)
{
	unsigned long last = 0;
	char *end = NULL;
	unsigned i;

	for (i = 0; i <= n; i++) {
		last = strtoul(text, &end, 10);
		if (end == text)
			return false;
		text = end;
	}
	*number = last;
	return true;
}

static const char *value_of(const char *line, const char *key)
{
	size_t length = strlen(key);

	return strncmp(line, key, length) || line[length] != ':' ? NULL : line + length + 1;
}

static void take_status_line(struct status *status, const char *line)
{
	const char *value;

	if ((value = value_of(line, "NSpid")))
		status->inside = number_of(value, 1, &status->pid);
	else if ((value = value_of(line, "NSpgid")))
		(void)number_of(value, 1, &status->group);
	else if ((value = value_of(line, "NSsid")))
		(void)number_of(value, 1, &status->session);
	else if ((value = value_of(line, "PPid")))
		(void)number_of(value, 0, &status->parent);
	else if ((value = value_of(line, "Uid")))
		(void)(number_of(value, 0, &status->users[0]) && number_of(value, 1, &status->users[1]));
	else if ((value = value_of(line, "Gid")))
		(void)(number_of(value, 0, &status->groups[0]) && number_of(value, 1, &status->groups[1]));
}

/* False: there is no such process any more. */
static bool read_status(int proc, const char *pid, struct status *status)
{
	char path[64];
	char line[128];
	struct lines lines;

	memset(status, 0, sizeof(*status));
	(void)snprintf(path, sizeof(path), "%.32s/status", pid);
	if (!lines_open(&lines, proc, path))
		return false;
	while (lines_next(&lines, line, sizeof(line)))
		take_status_line(status, line);
	lines_close(&lines);
	return true;
}

/* The name stands in parentheses and may hold any byte but NUL, parentheses and newlines too: the last one ends it. */
static bool parse_stat(char *text, struct stat_line *stat)
{
	char *open = strchr(text, '(');
	char *close = strrchr(text, ')');

	if (!open || !close || close < open)
		return false;
	*close = 0;
	(void)snprintf(stat->name, sizeof(stat->name), "%s", open + 1);
	return sscanf(close + 1,
		      " %c %*d %ld %*d %ld %ld %*u %*u %*u %*u %*u %llu %llu %*d %*d %ld %ld %ld %*d %llu %llu %ld"
		      " %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*d %d",
		      &stat->state, &stat->process_group, &stat->terminal, &stat->terminal_group, &stat->user_time,
		      &stat->system_time, &stat->priority, &stat->nice, &stat->threads, &stat->start, &stat->size,
		      &stat->resident, &stat->processor) == 13;
}

/* Bytes of a file of a process, at most `size`; what it cannot give is empty. */
static size_t read_file(int proc, const char *pid, const char *name, char *bytes, size_t size)
{
	char path[64];
	size_t length = 0;
	ssize_t got = 0;
	int file;

	(void)snprintf(path, sizeof(path), "%.32s/%.16s", pid, name);
	file = openat(proc, path, O_RDONLY | O_CLOEXEC);
	while (file >= 0 && length < size && (got = read(file, bytes + length, size - length)) > 0)
		length += (size_t)got;
	if (file >= 0)
		(void)close(file);
	return length;
}

static unsigned long parent_inside(int proc, const struct status *status)
{
	struct status parent;
	char pid[24];

	(void)snprintf(pid, sizeof(pid), "%lu", status->parent);
	return status->parent != 0 && read_status(proc, pid, &parent) ? parent.pid : 0;
}

static void put_place(int proc, const char *pid, struct answer *answer)
{
	char place[64];
	size_t length = read_file(proc, pid, "wchan", place, sizeof(place));

	if (length == 0 || place[0] == '0')
		answer_put(answer, "-", 1);
	else
		answer_escaped(answer, place, length);
}

static void put_process(int proc, const char *pid, struct answer *answer)
{
	static char arguments[ARGUMENTS_MAX];
	struct stat_line stat;
	struct status status;
	char text[1024];
	size_t length;

	if (!read_status(proc, pid, &status) || !status.inside)
		return;
	length = read_file(proc, pid, "stat", text, sizeof(text) - 1);
	text[length] = 0;
	if (!parse_stat(text, &stat))
		return;
	answer_format(answer, "%lu\t%lu\t%lu\t%lu\t%lu\t%lu\t%lu\t%lu\t", status.pid, parent_inside(proc, &status),
		      status.group, status.session, status.users[0], status.users[1], status.groups[0], status.groups[1]);
	answer_format(answer, "%ld\t%d\t%c\t%ld\t%ld\t%ld\t%llu\t%llu\t%llu\t%llu\t%lld\t%d\t", stat.terminal,
		      stat.terminal_group == stat.process_group, isalpha((unsigned char)stat.state) ? stat.state : '?',
		      stat.threads, stat.priority, stat.nice, stat.start, stat.user_time, stat.system_time, stat.size / 1024,
		      (long long)stat.resident * sysconf(_SC_PAGESIZE) / 1024, stat.processor);
	put_place(proc, pid, answer);
	answer_put(answer, "\t", 1);
	answer_escaped(answer, stat.name, strlen(stat.name));
	answer_put(answer, "\t", 1);
	answer_escaped(answer, arguments, read_file(proc, pid, "cmdline", arguments, sizeof(arguments)));
	answer_put(answer, "\n", 1);
}

static bool put_clock(int proc, struct answer *answer, struct failure *failure)
{
	char uptime[64];
	size_t length = read_file(proc, ".", "uptime", uptime, sizeof(uptime) - 1);
	struct sysinfo information;

	uptime[length] = 0;
	uptime[strspn(uptime, "0123456789.")] = 0;
	if (!uptime[0] || sysinfo(&information) < 0)
		return fail_errno(failure, STATUS_OTHER, "reading the clock");
	answer_format(answer, "clock %s %ld %lld %llu\n", uptime, sysconf(_SC_CLK_TCK), (long long)time(NULL),
		      (unsigned long long)information.totalram * information.mem_unit / 1024);
	return true;
}

bool query_ps(int proc, struct answer *answer, struct failure *failure)
{
	DIR *directory;
	struct dirent *entry;

	if (!put_clock(proc, answer, failure))
		return false;
	directory = fdopendir(proc);
	if (!directory)
		return fail_errno(failure, STATUS_OTHER, "reading /proc");
	while ((entry = readdir(directory)))
		if (isdigit((unsigned char)entry->d_name[0]))
			put_process(proc, entry->d_name, answer);
	(void)closedir(directory);
	return true;
}
