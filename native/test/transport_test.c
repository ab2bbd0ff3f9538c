/* Which of the machine's ports is the agent's. */
#include <fcntl.h>
#include <unistd.h>

#define TRANSPORT_PORTS "ports"
#define TRANSPORT_DEVICES "devices"
#include "../urunit/transport.c"
#include "scratch.h"

static void write_file(const char *path, const char *text)
{
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(file >= 0);
	CHECK_EQUAL(write(file, text, strlen(text)), strlen(text));
	close(file);
}

static void add_port(const char *port, const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "ports/%s", port);
	CHECK_EQUAL(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "ports/%s/name", port);
	write_file(path, name);
	snprintf(path, sizeof path, "devices/%s", port);
	write_file(path, port);
}

int main(void)
{
	char content[16] = { 0 };
	bool ends = true;
	int fd;

	make_scratch();
	CHECK_EQUAL(chdir(directory), 0);
	CHECK(open_port() < 0);
	CHECK_EQUAL(mkdir("ports", 0700), 0);
	CHECK_EQUAL(mkdir("devices", 0700), 0);
	add_port("vport0p1", "org.example.0\n");
	add_port("vport0p2", "urunc.agent.01\n");
	add_port("vport0p3", "urunc.agent.0");
	add_port("vport0p4", "");
	CHECK(open_port() < 0);
	add_port("vport0p5", "urunc.agent.0\n");
	fd = transport_open(&ends);
	CHECK(fd >= 0);
	CHECK(!ends);
	CHECK_EQUAL(read(fd, content, sizeof content - 1), 8);
	CHECK_STRING(content, "vport0p5");
	close(fd);
	CHECK_EQUAL(chdir("/"), 0);
	remove_scratch();
	return 0;
}
