#include "query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"

#define CHANGES_MAX 8u
#define TEXT_MAX 128u

struct change {
	char name[TEXT_MAX];
	char value[TEXT_MAX];
	char before[TEXT_MAX];
};

static bool take_part(const char **at, const char *end, char *part)
{
	size_t length = (size_t)(end - *at);

	if (length == 0 || length >= TEXT_MAX)
		return false;
	memcpy(part, *at, length);
	part[length] = 0;
	*at = end + 1;
	return true;
}

/* One line "FILE VALUE". */
static bool take_change(const char **at, struct change *change)
{
	const char *blank = strchr(*at, ' ');
	const char *newline = strchr(*at, '\n');

	return blank && newline && blank < newline && take_part(at, blank, change->name) &&
	       take_part(at, newline, change->value) && cgroup_file_allowed(change->name);
}

/* A limit below what is used would have the kernel kill for it: what can be reclaimed goes first. */
static bool make_room(const struct change *change, struct failure *failure)
{
	unsigned long long limit = strtoull(change->value, NULL, 10);
	unsigned long long used = 0;
	char text[TEXT_MAX];
	unsigned attempt;

	if (strcmp(change->name, "memory.max") || !strcmp(change->value, "max"))
		return true;
	for (attempt = 0; attempt < 4; attempt++) {
		if (!cgroup_read("memory.current", text, sizeof(text)))
			return fail_errno(failure, STATUS_OTHER, "reading memory.current");
		used = strtoull(text, NULL, 10);
		if (used <= limit)
			return true;
		(void)snprintf(text, sizeof(text), "%llu", used - limit);
		(void)cgroup_write("memory.reclaim", text);
	}
	return fail(failure, STATUS_OTHER, "unable to set memory limit to %s (current usage: %llu)", change->value, used);
}

static bool apply(struct change *change, struct failure *failure)
{
	if (!cgroup_read(change->name, change->before, sizeof(change->before)))
		return fail_errno(failure, STATUS_OTHER, "reading %s", change->name);
	return make_room(change, failure) &&
	       (cgroup_write(change->name, change->value) ||
		fail_errno(failure, STATUS_OTHER, "setting %s to %s", change->name, change->value));
}

bool query_update(const char *changes, struct answer *answer, struct failure *failure)
{
	static struct change list[CHANGES_MAX];
	size_t count = 0;
	size_t done;

	for (; *changes; count++)
		if (count == CHANGES_MAX || !take_change(&changes, &list[count]))
			return fail(failure, STATUS_OTHER, "the limits to change are malformed");
	for (done = 0; done < count; done++) {
		if (apply(&list[done], failure))
			continue;
		while (done-- > 0)
			(void)cgroup_write(list[done].name, list[done].before);
		return false;
	}
	for (done = 0; done < count; done++)
		answer_format(answer, "%s %s\n", list[done].name, list[done].before);
	return true;
}
