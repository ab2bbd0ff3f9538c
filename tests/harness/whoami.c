/* HTTP on port 80: says the machine's name and what was asked for, in the place of the image traefik/whoami. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void end(int signal)
{
	(void)signal;
	_exit(0);
}

static void answer(int connection)
{
	char asked[4096], body[5000], head[200], name[65] = "";
	ssize_t got = recv(connection, asked, sizeof(asked) - 1, 0);

	if (got <= 0)
		return;
	asked[got] = '\0';
	asked[strcspn(asked, "\r\n")] = '\0';
	(void)gethostname(name, sizeof(name) - 1);
	int length = snprintf(body, sizeof(body), "Hostname: %s\n%s\n", name, asked);
	int before = snprintf(head, sizeof(head),
			      "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", length);
	(void)send(connection, head, (size_t)before, MSG_NOSIGNAL | MSG_MORE);
	(void)send(connection, body, (size_t)length, MSG_NOSIGNAL);
}

int main(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(80) };
	int on = 1, connection;
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	signal(SIGTERM, end);
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 64)) {
		perror("whoami");
		return 1;
	}
	while ((connection = accept(listener, NULL, NULL)) >= 0) {
		answer(connection);
		close(connection);
	}
	return 1;
}
