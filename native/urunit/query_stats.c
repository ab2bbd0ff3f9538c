#include "query.h"

#include <fcntl.h>

#include "cgroup.h"
#include "lines.h"

static void put_file(struct answer *answer, int directory, const char *name)
{
	struct lines lines;
	char line[512];

	if (directory < 0 || !lines_open(&lines, directory, name))
		return;
	while (lines_next(&lines, line, sizeof(line)))
		answer_format(answer, "%s %s\n", name, line);
	lines_close(&lines);
}

bool query_stats(struct answer *answer)
{
	static const char *const files[] = {
		"cpu.stat",	 "memory.current", "memory.peak", "memory.max", "memory.stat",		"memory.events",
		"pids.current", "pids.max",	    "io.stat",	   "cpuset.cpus.effective", "cpuset.mems.effective",
	};
	int group = open(CGROUP_GROUP, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		put_file(answer, group, files[i]);
	put_file(answer, proc, "net/dev");
	return true;
}
