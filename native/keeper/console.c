#include "console.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int console_listen(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listening;

	if (strlen(path) >= sizeof address.sun_path)
		return -1;
	memcpy(address.sun_path, path, strlen(path) + 1);
	listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listening < 0)
		return -1;
	unlink(path);
	if (bind(listening, (struct sockaddr *)&address, sizeof address) < 0 || listen(listening, 1) < 0) {
		close(listening);
		return -1;
	}
	return listening;
}

int console_take(int listening)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control;
	char name[256];
	struct iovec part = { name, sizeof name };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
	};
	struct cmsghdr *header;
	int connection = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int terminal = -1;

	if (connection < 0)
		return -1;
	if (recvmsg(connection, &message, MSG_CMSG_CLOEXEC) >= 0) {
		header = CMSG_FIRSTHDR(&message);
		if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
		    header->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(&terminal, CMSG_DATA(header), sizeof terminal);
	}
	close(connection);
	if (terminal >= 0)
		fcntl(terminal, F_SETFL, O_NONBLOCK);
	return terminal;
}
