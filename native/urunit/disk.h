/* Disks of the machine, which the host names by their serial, or by the kernel's own name of the device. */
#ifndef URUNIT_DISK_H
#define URUNIT_DISK_H

#include <stdbool.h>
#include <stddef.h>

/* 1 to URUNC_SERIAL_MAX of the bytes A-Za-z0-9._-, or /dev/vda to /dev/vdz. */
bool disk_serial_valid(const char *serial);

/*
 * The name of the block device that has this serial, as in /dev. `blocks` is /sys/block; the name has at most `size` - 1
 * bytes. False with errno: there is none, or more than one (EEXIST).
 */
bool disk_find(const char *blocks, const char *serial, char *name, size_t size);

/* The path of the device, below /dev, of either name; `path` has DISK_PATH bytes. False with errno. */
#define DISK_PATH 64u
bool disk_path(const char *serial, char path[DISK_PATH]);

#endif
