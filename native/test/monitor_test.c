/* How the monitor is started: which descriptors it has, and the one connection that it may make for its guest. */
#include <poll.h>
#include <sys/stat.h>

#include "../standin/child.c"
#include "../standin/confine.c"
#include "../standin/epitaph.c"
#include "../standin/listener.c"
#include "../standin/log.c"
#include "../standin/monitor.c"
#include "../standin/sentence.c"
#include "scratch.h"

static struct monitor monitor;

/* A shell script is the monitor. */
static void start(struct launch *launch, char *script)
{
	launch->arguments[0] = (char[]){ "/bin/sh" };
	launch->arguments[1] = (char[]){ "-c" };
	launch->arguments[2] = script;
	CHECK(monitor_start(&monitor, launch));
}

/* All until the other end is closed. */
static const char *read_all(int from)
{
	static char text[2][4096];
	static unsigned turn;
	char *bytes = text[turn++ % 2];
	size_t length = 0;

	for (;;) {
		struct pollfd slot = { from, POLLIN, 0 };
		ssize_t got;

		CHECK(poll(&slot, 1, 10000) == 1);
		got = read(from, bytes + length, sizeof text[0] - 1 - length);
		if (got <= 0)
			break;
		length += (size_t)got;
	}
	bytes[length] = '\0';
	return bytes;
}

static int end(void)
{
	int status = 0;

	CHECK_EQUAL(waitpid(monitor.process, &status, 0), monitor.process);
	monitor.process = 0;
	monitor_hang_up(&monitor);
	return status;
}

static int client_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, path);
	if (connect(client, (struct sockaddr *)&address, sizeof address) == 0)
		return client;
	close(client);
	return -1;
}

static bool is_closed(int client)
{
	char byte;

	return recv(client, &byte, 1, MSG_DONTWAIT) == 0;
}

#define OPEN "for n in 0 1 2 3 4 5 6 7 8; do if [ -e /proc/self/fd/$n ]; then printf %s $n; fi; done"

static void test_console_of_its_own(void)
{
	struct launch launch = { 0 };

	start(&launch, (char[]){ "echo out; echo err >&2; " OPEN " >&4" });
	CHECK_STRING(read_all(monitor.output), "out\nerr\n");
	CHECK_STRING(read_all(monitor.console), "01234");
	CHECK(monitor.agent >= 0 && monitor.listener < 0);
	CHECK_EQUAL(end(), 0);
}

static void test_console_on_stdio(void)
{
	struct launch launch = { .console_on_stdio = true };

	start(&launch, (char[]){ "echo monitor >&2; read line; echo kernel $line; " OPEN });
	CHECK_EQUAL(write(monitor.console, "typed\n", 6), 6);
	CHECK_STRING(read_all(monitor.output), "monitor\n");
	CHECK_STRING(read_all(monitor.console), "kernel typed\n0123");
	CHECK_EQUAL(end(), 0);
}

static void test_direct_console_on_stdio(void)
{
	struct launch launch = { .console_on_stdio = true, .direct = true };

	start(&launch, (char[]){ OPEN });
	CHECK_STRING(read_all(monitor.console), "012");
	CHECK(monitor.agent < 0 && monitor.commands < 0 && monitor.control < 0);
	CHECK_EQUAL(end(), 0);
}

/* Before the monitor runs there is a listener, for one connection. */
static void test_one_connection(void)
{
	struct launch launch = { .console_on_stdio = true, .agent_socket = path_in("agent_1024") };
	const char *path = launch.agent_socket;
	struct stat status;
	int clients[16];
	char byte = 0;

	CHECK_EQUAL(symlink("/elsewhere", path), 0);
	start(&launch, (char[]){ OPEN });
	CHECK_EQUAL(lstat(path, &status), 0);
	CHECK(S_ISSOCK(status.st_mode));
	CHECK_EQUAL(status.st_mode & 0777, 0600);
	CHECK_STRING(read_all(monitor.console), "012");
	CHECK(monitor.agent < 0);
	/* None yet. */
	monitor_accept(&monitor);
	CHECK(monitor.agent < 0 && monitor.listener >= 0);
	for (size_t i = 0; i < 16; i++)
		clients[i] = client_of(path);
	CHECK(clients[0] >= 0 && clients[15] < 0);
	monitor_accept(&monitor);
	CHECK(monitor.agent >= 0 && monitor.listener < 0);
	/* The first, and no other before or after. */
	CHECK_EQUAL(write(monitor.agent, "x", 1), 1);
	CHECK_EQUAL(read(clients[0], &byte, 1), 1);
	CHECK_EQUAL(byte, 'x');
	for (size_t i = 1; i < 16 && clients[i] >= 0; i++) {
		ssize_t got = recv(clients[i], &byte, 1, MSG_DONTWAIT);

		CHECK(got == 0 || (got < 0 && errno == ECONNRESET));
		close(clients[i]);
	}
	CHECK(client_of(path) < 0);
	CHECK_EQUAL(errno, ECONNREFUSED);
	close(clients[0]);
	CHECK_EQUAL(read(monitor.agent, &byte, 1), 0);
	CHECK_EQUAL(end(), 0);
}

static void test_given_up(void)
{
	struct launch launch = { .console_on_stdio = true, .agent_socket = path_in("agent_1024") };
	int client;

	start(&launch, (char[]){ ":" });
	client = client_of(launch.agent_socket);
	CHECK(client >= 0 && !is_closed(client));
	CHECK_EQUAL(end(), 0);
	CHECK(client_of(launch.agent_socket) < 0);
	close(client);
}

static void test_names_that_cannot_be(void)
{
	static char path[200];
	struct launch launch = { .agent_socket = path };

	memset(path, 'x', sizeof path - 1);
	CHECK(listener_bind(path) < 0);
	CHECK_EQUAL(errno, ENAMETOOLONG);
	CHECK(listener_bind(path_in("missing/agent")) < 0);
	CHECK_EQUAL(errno, ENOENT);
	CHECK(listener_bind(directory) < 0);
	CHECK(!monitor_start(&monitor, &launch));
	CHECK_EQUAL(monitor.process, 0);
}

static struct log log_of(const char *name, const char *text)
{
	struct log log;

	CHECK(log_open(&log, path_in(name)));
	log_append(&log, (const uint8_t *)text, strlen(text));
	return log;
}

#define SEE "see kernel.log in the container's state directory"

static void test_epitaphs(void)
{
	struct log own = log_of("own", "first\nown\n"), kernel = log_of("kernel", "kernel\n"), none = log_of("none", "");
	char sentence[EPITAPH_MOST];

	CHECK_EQUAL(epitaph_ended("it", 1 << 8, &own, &kernel, sentence), 255);
	CHECK_STRING(sentence, "it ended with status 1: own");
	CHECK_EQUAL(epitaph_ended("it", 0, &own, &kernel, sentence), 255);
	CHECK_STRING(sentence, "it ended with status 0: " SEE ", whose last line is: kernel");
	CHECK_EQUAL(epitaph_ended("it", 0, &own, &none, sentence), 255);
	CHECK_STRING(sentence, "it ended with status 0: own");
	CHECK_EQUAL(epitaph_ended("it", 9, &none, &none, sentence), 137);
	CHECK_STRING(sentence, "it was ended by signal 9: " SEE);
	epitaph_timeout(2000, true, sentence);
	CHECK_STRING(sentence, "the virtual machine did not start its process within 2 seconds: " SEE);
	epitaph_timeout(2500, false, sentence);
	CHECK_STRING(sentence, "the virtual machine did not connect its agent within 2500 milliseconds: " SEE);
	epitaph_closed(&none, sentence);
	CHECK_STRING(sentence, "the guest's channel was closed: " SEE);
	epitaph_closed(&kernel, sentence);
	CHECK_STRING(sentence, "the guest's channel was closed: " SEE ", whose last line is: kernel");
	epitaph_panicked("guest", "a\nb\033", sentence);
	CHECK_STRING(sentence, "the guest's kernel has panicked: a b");
}

int main(void)
{
	make_scratch();
	test_console_of_its_own();
	test_console_on_stdio();
	test_direct_console_on_stdio();
	test_one_connection();
	test_given_up();
	test_names_that_cannot_be();
	test_epitaphs();
	remove_scratch();
	return 0;
}
