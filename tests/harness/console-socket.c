/*
 * What a caller of `--console-socket` is: listens on the socket, takes the terminal that a runtime sends, and passes bytes
 * between it and its own standard streams until nobody has the terminal open any more.
 *
 *   console-socket SOCKET ROWS COLUMNS
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static int receive(int connection)
{
	char name[4096];
	struct iovec part = { name, sizeof name };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes,
	};
	struct cmsghdr *attached;
	int terminal = -1;

	if (recvmsg(connection, &message, MSG_CMSG_CLOEXEC) < 0)
		return -1;
	attached = CMSG_FIRSTHDR(&message);
	if (attached && attached->cmsg_type == SCM_RIGHTS)
		memcpy(&terminal, CMSG_DATA(attached), sizeof terminal);
	return terminal;
}

static bool pass_on(int from, int to)
{
	char bytes[4096];
	ssize_t got = read(from, bytes, sizeof bytes);

	return got > 0 && write(to, bytes, (size_t)got) == got;
}

int main(int count, char *words[])
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pollfd slots[2] = { { -1, POLLIN, 0 }, { STDIN_FILENO, POLLIN, 0 } };
	struct winsize size = { 0 };

	if (count != 4 || strlen(words[1]) >= sizeof address.sun_path)
		return 2;
	strcpy(address.sun_path, words[1]);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1) < 0)
		return fail("listening");
	slots[0].fd = receive(accept(listener, NULL, NULL));
	if (slots[0].fd < 0)
		return fail("no terminal was sent");
	size.ws_row = (unsigned short)atoi(words[2]);
	size.ws_col = (unsigned short)atoi(words[3]);
	if (size.ws_row && ioctl(slots[0].fd, TIOCSWINSZ, &size) < 0)
		return fail("setting the size");
	while (poll(slots, 2, -1) >= 0) {
		if (slots[0].revents && !pass_on(slots[0].fd, STDOUT_FILENO))
			return 0;
		if (slots[1].revents && !pass_on(STDIN_FILENO, slots[0].fd))
			slots[1].fd = -1;
	}
	return fail("waiting");
}
