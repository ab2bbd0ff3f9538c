#include "transport.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "protocol.h"

/* The tests have other directories than the machine's. */
#ifndef TRANSPORT_PORTS
#define TRANSPORT_PORTS "/sys/class/virtio-ports"
#define TRANSPORT_DEVICES "/dev"
#endif

/* True if the port called `port` has the agent's name. */
static bool is_agent_port(const char *port)
{
	char path[sizeof(TRANSPORT_PORTS) + 256 + 8];
	char name[64];
	ssize_t length;
	int fd;

	(void)snprintf(path, sizeof(path), TRANSPORT_PORTS "/%.255s/name", port);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	length = read(fd, name, sizeof(name));
	(void)close(fd);
	return length == sizeof(URUNC_AGENT_PORT) && memcmp(name, URUNC_AGENT_PORT "\n", (size_t)length) == 0;
}

static int open_port(void)
{
	char path[sizeof(TRANSPORT_DEVICES) + 256 + 2];
	struct dirent *entry;
	DIR *ports = opendir(TRANSPORT_PORTS);
	int fd = -1;

	if (!ports)
		return -1;
	while (fd < 0 && (entry = readdir(ports))) {
		if (entry->d_name[0] == '.' || !is_agent_port(entry->d_name))
			continue;
		(void)snprintf(path, sizeof(path), TRANSPORT_DEVICES "/%.255s", entry->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	}
	(void)closedir(ports);
	return fd;
}

/* Waits for the host's answer. Without a device the kernel says so at once. */
static int open_vsock(void)
{
	struct sockaddr_vm host = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = URUNC_AGENT_VSOCK_PORT };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int reason;

	if (fd < 0) {
		errno = ENODEV;
		return -1;
	}
	if (connect(fd, (struct sockaddr *)&host, sizeof(host)) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
		return fd;
	reason = errno;
	(void)close(fd);
	errno = reason;
	return -1;
}

int transport_open(bool *ends)
{
	int fd = open_port();

	*ends = fd < 0;
	return fd >= 0 ? fd : open_vsock();
}
