/*
 * `syscalls [HOW=]NUMBER[:ARGUMENT[,ARGUMENT...]]...` calls each and prints 0 or its error's number. HOW: `child` in
 * a process of its own, prints the signal that ends it; `trap` with a handler of SIGSYS, prints what that is told.
 * `status` prints what the kernel says of filters.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t trapped;

static void on_trap(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	trapped = info->si_syscall;
}

static int call(char *text)
{
	unsigned long arguments[6] = { 0 };
	char *at = text;
	long number = (long)strtoul(at, &at, 0);

	for (size_t i = 0; i < 6 && (*at == ':' || *at == ','); i++)
		arguments[i] = strtoul(at + 1, &at, 0);
	errno = 0;
	(void)syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
	return errno;
}

static void in_child(char *text)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0)
		_exit(call(text));
	if (child < 0 || waitpid(child, &status, 0) < 0)
		printf("child: %s\n", strerror(errno));
	else if (WIFSIGNALED(status))
		printf("%s: signal %d\n", text, WTERMSIG(status));
	else
		printf("%s: %d\n", text, WEXITSTATUS(status));
}

static void with_handler(char *text)
{
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };

	trapped = -1;
	(void)sigaction(SIGSYS, &action, NULL);
	(void)call(text);
	printf("%s: trapped %d\n", text, (int)trapped);
}

static void status(void)
{
	char line[256];
	FILE *file = fopen("/proc/self/status", "r");

	while (file && fgets(line, sizeof line, file)) {
		if (!strncmp(line, "Seccomp", 7) || !strncmp(line, "NoNewPrivs", 10) || !strncmp(line, "Uid", 3))
			fputs(line, stdout);
	}
	if (file)
		fclose(file);
}

int main(int count, char **words)
{
	for (int i = 1; i < count; i++) {
		char *how = strchr(words[i], '=');

		if (!strcmp(words[i], "status"))
			status();
		else if (!how)
			printf("%s: %d\n", words[i], call(words[i]));
		else if (!strncmp(words[i], "child", 5))
			in_child(how + 1);
		else
			with_handler(how + 1);
		fflush(stdout);
	}
	return 0;
}
