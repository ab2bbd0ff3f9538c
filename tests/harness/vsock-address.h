/* vsock(7), whose header of the kernel's musl does not have. */
#ifndef URUNC_TEST_VSOCK_ADDRESS_H
#define URUNC_TEST_VSOCK_ADDRESS_H

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#define VSOCK_ANY UINT32_MAX
#define VSOCK_HOST 2u

struct vsock_address {
	uint16_t family, reserved;
	uint32_t port, cid;
	uint8_t zero[4];
};

/* -1, with errno: it is not taken. */
static inline int vsock_connect(uint32_t cid, uint32_t port)
{
	struct vsock_address address = { .family = AF_VSOCK, .cid = cid, .port = port };
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0), reason;

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	reason = errno;
	close(fd);
	errno = reason;
	return -1;
}

#endif
