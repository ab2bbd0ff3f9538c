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

#define HIERARCHY "/sys/fs/cgroup"
#define GROUP HIERARCHY "/container"

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
