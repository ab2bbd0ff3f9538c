#include "query.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static bool answer_query(const char *verb, const char *argument, struct answer *answer, struct failure *failure)
{
	if (!strcmp(verb, "ps")) {
		int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		return proc >= 0 ? query_ps(proc, answer, failure) : fail_errno(failure, STATUS_OTHER, "opening /proc");
	}
	if (!strcmp(verb, "stats"))
		return query_stats(answer);
	if (!strcmp(verb, "update"))
		return query_update(argument, answer, failure);
	return fail(failure, STATUS_OTHER, "the guest does not know the query %.64s", verb);
}

int query_run(const char *verb, const char *argument)
{
	static struct answer answer = { .fd = STDOUT_FILENO };
	struct failure failure;

	if (answer_query(verb, argument, &answer, &failure))
		return answer_flush(&answer) ? 0 : 1;
	(void)!write(STDERR_FILENO, failure.sentence, strlen(failure.sentence));
	return 1;
}
