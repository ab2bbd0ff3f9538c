#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAPABILITY_MOST 63

void confine_start(void)
{
	struct rlimit none = { 0, 0 };

	/* A standard stream that is missing would be taken by the next file that is opened. */
	for (int i = 0; i <= 2; i++)
		if (fcntl(i, F_GETFD) < 0)
			(void)!open("/dev/null", O_RDWR);
	syscall(SYS_close_range, 3u, ~0u, 0);
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

void confine_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3, .pid = 0 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];

	memset(none, 0, sizeof none);
	/* Fails without CAP_SETPCAP; then no program that we could run is able to use them, by PR_SET_NO_NEW_PRIVS. */
	for (unsigned long capability = 0; capability <= CAPABILITY_MOST; capability++)
		prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	syscall(SYS_capset, &header, none);
}

#if defined(__x86_64__)

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define DENY BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
/* Skips the next instruction unless the value is this one. */
#define IF(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, 1)
#define ALLOW_CALL(name) IF(SYS_##name), ALLOW

/* Allows a call, or does not: exit is allowed anyhow. */
#define ALLOW_CALL_IF(condition, name) IF((condition) ? SYS_##name : SYS_exit), ALLOW

/*
 * Nothing here opens, makes or runs anything but what is to be done still, and maps nothing but fresh memory. What is
 * denied fails with EPERM and does not end the process: it would be a mistake of ours, and the container need not pay
 * for it.
 */
static void filter_calls(unsigned int more)
{
	bool serves = more & CONFINE_SERVES, resolves = more & CONFINE_RESOLVES;
	struct sock_filter program[] = {
		LOAD(arch),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		DENY,
		LOAD(nr),
		ALLOW_CALL(poll),
		ALLOW_CALL(read),
		ALLOW_CALL(write),
		ALLOW_CALL(sendto),
		ALLOW_CALL(recvfrom),
		ALLOW_CALL(clock_gettime),
		ALLOW_CALL(pread64),
		ALLOW_CALL(pwrite64),
		ALLOW_CALL(ftruncate),
		ALLOW_CALL(close),
		ALLOW_CALL(munmap),
		ALLOW_CALL(kill),
		ALLOW_CALL(wait4),
		ALLOW_CALL(getpid),
		ALLOW_CALL(getrandom),
		ALLOW_CALL(restart_syscall),
		ALLOW_CALL(exit),
		ALLOW_CALL(exit_group),
		ALLOW_CALL_IF(resolves, connect),
		ALLOW_CALL_IF(serves, listen),
		ALLOW_CALL_IF(serves, accept4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, resolves ? SYS_socket : SYS_exit, 0, 6),
		LOAD(args[0]),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 3),
		LOAD(args[1]),
		IF(SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK),
		ALLOW,
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, serves ? SYS_mmap : SYS_exit, 0, 5),
		LOAD(args[2]),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROT_READ | PROT_WRITE, 0, 3),
		LOAD(args[3]),
		IF(MAP_PRIVATE | MAP_ANONYMOUS),
		ALLOW,
		LOAD(nr),
		/* Of the terminal its size and its mode; nothing that types on it. */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 1, 0),
		DENY,
		LOAD(args[1]),
		IF(0x5401), /* TCGETS */
		ALLOW,
		IF(0x5402), /* TCSETS */
		ALLOW,
		IF(0x5413), /* TIOCGWINSZ */
		ALLOW,
		DENY,
	};
	struct sock_fprog filter = { .len = sizeof program / sizeof program[0], .filter = program };

	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);
}

#else

static void filter_calls(unsigned int more)
{
	(void)more;
}

#endif

void confine_rest(unsigned int more)
{
	confine_capabilities();
	filter_calls(more);
}
