/* The launch document. */
#include <arpa/inet.h>

#include "../standin/launch.c"
#include "frame.h"
#include "scratch.h"

static uint8_t launch_bytes[4096];
static size_t launch_length;
static struct launch launch;

static void add(uint16_t tag, const void *value, uint32_t length)
{
	uint8_t *at = launch_bytes + launch_length;

	urunc_put16(at, tag);
	urunc_put16(at + 2, 0);
	urunc_put32(at + 4, length);
	memcpy(at + 8, value, length);
	launch_length += 8 + length;
}

static void add_launch(void)
{
	static const uint8_t timeout[4] = { 0x10, 0x27 };

	launch_length = 0;
	add(URUNC_MONITOR_ARG, "/bin/monitor", 13);
	add(URUNC_MONITOR_ARG, "", 1);
	add(URUNC_MONITOR_ARG, "-x", 3);
	add(URUNC_MACHINE, "machine", 7);
	add(URUNC_PROCESS, "process", 7);
	add(URUNC_BOOT_TIMEOUT, timeout, 4);
}

static const char *parse(void)
{
	memset(&launch, 0, sizeof launch);
	launch.bytes = launch_bytes;
	launch.length = launch_length;
	return launch_parse(&launch);
}

#define REJECTED "the launch document has a record that is unknown, repeated or malformed"

static void test_launch(void)
{
	add_launch();
	CHECK(!parse());
	CHECK_STRING(launch.arguments[0], "/bin/monitor");
	CHECK_STRING(launch.arguments[1], "");
	CHECK_STRING(launch.arguments[2], "-x");
	CHECK(!launch.arguments[3] && !launch.terminal && !launch.agent_socket);
	CHECK_EQUAL(launch.boot_timeout, 10000);
	CHECK(launch.machine_length == 7 && memcmp(launch.machine, "machine", 7) == 0);
	add(URUNC_LAUNCH_TERMINAL, "", 0);
	add(URUNC_AGENT_SOCKET, "/run/agent", 11);
	CHECK(!parse());
	CHECK(launch.terminal && launch.memory_limit == 0);
	CHECK_STRING(launch.agent_socket, "/run/agent");
	CHECK(!launch.console_on_stdio);
	add(URUNC_CONSOLE_ON_STDIO, "", 0);
	CHECK(!parse());
	CHECK(launch.console_on_stdio);
	add(URUNC_MEMORY_LIMIT, "\0\0\0\0\1\0\0\0", 8);
	CHECK(!parse());
	CHECK(launch.memory_limit == UINT64_C(1) << 32);
	CHECK(!launch.server[0]);
	add(URUNC_FILE_SERVER, "/bin/server", 12);
	add(URUNC_FILE_SERVER, "-y", 3);
	CHECK(!parse());
	CHECK_STRING(launch.server[0], "/bin/server");
	CHECK_STRING(launch.server[1], "-y");
	CHECK(!launch.server[2] && !launch.arguments[3]);
	CHECK(launch.device_count == 0);
	add(URUNC_LAUNCH_EXCLUSIVE, "/dev/disk-root", 15);
	CHECK(!parse() && launch.device_count == 1);
	CHECK_STRING(launch.devices[0], "/dev/disk-root");
	for (size_t cut = 1; cut < launch_length; cut++) {
		memset(&launch, 0, sizeof launch);
		launch.bytes = launch_bytes + launch_length - cut;
		launch.length = cut;
		launch_parse(&launch);
	}
	launch_length--;
	CHECK_STRING(parse(), "the launch document is malformed");
}

static void test_bad_launch(void)
{
	static const struct {
		uint16_t tag;
		const char *value;
		uint32_t length;
	} records[] = {
		{ 0x0300, "", 0 }, { URUNC_ARG, "x", 2 }, { URUNC_MACHINE, "again", 5 }, { URUNC_PROCESS, "", 0 },
		{ URUNC_BOOT_TIMEOUT, "\1\0\0\0", 4 }, { URUNC_LAUNCH_TERMINAL, "x", 1 }, { URUNC_AGENT_SOCKET, "relative", 9 },
		{ URUNC_MEMORY_LIMIT, "\0\0\0\0\0\0\0\0", 8 }, { URUNC_MEMORY_LIMIT, "\1\0\0\0", 4 },
		{ URUNC_AGENT_SOCKET, "/no-nul", 7 }, { URUNC_CONSOLE_ON_STDIO, "x", 1 }, { URUNC_MONITOR_ARG, "a\0b", 4 }, { URUNC_MONITOR_ARG, "", 0 },
		{ URUNC_FILE_SERVER, "relative", 9 }, { URUNC_FILE_SERVER, "/no-nul", 7 }, { URUNC_FILE_SERVER, "", 1 },
		{ URUNC_LAUNCH_EXCLUSIVE, "relative", 9 }, { URUNC_LAUNCH_EXCLUSIVE, "/no-nul", 7 },
	};
	static char path[110];

	for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
		add_launch();
		add(records[i].tag, records[i].value, records[i].length);
		CHECK_STRING(parse(), REJECTED);
	}
	add_launch();
	for (size_t i = 0; i < LAUNCH_SERVER_ARGUMENTS; i++)
		add(URUNC_FILE_SERVER, "/", 2);
	CHECK(!parse());
	add(URUNC_FILE_SERVER, "/", 2);
	CHECK_STRING(parse(), REJECTED);
	add_launch();
	for (size_t i = 0; i < LAUNCH_DEVICES; i++)
		add(URUNC_LAUNCH_EXCLUSIVE, "/", 2);
	CHECK(!parse());
	add(URUNC_LAUNCH_EXCLUSIVE, "/", 2);
	CHECK_STRING(parse(), REJECTED);
	add_launch();
	memset(path, '/', sizeof path - 1);
	add(URUNC_AGENT_SOCKET, path, sizeof path);
	CHECK_STRING(parse(), REJECTED);
	add_launch();
	add(URUNC_CONSOLE_ON_STDIO, "", 0);
	add(URUNC_CONSOLE_ON_STDIO, "", 0);
	CHECK_STRING(parse(), REJECTED);
	launch_length = 0;
	CHECK_STRING(parse(), "the launch document is incomplete");
	add(URUNC_MONITOR_ARG, "relative", 9);
	CHECK_STRING(parse(), REJECTED);
	launch_length = 0;
	add(URUNC_MACHINE, "", 0);
	add(URUNC_PROCESS, "", 0);
	add(URUNC_BOOT_TIMEOUT, "\0\0\0\0", 4);
	CHECK_STRING(parse(), REJECTED);
	add_launch();
	add(URUNC_LAUNCH_TERMINAL, "", 0);
	add(URUNC_LAUNCH_TERMINAL, "", 0);
	CHECK_STRING(parse(), REJECTED);
}

static const char *parse_added(void)
{
	memset(&launch, 0, sizeof launch);
	launch.bytes = launch_bytes;
	launch.length = launch_length;
	return launch_parse_added(&launch);
}

static void test_added_launch(void)
{
	launch_length = 0;
	add(URUNC_PROCESS, "process", 7);
	CHECK(!parse_added());
	CHECK(!launch.terminal && !launch.attached);
	add(URUNC_LAUNCH_ATTACHED, "", 0);
	add(URUNC_LAUNCH_TERMINAL, "", 0);
	CHECK(!parse_added());
	CHECK(launch.terminal && launch.attached && launch.process_length == 7);
	add(URUNC_LAUNCH_ATTACHED, "", 0);
	CHECK_STRING(parse_added(), REJECTED);
	launch_length = 0;
	add(URUNC_PROCESS, "process", 7);
	add(URUNC_LAUNCH_ATTACHED, "x", 1);
	CHECK_STRING(parse_added(), REJECTED);
	launch_length = 0;
	add(URUNC_PROCESS, "process", 7);
	add(URUNC_MACHINE, "machine", 7);
	CHECK_STRING(parse_added(), REJECTED);
	add_launch();
	add(URUNC_LAUNCH_ATTACHED, "", 0);
	CHECK(!parse());
	CHECK(launch.attached);
}

static void test_launch_resolvers(void)
{
	static const char docker[20] = { 4, 0, 0, 0, 127, 0, 0, 11 }, own[20] = { 6, [19] = 1 };
	static const char outside[20] = { 4, 0, 0, 0, 8, 8, 8, 8 }, no_family[20] = { 5, 0, 0, 0, 127 };
	const char *const bad[] = { outside, no_family, docker + 1 };

	add_launch();
	add(URUNC_LAUNCH_RESOLVER, docker, sizeof docker);
	add(URUNC_LAUNCH_RESOLVER, own, sizeof own);
	CHECK(!parse());
	CHECK_EQUAL(launch.resolver_count, 2);
	CHECK_EQUAL(ntohl(launch.resolvers[0].ip4.sin_addr.s_addr), 0x7f00000b);
	CHECK_EQUAL(ntohs(launch.resolvers[0].ip4.sin_port), 53);
	CHECK_EQUAL(ntohs(launch.resolvers[1].ip6.sin6_port), 53);
	add(URUNC_LAUNCH_RESOLVER, docker, sizeof docker);
	CHECK(!parse());
	add(URUNC_LAUNCH_RESOLVER, docker, sizeof docker);
	CHECK_STRING(parse(), REJECTED);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		add_launch();
		add(URUNC_LAUNCH_RESOLVER, bad[i], bad[i] == docker + 1 ? 19 : 20);
		CHECK_STRING(parse(), REJECTED);
	}
}

static void test_launch_file(void)
{
	int file = open(path_in("launch"), O_WRONLY | O_CREAT, 0600);

	add_launch();
	CHECK_EQUAL(write(file, launch_bytes, launch_length), launch_length);
	close(file);
	memset(&launch, 0, sizeof launch);
	CHECK(!launch_read(&launch, path_in("launch")));
	CHECK(access(path_in("launch"), F_OK) != 0);
	CHECK_STRING(launch.arguments[0], "/bin/monitor");
	launch_forget(&launch);
	CHECK(!launch.bytes && !launch.machine);
	CHECK_STRING(launch_read(&launch, path_in("launch")),
		     "there is no launch document: the container was not started by urunc");
	file = open(path_in("launch"), O_WRONLY | O_CREAT, 0600);
	CHECK_STRING(launch_read(&launch, path_in("launch")), "the launch document is empty or too large");
	CHECK_EQUAL(ftruncate(file, LAUNCH_MOST + 1), 0);
	CHECK_STRING(launch_read(&launch, path_in("launch")), "the launch document is empty or too large");
	close(file);
	CHECK_EQUAL(unlink(path_in("launch")), 0);
	CHECK_EQUAL(symlink("/etc/passwd", path_in("launch")), 0);
	CHECK_STRING(launch_read(&launch, path_in("launch")),
		     "there is no launch document: the container was not started by urunc");
	CHECK_EQUAL(unlink(path_in("launch")), 0);
	CHECK_STRING(launch_read(&launch, directory), "the launch document is not a file");
}

int main(void)
{
	make_scratch();
	test_launch();
	test_bad_launch();
	test_added_launch();
	test_launch_resolvers();
	test_launch_file();
	remove_scratch();
	return 0;
}
