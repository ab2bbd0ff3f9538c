#include "redirect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgroup.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/*
 * Programs of the control group's hooks on socket addresses (BPF_PROG_TYPE_CGROUP_SOCK_ADDR): unlike a packet filter's
 * translation they cost nothing for any other connection, and take no part in what the application does with its own.
 */
#define INSTRUCTIONS_MAX 64u

struct program {
	struct bpf_insn instructions[INSTRUCTIONS_MAX];
	unsigned count;
	unsigned exits[INSTRUCTIONS_MAX]; /* jumps to the end */
	unsigned exit_count;
};

enum { ACCUMULATOR = BPF_REG_0, CONTEXT = BPF_REG_6, SCRATCH = BPF_REG_2 };

static void emit(struct program *program, uint8_t code, unsigned to, unsigned from, int16_t offset, int32_t immediate)
{
	program->instructions[program->count++] =
		(struct bpf_insn){ .code = code, .dst_reg = to & 0xfu, .src_reg = from & 0xfu, .off = offset, .imm = immediate };
}

static void emit_load(struct program *program, size_t field)
{
	emit(program, BPF_LDX | BPF_MEM | BPF_W, SCRATCH, CONTEXT, (int16_t)field, 0);
}

/* To the end unless what was loaded is `value`, as it lies in memory. */
static void emit_require(struct program *program, uint32_t value)
{
	program->exits[program->exit_count++] = program->count;
	emit(program, BPF_JMP32 | BPF_JNE | BPF_K, SCRATCH, 0, 0, (int32_t)value);
}

/* The address's words and where they lie; how many there are. An IPv4 address may be mapped (RFC 4291, 2.5.5.2). */
static unsigned address_words(const union urunc_resolver *resolver, bool ip6, uint32_t words[4], size_t fields[4])
{
	unsigned i;

	if (!ip6) {
		words[0] = resolver->ip4.sin_addr.s_addr;
		fields[0] = offsetof(struct bpf_sock_addr, user_ip4);
		return resolver->any.sa_family == AF_INET ? 1 : 0;
	}
	if (resolver->any.sa_family == AF_INET) {
		words[0] = words[1] = 0;
		words[2] = htonl(0xffff);
		words[3] = resolver->ip4.sin_addr.s_addr;
	} else {
		memcpy(words, &resolver->ip6.sin6_addr, 16);
	}
	for (i = 0; i < 4; i++)
		fields[i] = offsetof(struct bpf_sock_addr, user_ip6) + 4 * i;
	return 4;
}

static uint32_t port_of(const union urunc_resolver *address)
{
	return address->any.sa_family == AF_INET ? address->ip4.sin_port : address->ip6.sin6_port;
}

/* What comes, as it lies in memory, is what is stored. */
static void emit_store(struct program *program, size_t field, uint32_t value)
{
	emit(program, BPF_ALU | BPF_MOV | BPF_K, SCRATCH, 0, 0, (int32_t)value);
	emit(program, BPF_STX | BPF_MEM | BPF_W, CONTEXT, SCRATCH, (int16_t)field, 0);
}

/* For the one address: it becomes the other. Several programs of one hook are run one after another. */
static bool make_program(struct program *program, const union urunc_resolver *from, const union urunc_resolver *to, bool ip6,
			 uint64_t network)
{
	uint32_t words[4], others[4];
	size_t fields[4];
	unsigned count = address_words(from, ip6, words, fields);
	unsigned i;

	*program = (struct program){ 0 };
	if (count == 0 || address_words(to, ip6, others, fields) != count)
		return false;
	emit(program, BPF_ALU64 | BPF_MOV | BPF_X, CONTEXT, BPF_REG_1, 0, 0);
	emit_load(program, offsetof(struct bpf_sock_addr, user_port));
	emit_require(program, port_of(from));
	for (i = 0; i < count; i++) {
		emit_load(program, fields[i]);
		emit_require(program, words[i]);
	}
	/* A network namespace that was made in the guest has a loopback, and maybe resolvers, of its own. */
	emit(program, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, CONTEXT, 0, 0);
	emit(program, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_netns_cookie);
	emit(program, BPF_LD | BPF_IMM | BPF_DW, SCRATCH, 0, 0, (int32_t)(uint32_t)network);
	emit(program, 0, 0, 0, 0, (int32_t)(uint32_t)(network >> 32));
	program->exits[program->exit_count++] = program->count;
	emit(program, BPF_JMP | BPF_JNE | BPF_X, ACCUMULATOR, SCRATCH, 0, 0);
	if (port_of(to) != port_of(from))
		emit_store(program, offsetof(struct bpf_sock_addr, user_port), port_of(to));
	for (i = 0; i < count; i++)
		if (others[i] != words[i])
			emit_store(program, fields[i], others[i]);
	for (i = 0; i < program->exit_count; i++) {
		unsigned at = program->exits[i];

		program->instructions[at].off = (int16_t)(program->count - at - 1);
	}
	emit(program, BPF_ALU64 | BPF_MOV | BPF_K, ACCUMULATOR, 0, 0, 1);
	emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	return true;
}

static long bpf(int command, union bpf_attr *attributes)
{
	return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

/* Loads the program and gives it to a hook of the control group, which keeps it. */
static bool attach(const struct program *program, uint32_t hook, int group)
{
	union bpf_attr load, give;
	bool done;
	int file;

	memset(&load, 0, sizeof(load));
	load.prog_type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
	load.expected_attach_type = hook;
	load.insns = (uint64_t)(uintptr_t)program->instructions;
	load.insn_cnt = program->count;
	load.license = (uint64_t)(uintptr_t) "Apache-2.0";
	file = (int)bpf(BPF_PROG_LOAD, &load);
	if (file < 0)
		return false;
	memset(&give, 0, sizeof(give));
	give.target_fd = (uint32_t)group;
	give.attach_bpf_fd = (uint32_t)file;
	give.attach_type = hook;
	/* So that control groups below may have programs of their own. */
	give.attach_flags = BPF_F_ALLOW_MULTI;
	done = bpf(BPF_PROG_ATTACH, &give) == 0;
	(void)close(file);
	return done;
}

static bool attach_all(const union urunc_resolver *from, const union urunc_resolver *to, uint64_t network, int group)
{
	static const struct {
		uint32_t hook;
		bool ip6;
		bool answers;
	} hooks[] = {
		{ BPF_CGROUP_INET4_CONNECT, false, false },
		{ BPF_CGROUP_INET6_CONNECT, true, false },
		{ BPF_CGROUP_UDP4_SENDMSG, false, false },
		{ BPF_CGROUP_UDP6_SENDMSG, true, false },
		{ BPF_CGROUP_UDP4_RECVMSG, false, true },
		{ BPF_CGROUP_UDP6_RECVMSG, true, true },
		{ BPF_CGROUP_INET4_GETPEERNAME, false, true },
		{ BPF_CGROUP_INET6_GETPEERNAME, true, true },
	};
	static struct program program;
	unsigned i;

	for (i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++)
		if (make_program(&program, hooks[i].answers ? to : from, hooks[i].answers ? from : to, hooks[i].ip6,
				 network) &&
		    !attach(&program, hooks[i].hook, group))
			return false;
	return true;
}

static bool read_cookie(uint64_t *cookie)
{
	socklen_t size = sizeof(*cookie);
	int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool done = probe >= 0 && getsockopt(probe, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &size) == 0;

	if (probe >= 0)
		(void)close(probe);
	return done;
}

bool redirect_address(const union urunc_resolver *from, const union urunc_resolver *to, struct failure *failure)
{
	uint64_t network = 0;
	int group = open(CGROUP_HIERARCHY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool done = group >= 0 && read_cookie(&network) && attach_all(from, to, network, group);
	int saved = errno;

	if (group >= 0)
		(void)close(group);
	errno = saved;
	return done || fail_errno(failure, STATUS_OTHER, "redirecting connections (CONFIG_CGROUP_BPF)");
}

bool redirect_port(const union urunc_resolver *resolvers, unsigned count, uint16_t from, uint16_t to,
		   struct failure *failure)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		union urunc_resolver asked = resolvers[i], answering = resolvers[i];

		urunc_resolver_set_port(&asked, from);
		urunc_resolver_set_port(&answering, to);
		if (!redirect_address(&asked, &answering, failure))
			return false;
	}
	return true;
}
