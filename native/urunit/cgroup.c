#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define HIERARCHY CGROUP_HIERARCHY
#define GROUP CGROUP_GROUP
#define CGROUP_NAME_MAX 64u

static bool put(const char *path, const char *text)
{
	int file = open(path, O_WRONLY | O_CLOEXEC);
	bool done = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text);
	int saved = errno;

	if (file >= 0)
		(void)close(file);
	errno = saved;
	return done;
}

static bool get(const char *path, char *text, size_t size)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = file < 0 ? -1 : read(file, text, size - 1);

	if (file >= 0)
		(void)close(file);
	text[length < 0 ? 0 : length] = 0;
	return length >= 0;
}

/* The kernel's list, "cpuset cpu io …", as what switches them on, "+cpuset +cpu +io …". */
static void switch_on(const char *list, char *switches, size_t size)
{
	char *at = switches;
	char *end = switches + size - 2;

	while (*list && at < end) {
		if ((at == switches || at[-1] == ' ') && *list != ' ' && *list != '\n')
			*at++ = '+';
		*at++ = *list++;
	}
	*at = 0;
}

bool cgroup_make(struct failure *failure)
{
	char controllers[256];
	char switches[512];

	if (mount("cgroup2", HIERARCHY, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return fail_errno(failure, STATUS_OTHER, "mounting cgroup2");
	if (!get(HIERARCHY "/cgroup.controllers", controllers, sizeof(controllers)))
		return fail_errno(failure, STATUS_OTHER, "reading the list of controllers");
	switch_on(controllers, switches, sizeof(switches));
	if (!put(HIERARCHY "/cgroup.subtree_control", switches) || mkdir(GROUP, 0755) < 0)
		return fail_errno(failure, STATUS_OTHER, "making the container's control group");
	return true;
}

bool cgroup_file_allowed(const char *name)
{
	static const char *const controllers[] = { "cpu.", "cpuset.", "io.", "memory.", "pids." };
	size_t i;

	if (strchr(name, '/') || strlen(name) > CGROUP_NAME_MAX)
		return false;
	for (i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++)
		if (!strncmp(name, controllers[i], strlen(controllers[i])))
			return true;
	return false;
}

static const char *path_of(const char *name, char path[sizeof(GROUP) + 1 + CGROUP_NAME_MAX])
{
	(void)snprintf(path, sizeof(GROUP) + 1 + CGROUP_NAME_MAX, GROUP "/%s", name);
	return path;
}

bool cgroup_read(const char *name, char *text, size_t size)
{
	char path[sizeof(GROUP) + 1 + CGROUP_NAME_MAX];
	size_t length;

	if (!get(path_of(name, path), text, size))
		return false;
	length = strlen(text);
	if (length > 0 && text[length - 1] == '\n')
		text[length - 1] = 0;
	return true;
}

bool cgroup_write(const char *name, const char *text)
{
	char path[sizeof(GROUP) + 1 + CGROUP_NAME_MAX];

	return put(path_of(name, path), text);
}

bool cgroup_limit(struct urunc_records machine, struct failure *failure)
{
	struct urunc_record record;

	while (urunc_record_next(&machine, &record) == URUNC_RECORD_OK) {
		struct urunc_value value = urunc_value_of(&record);
		const char *name;
		const char *text;

		if (record.tag != URUNC_CGROUP)
			continue;
		name = urunc_value_string(&value);
		text = urunc_value_string(&value);
		if (!urunc_value_whole(&value) || !cgroup_file_allowed(name))
			return fail(failure, STATUS_OTHER, "the machine's document has a malformed limit");
		if (!cgroup_write(name, text))
			return fail_errno(failure, STATUS_OTHER, "setting %.64s to %.64s", name, text);
	}
	return true;
}

bool cgroup_enter(struct failure *failure)
{
	return put(GROUP "/cgroup.procs", "0") ||
	       fail_errno(failure, STATUS_OTHER, "entering the container's control group");
}

bool cgroup_confine(struct failure *failure)
{
	return unshare(CLONE_NEWCGROUP) == 0 ||
	       fail_errno(failure, STATUS_OTHER, "making the container's control group the root");
}

bool cgroup_lacked_memory(void)
{
	char events[512];
	const char *line;

	if (!get(GROUP "/memory.events", events, sizeof(events)))
		return false;
	line = strstr(events, "oom_kill ");
	return line && strtoul(line + strlen("oom_kill "), NULL, 10) > 0;
}
