#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "protocol.h"

bool disk_serial_valid(const char *serial)
{
	static const char bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t length = strlen(serial);

	return length >= 1 && length <= URUNC_SERIAL_MAX && strspn(serial, bytes) == length;
}

/* The kernel gives all 20 bytes that the device has, without a newline. */
static bool has_serial(int blocks, const char *name, const char *serial)
{
	char path[NAME_MAX + sizeof("/serial")];
	char found[URUNC_SERIAL_MAX + 2];
	ssize_t got;
	int file;

	(void)snprintf(path, sizeof(path), "%s/serial", name);
	file = openat(blocks, path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return false;
	got = read(file, found, sizeof(found));
	(void)close(file);
	if (got > 0 && found[got - 1] == '\n')
		got--;
	return got > 0 && (size_t)got == strlen(serial) && memcmp(found, serial, (size_t)got) == 0;
}

bool disk_find(const char *blocks, const char *serial, char *name, size_t size)
{
	DIR *directory = opendir(blocks);
	struct dirent *entry;
	unsigned found = 0;

	if (!directory)
		return false;
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= size ||
		    !has_serial(dirfd(directory), entry->d_name, serial))
			continue;
		memcpy(name, entry->d_name, strlen(entry->d_name) + 1);
		found++;
	}
	(void)closedir(directory);
	errno = found == 0 ? ENXIO : EEXIST;
	return found == 1;
}

bool disk_path(const char *serial, char path[DISK_PATH])
{
	static const char devices[] = "/dev/";
	size_t length = sizeof(devices) - 1;

	memcpy(path, devices, length);
	return disk_find("/sys/block", serial, path + length, DISK_PATH - length);
}
