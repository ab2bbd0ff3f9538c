#include "report.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "protocol.h"

static int listener = -1;

void report_open(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof address.sun_path)
		return;
	memcpy(address.sun_path, path, strlen(path) + 1);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener < 0)
		return;
	if (connect(listener, (struct sockaddr *)&address, sizeof address) < 0) {
		close(listener);
		listener = -1;
	}
}

static bool say(const char *line, size_t length)
{
	bool heard;

	if (listener < 0)
		return false;
	/* A new socket has room for one line. */
	heard = send(listener, line, length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length;
	close(listener);
	listener = -1;
	return heard;
}

void report_started(uint32_t process)
{
	char line[32];
	int length = snprintf(line, sizeof line, "started %lu\n", (unsigned long)process);

	say(line, (size_t)length);
}

bool report_failed(int status, const char *sentence)
{
	char line[URUNC_SENTENCE_MAX + 1];
	int length = snprintf(line, sizeof line, "failed %d %s", status, sentence);
	size_t used = (size_t)length < URUNC_SENTENCE_MAX ? (size_t)length : URUNC_SENTENCE_MAX - 1;

	line[used] = '\n';
	return say(line, used + 1);
}
