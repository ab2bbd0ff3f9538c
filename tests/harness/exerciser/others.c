/* Locks, and what is no file. */
#define _GNU_SOURCE
#include "check.h"
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

static struct flock whole(short type)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET };
}

static int is_locked(void)
{
	struct flock lock = whole(F_WRLCK);
	int file = open("file", O_RDWR);
	return fcntl(file, F_SETLK, &lock) == -1 && (errno == EAGAIN || errno == EACCES);
}

int lock_fcntl(void)
{
	struct flock lock = whole(F_WRLCK), free = whole(F_UNLCK);
	WANT(make("file", "x") == 0);
	int file = open("file", O_RDWR | O_CLOEXEC), other = open("file", O_RDWR | O_CLOEXEC);
	WANT(fcntl(file, F_SETLK, &lock) == 0 && in_child(is_locked) == 1);
	WANT(fcntl(file, F_SETLK, &free) == 0 && in_child(is_locked) == 0);
	lock = whole(F_WRLCK);
	WANT(fcntl(file, F_OFD_SETLK, &lock) == 0);
	WANT_ERROR(EAGAIN, fcntl(other, F_OFD_SETLK, &lock));
	close(file);
	WANT(fcntl(other, F_OFD_SETLK, &lock) == 0);
	close(other);
	return 0;
}

int lock_flock(void)
{
	WANT(make("file", "x") == 0);
	int one = open("file", O_RDWR | O_CLOEXEC), two = open("file", O_RDWR | O_CLOEXEC);
	WANT(flock(one, LOCK_EX | LOCK_NB) == 0);
	WANT_ERROR(EWOULDBLOCK, flock(two, LOCK_SH | LOCK_NB));
	close(one);
	WANT(flock(two, LOCK_EX | LOCK_NB) == 0);
	close(two);
	return 0;
}

int fifo(void)
{
	char found[3] = "";
	WANT(mkfifo("fifo", 0644) == 0);
	int file = open("fifo", O_RDWR | O_CLOEXEC);
	WANT(file >= 0);
	WANT(write(file, "in", 2) == 2 && read(file, found, 2) == 2 && strcmp(found, "in") == 0);
	close(file);
	return 0;
}

int unix_socket(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };
	int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	WANT(bind(server, (struct sockaddr *)&address, sizeof address) == 0 && listen(server, 1) == 0);
	WANT(connect(client, (struct sockaddr *)&address, sizeof address) == 0);
	close(client);
	close(server);
	return 0;
}

int device_node(void)
{
	struct stat status;
	WANT(mknod("null", S_IFCHR | 0666, makedev(1, 3)) == 0);
	WANT(stat("null", &status) == 0 && status.st_rdev == makedev(1, 3));
	int file = open("null", O_WRONLY | O_CLOEXEC);
	WANT(file >= 0);
	WANT(write(file, "x", 1) == 1);
	close(file);
	return 0;
}
