/* The stand-in's system call filter, each time in a process of its own. */
#include <netinet/in.h>
#include <sys/wait.h>

#include "../standin/confine.c"
#include "check.h"

static int refused(long result)
{
	return result < 0 && errno == EPERM;
}

static long map(int protection, int flags, int fd)
{
	return syscall(SYS_mmap, NULL, 4096, protection, flags, fd, 0);
}

static long open_socket(int family, int type)
{
	return syscall(SYS_socket, family, type, 0);
}

/* One bit for each of these that is refused. */
static int attempt(unsigned int more)
{
	static const struct sockaddr_in address = { .sin_family = AF_INET };
	int tcp = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, own = MAP_PRIVATE | MAP_ANONYMOUS;

	filter_calls(more);
	return refused(map(PROT_READ | PROT_WRITE, own, -1)) << 0 |
	       refused(map(PROT_READ | PROT_WRITE | PROT_EXEC, own, -1)) << 1 |
	       refused(map(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1)) << 2 |
	       refused(open_socket(AF_INET, tcp)) << 3 | refused(open_socket(AF_INET6, tcp)) << 4 |
	       refused(open_socket(AF_UNIX, tcp)) << 5 | refused(open_socket(AF_INET, SOCK_DGRAM)) << 6 |
	       refused(syscall(SYS_connect, -1, &address, sizeof address)) << 7;
}

static int refusals(unsigned int more)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		/* The sanitizers' own _exit does more than the filter lets it. */
		syscall(SYS_exit_group, attempt(more));
	}
	CHECK_EQUAL(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

int main(void)
{
	CHECK_EQUAL(refusals(0), 0xff);
	CHECK_EQUAL(refusals(CONFINE_SERVES), 0xfe);
	CHECK_EQUAL(refusals(CONFINE_RESOLVES), 0x67);
	CHECK_EQUAL(refusals(CONFINE_RESOLVES | CONFINE_SERVES), 0x66);
	return 0;
}
