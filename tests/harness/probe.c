/* What a shell cannot ask the kernel: `probe TEST [ARGUMENT...]` prints what it saw. Static, for any image. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static int say(const char *what, long result)
{
	if (result < 0)
		printf("%s: %s\n", what, strerror(errno));
	else
		printf("%s: %ld\n", what, result);
	fflush(stdout);
	return result < 0;
}

static int shared_memory(const char *path)
{
	int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (file < 0 || ftruncate(file, 65536) != 0)
		return say("file", -1);
	char *memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (memory == MAP_FAILED)
		return say("mmap", -1);
	pid_t child = fork();
	if (child == 0) {
		strcpy(memory + 40000, "from the child");
		_exit(0);
	}
	waitpid(child, NULL, 0);
	char text[32] = "";
	say("msync", msync(memory, 65536, MS_SYNC));
	say("read", pread(file, text, 14, 40000));
	printf("memory: %s\nfile: %s\n", memory + 40000, text);
	say("write", pwrite(file, "by write", 8, 100));
	printf("memory: %.8s\n", memory + 100);
	return 0;
}

static int unix_socket(const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	int listener = socket(AF_UNIX, type, 0);
	if (say("bind", bind(listener, (struct sockaddr *)&address, sizeof address)))
		return 1;
	if (say("again", bind(socket(AF_UNIX, type, 0), (struct sockaddr *)&address, sizeof address)) == 0)
		return 1;
	if (type != SOCK_DGRAM)
		say("listen", listen(listener, 4));
	pid_t child = fork();
	if (child == 0) {
		int client = socket(AF_UNIX, type, 0);
		int failed = say("connect", connect(client, (struct sockaddr *)&address, sizeof address));
		_exit(failed || send(client, "hello", 5, 0) != 5);
	}
	char text[32] = "";
	int connection = type == SOCK_DGRAM ? listener : accept(listener, NULL, NULL);
	ssize_t size = recv(connection, text, sizeof text - 1, 0);
	int status;
	waitpid(child, &status, 0);
	struct ucred peer = { 0 };
	socklen_t length = sizeof peer;
	if (type != SOCK_DGRAM && getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0)
		printf("peer: %d %d\n", peer.uid, peer.gid);
	printf("received %zd: %s, child %d\n", size, text, status);
	return 0;
}

static int record_lock(const char *path)
{
	int file = open(path, O_RDWR | O_CREAT, 0600);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5 };
	say("lock", fcntl(file, F_SETLK, &lock));
	pid_t child = fork();
	if (child == 0) {
		struct flock other = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10 };
		say("beside", fcntl(file, F_SETLK, &other));
		other.l_len = 11;
		say("over", fcntl(file, F_SETLK, &other));
		other.l_type = F_RDLCK;
		say("ask", fcntl(file, F_GETLK, &other));
		printf("held: %d %ld+%ld\n", other.l_type, (long)other.l_start, (long)other.l_len);
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	return 0;
}

static int extended_attributes(const char *path)
{
	int file = open(path, O_RDWR | O_CREAT, 0600);
	close(file);
	char text[256] = "";
	say("set", setxattr(path, "user.colour", "blue", 4, 0));
	say("create again", setxattr(path, "user.colour", "red", 3, XATTR_CREATE));
	say("replace absent", setxattr(path, "user.absent", "red", 3, XATTR_REPLACE));
	say("get", getxattr(path, "user.colour", text, sizeof text));
	printf("%s\n", text);
	say("get absent", getxattr(path, "user.absent", text, sizeof text));
	memset(text, 0, sizeof text);
	ssize_t size = listxattr(path, text, sizeof text);
	for (char *name = text; name < text + size; name += strlen(name) + 1)
		if (strncmp(name, "user.", 5) == 0)
			printf("listed %s\n", name);
	say("trusted", setxattr(path, "trusted.test", "x", 1, 0));
	say("remove", removexattr(path, "user.colour"));
	say("get removed", getxattr(path, "user.colour", text, sizeof text));
	return 0;
}

static int holes(const char *path)
{
	int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	char block[4096];
	memset(block, 'x', sizeof block);
	for (int index = 0; index < 64; index++)
		say("write", write(file, block, sizeof block) == sizeof block ? 0 : -1);
	fsync(file);
	say("allocate", fallocate(file, 0, 0, 300000));
	say("punch", fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 65536));
	char byte = 'y';
	say("read in the hole", pread(file, &byte, 1, 65536));
	printf("byte %d\n", byte);
	say("truncate", ftruncate(file, 1000000));
	say("end", lseek(file, 0, SEEK_END));
	return 0;
}

static int renames(const char *directory)
{
	if (say("enter", chdir(directory)))
		return 1;
	close(open("a", O_CREAT | O_WRONLY, 0600));
	close(open("b", O_CREAT | O_WRONLY, 0644));
	say("no replace", syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", 1));
	say("exchange", syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", 2));
	struct stat status;
	if (stat("a", &status) == 0)
		printf("a has %o\n", status.st_mode & 0777);
	mkdir("d", 0700);
	mkdir("d/e", 0700);
	say("over a directory", rename("a", "d"));
	say("a directory in itself", rename("d", "d/e/f"));
	say("remove a full one", rmdir("d"));
	int file = open("gone", O_CREAT | O_RDWR, 0600);
	unlink("gone");
	say("write without a name", write(file, "kept", 4));
	char text[8] = "";
	say("read without a name", pread(file, text, 4, 0));
	fstat(file, &status);
	printf("%s, %ld links\n", text, (long)status.st_nlink);
	return 0;
}

static int unnamed(const char *directory)
{
	int file = open(directory, O_TMPFILE | O_RDWR, 0600);
	char path[64];
	if (say("unnamed", file < 0 ? -1 : 0))
		return 1;
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	return say("named", chdir(directory) || linkat(AT_FDCWD, path, AT_FDCWD, "c", AT_SYMLINK_FOLLOW));
}

static int watched(const char *directory)
{
	int watch = inotify_init1(IN_NONBLOCK);
	say("watch", inotify_add_watch(watch, directory, IN_CREATE | IN_DELETE | IN_CLOSE_WRITE) > 0 ? 0 : -1);
	char path[256];
	snprintf(path, sizeof path, "%s/seen", directory);
	int file = open(path, O_CREAT | O_WRONLY, 0600);
	say("write", write(file, "x", 1));
	close(file);
	unlink(path);
	char events[4096] __attribute__((aligned(8)));
	ssize_t size = read(watch, events, sizeof events);
	for (char *at = events; at < events + size;) {
		struct inotify_event *event = (struct inotify_event *)at;
		printf("%x %s\n", event->mask, event->name);
		at += sizeof *event + event->len;
	}
	return 0;
}

static int times(const char *path)
{
	int file = open(path, O_CREAT | O_RDWR, 0600);
	struct timespec moments[2] = { { 1000000001, 123456789 }, { 1500000000, 987654321 } };
	say("set", futimens(file, moments));
	struct stat status;
	fstat(file, &status);
	printf("%ld.%09ld %ld.%09ld\n", (long)status.st_atim.tv_sec, status.st_atim.tv_nsec,
	       (long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
	moments[0] = moments[1] = (struct timespec){ -1000, 0 };
	say("before 1970", futimens(file, moments));
	moments[0] = moments[1] = (struct timespec){ 4000000000, 0 };
	say("after 2038", futimens(file, moments));
	fstat(file, &status);
	printf("%ld\n", (long)status.st_mtim.tv_sec);
	return 0;
}

static int forks(void)
{
	int count = 0;
	pid_t child;
	while (count < 1000 && (child = fork()) > 0)
		count++;
	if (child == 0) {
		pause();
		_exit(0);
	}
	say("fork", child);
	printf("%d children\n", count);
	return 0;
}

static int ends(const char *how)
{
	volatile int zero = 0;
	signal(SIGALRM, SIG_DFL);
	if (strcmp(how, "segv") == 0)
		*(volatile int *)(long)zero = 1;
	else if (strcmp(how, "ill") == 0)
		__builtin_trap();
	else if (strcmp(how, "fpe") == 0)
		zero = 1 / zero;
	else if (strcmp(how, "abort") == 0)
		abort();
	else
		say("kill", kill(getpid(), atoi(how)));
	return 7;
}

static int process(void)
{
	printf("dumpable %d\n", prctl(PR_GET_DUMPABLE));
	printf("parent death signal %d\n", ({ int signal = -1; prctl(PR_GET_PDEATHSIG, &signal); signal; }));
	printf("subreaper %d\n", ({ int set = -1; prctl(PR_GET_CHILD_SUBREAPER, &set); set; }));
	printf("keep capabilities %d, secure bits %d\n", prctl(PR_GET_KEEPCAPS), prctl(PR_GET_SECUREBITS));
	printf("timer slack %d\n", prctl(PR_GET_TIMERSLACK));
	printf("nice %d, policy %d\n", getpriority(PRIO_PROCESS, 0), (int)syscall(SYS_sched_getscheduler, 0));
	printf("pid %d, parent %d, group %d, session %d\n", getpid(), getppid(), getpgrp(), getsid(0));
	for (int signal = 1; signal <= 64; signal++) {
		struct sigaction action;
		if (sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
			printf("ignores %d\n", signal);
	}
	sigset_t blocked;
	sigprocmask(SIG_BLOCK, NULL, &blocked);
	for (int signal = 1; signal <= 64; signal++)
		if (sigismember(&blocked, signal) == 1)
			printf("blocks %d\n", signal);
	for (int file = 0; file < 256; file++) {
		int flags = fcntl(file, F_GETFD);
		if (flags >= 0)
			printf("file %d, close on exec %d, non-blocking %d\n", file, flags & FD_CLOEXEC,
			       (fcntl(file, F_GETFL) & O_NONBLOCK) != 0);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *test = argc > 1 ? argv[1] : "";
	const char *argument = argc > 2 ? argv[2] : "";
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(test, "mmap") == 0)
		return shared_memory(argument);
	if (strcmp(test, "stream") == 0)
		return unix_socket(argument, SOCK_STREAM);
	if (strcmp(test, "datagram") == 0)
		return unix_socket(argument, SOCK_DGRAM);
	if (strcmp(test, "lock") == 0)
		return record_lock(argument);
	if (strcmp(test, "xattr") == 0)
		return extended_attributes(argument);
	if (strcmp(test, "holes") == 0)
		return holes(argument);
	if (strcmp(test, "renames") == 0)
		return renames(argument);
	if (strcmp(test, "unnamed") == 0)
		return unnamed(argument);
	if (strcmp(test, "inotify") == 0)
		return watched(argument);
	if (strcmp(test, "times") == 0)
		return times(argument);
	if (strcmp(test, "ends") == 0)
		return ends(argument);
	if (strcmp(test, "forks") == 0)
		return forks();
	if (strcmp(test, "process") == 0)
		return process();
	fprintf(stderr, "no test %s\n", test);
	return 2;
}
