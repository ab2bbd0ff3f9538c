/*
 * The program of the image "echo", alone in it and linked statically.
 *
 *   echo-server                 HTTP on port 8080, IPv6 and IPv4: answers "METHOD PATH BODYLENGTH\n" and prints the same
 *   echo-server --print ARGS    prints how many arguments there are, then each as "LENGTH:BYTES\n"
 *   echo-server --env NAME      prints the variable's value as "LENGTH:BYTES\n", or "unset\n"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 8080, HEAD_LIMIT = 16384 };

static void print_bytes(const char *text)
{
	printf("%zu:%s\n", strlen(text), text);
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int send_all(int connection, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t sent = send(connection, data, length, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return -1;
		data += sent;
		length -= (size_t)sent;
	}
	return 0;
}

/* The value of a header in the request's head, or NULL. */
static const char *header(const char *head, const char *name)
{
	size_t length = strlen(name);
	for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, length) == 0 && line[length] == ':')
			return line + length + 1 + strspn(line + length + 1, " ");
	}
	return NULL;
}

/* Answers requests until the client has had enough. */
static void serve(int connection)
{
	static char buffer[HEAD_LIMIT + 1];
	size_t held = 0;
	for (;;) {
		char *end;
		buffer[held] = '\0';
		while ((end = strstr(buffer, "\r\n\r\n")) == NULL) {
			if (held == HEAD_LIMIT)
				return;
			ssize_t got = recv(connection, buffer + held, HEAD_LIMIT - held, 0);
			if (got < 0 && errno == EINTR)
				continue;
			if (got <= 0)
				return;
			held += (size_t)got;
			buffer[held] = '\0';
		}
		/* The header's last line keeps its end, the empty line goes. */
		end[2] = '\0';
		size_t head_length = (size_t)(end + 4 - buffer);

		char method[16], path[4096];
		if (sscanf(buffer, "%15s %4095s", method, path) != 2)
			return;
		const char *value = header(buffer, "Connection");
		int last = (value != NULL && strncasecmp(value, "close", 5) == 0) || strstr(buffer, "HTTP/1.0\r\n") != NULL;
		if (header(buffer, "Transfer-Encoding") != NULL) {
			static const char refusal[] = "HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
			send_all(connection, refusal, sizeof(refusal) - 1);
			return;
		}
		value = header(buffer, "Content-Length");
		unsigned long long body_length = value == NULL ? 0 : strtoull(value, NULL, 10);
		value = header(buffer, "Expect");
		if (value != NULL && strncasecmp(value, "100-continue", 12) == 0) {
			static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
			if (send_all(connection, go_on, sizeof(go_on) - 1) < 0)
				return;
		}

		/* What has been read of the body, and of the request behind it. */
		held -= head_length;
		memmove(buffer, buffer + head_length, held);
		unsigned long long missing = body_length;
		while (missing > held) {
			missing -= held;
			ssize_t got = recv(connection, buffer, HEAD_LIMIT, 0);
			if (got < 0 && errno == EINTR)
				got = 0;
			else if (got <= 0)
				return;
			held = (size_t)got;
		}
		held -= (size_t)missing;
		memmove(buffer, buffer + missing, held);

		char line[4200], answer[4400];
		int line_length = snprintf(line, sizeof(line), "%s %s %llu\n", method, path, body_length);
		/* One call, so that the lines of several clients do not mix. */
		if (write(STDOUT_FILENO, line, (size_t)line_length) < 0)
			fail("stdout");
		int length = snprintf(answer, sizeof(answer),
			"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n%s",
			line_length, last ? "close" : "keep-alive", strcmp(method, "HEAD") == 0 ? "" : line);
		if (send_all(connection, answer, (size_t)length) < 0 || last)
			return;
	}
}

static int listen_everywhere(void)
{
	int on = 1, off = 0;
	int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener >= 0) {
		struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };
		setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
		if (bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(listener, 1024) == 0)
			return listener;
		close(listener);
	}
	/* A kernel without IPv6, or where it is turned off. */
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0)
		fail("socket");
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("bind");
	if (listen(listener, 1024) < 0)
		fail("listen");
	return listener;
}

/* The first process of a container is not ended by a signal that it does not handle. */
static void end(int signal)
{
	(void)signal;
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc >= 2 && strcmp(argv[1], "--print") == 0) {
		printf("%d\n", argc - 2);
		for (int index = 2; index < argc; index++)
			print_bytes(argv[index]);
		return fflush(stdout) == 0 ? 0 : 1;
	}
	if (argc == 3 && strcmp(argv[1], "--env") == 0) {
		const char *value = getenv(argv[2]);
		if (value == NULL)
			puts("unset");
		else
			print_bytes(value);
		return fflush(stdout) == 0 ? 0 : 1;
	}
	if (argc != 1) {
		fputs("usage: echo-server [--print ARGUMENT... | --env NAME]\n", stderr);
		return 2;
	}
	signal(SIGTERM, end);
	signal(SIGINT, end);
	/* Clients' processes need not be waited for. */
	signal(SIGCHLD, SIG_IGN);
	int listener = listen_everywhere();
	for (;;) {
		int connection = accept(listener, NULL, NULL);
		if (connection < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			fail("accept");
		}
		int on = 1;
		setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		pid_t child = fork();
		if (child == 0) {
			close(listener);
			serve(connection);
			_exit(0);
		}
		if (child < 0)
			perror("fork");
		close(connection);
	}
}
