#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "protocol.h"

/* How the kernel names the disks of monitors that give them no serial, in their order. */
static bool is_device(const char *name)
{
	static const char start[] = "/dev/vd";
	size_t length = sizeof(start) - 1;

	return strncmp(name, start, length) == 0 && name[length] >= 'a' && name[length] <= 'z' && !name[length + 1];
}

bool disk_serial_valid(const char *serial)
{
	static const char bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t length = strlen(serial);

	return is_device(serial) || (length >= 1 && length <= URUNC_SERIAL_MAX && strspn(serial, bytes) == length);
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

	if (is_device(serial)) {
		memcpy(path, serial, strlen(serial) + 1);
		return access(path, F_OK) == 0;
	}
	memcpy(path, devices, length);
	return disk_find("/sys/block", serial, path + length, DISK_PATH - length);
}
