#include "report.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "protocol.h"

static int listener = -1;
static bool kept;

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

void report_keep(void)
{
	kept = true;
}

int report_connection(void)
{
	return listener;
}

void report_hang_up(void)
{
	if (listener >= 0)
		close(listener);
	listener = -1;
}

static bool say(const char *line, size_t length)
{
	/* A new socket has room for one line. */
	return listener >= 0 && send(listener, line, length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length;
}

void report_started(uint32_t process)
{
	char line[32];
	int length = snprintf(line, sizeof line, "started %lu\n", (unsigned long)process);

	say(line, (size_t)length);
	if (!kept)
		report_hang_up();
}

bool report_failed(int status, const char *sentence)
{
	char line[URUNC_SENTENCE_MAX + 1];
	int length = snprintf(line, sizeof line, "failed %d %s", status, sentence);
	size_t used = (size_t)length < URUNC_SENTENCE_MAX ? (size_t)length : URUNC_SENTENCE_MAX - 1;
	bool heard;

	line[used] = '\n';
	heard = say(line, used + 1);
	report_hang_up();
	return heard;
}
