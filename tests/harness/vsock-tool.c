/*
 * Vsock from inside of a machine. `vsock-tool connect CID PORT COUNT` tries so many connections and prints how many were
 * taken and why the last was not; `vsock-tool echo PORT` takes one and gives back what comes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vsock-address.h"

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return 1;
}

static int connect_many(unsigned cid, unsigned port, int count)
{
	int taken = 0, reason = 0;

	/* Those that are taken stay open. */
	for (int i = 0; i < count; i++) {
		if (vsock_connect(cid, port) >= 0)
			taken++;
		else
			reason = errno;
	}
	printf("%d of %d: %s\n", taken, count, strerror(reason));
	return 0;
}

static int echo(unsigned port)
{
	struct vsock_address any = { .family = AF_VSOCK, .cid = VSOCK_ANY, .port = port };
	int listener = socket(AF_VSOCK, SOCK_STREAM, 0), fd;
	static char bytes[65536];
	ssize_t got;

	if (listener < 0 || bind(listener, (struct sockaddr *)&any, sizeof any) < 0 || listen(listener, 1) < 0)
		return fail("listen");
	puts("listens");
	fflush(stdout);
	fd = accept(listener, NULL, NULL);
	if (fd < 0)
		return fail("accept");
	while ((got = read(fd, bytes, sizeof bytes)) > 0)
		for (ssize_t put = 0, part; put < got; put += part) {
			part = write(fd, bytes + put, (size_t)(got - put));
			if (part < 0)
				return fail("write");
		}
	return got < 0 ? fail("read") : 0;
}

int main(int count, char *arguments[])
{
	if (count == 5 && strcmp(arguments[1], "connect") == 0)
		return connect_many((unsigned)atoi(arguments[2]), (unsigned)atoi(arguments[3]), atoi(arguments[4]));
	if (count == 3 && strcmp(arguments[1], "echo") == 0)
		return echo((unsigned)atoi(arguments[2]));
	fputs("usage: vsock-tool connect CID PORT COUNT | echo PORT\n", stderr);
	return 2;
}
