#include "direct_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "address.h"
#include "disk.h"
#include "network.h"
#include "path.h"

#define LINE_BYTES 4096u

struct own_mount {
	const char *type;
	const char *path;
	unsigned long flags;
	const char *options;
	bool needed;
};

static const struct own_mount own_mounts[] = {
	{ "proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, true },
	{ "sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, true },
	{ "devtmpfs", "/dev", MS_NOSUID, "mode=0755", true },
	{ "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5", false },
	{ "tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777", false },
	{ "mqueue", "/dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, false },
	{ "cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, false },
};

static const char *const links[][2] = {
	{ "/proc/self/fd", "/dev/fd" },	      { "/proc/self/fd/0", "/dev/stdin" }, { "/proc/self/fd/1", "/dev/stdout" },
	{ "/proc/self/fd/2", "/dev/stderr" }, { "pts/ptmx", "/dev/ptmx" },
};

/* By the device that the directory is on, and the one that it is in. */
static bool is_mounted(const char *path)
{
	char parent[32];
	char *slash;
	struct stat own;
	struct stat its;

	(void)snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	slash[slash == parent] = 0;
	return stat(path, &own) == 0 && stat(parent, &its) == 0 && own.st_dev != its.st_dev;
}

bool direct_mount(struct failure *failure)
{
	struct stat status;
	size_t i;

	for (i = 0; i < sizeof(own_mounts) / sizeof(own_mounts[0]); i++) {
		const struct own_mount *own = &own_mounts[i];

		(void)mkdir(own->path, 0755);
		if (!is_mounted(own->path) &&
		    mount(own->type, own->path, own->type, own->flags, own->options) < 0 && own->needed)
			return fail_errno(failure, STATUS_OTHER, "mounting %s", own->path);
	}
	for (i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		/* The kernel's own node is of another instance than the one that is mounted. */
		if (strcmp(links[i][1], "/dev/ptmx") == 0 && stat("/dev/pts/ptmx", &status) == 0)
			(void)unlink(links[i][1]);
		(void)symlink(links[i][0], links[i][1]);
	}
	(void)mkdir("/run", 0755);
	if (mkdir("/tmp", 01777) == 0)
		(void)chmod("/tmp", 01777);
	return true;
}

static size_t read_text(const char *path, char *text, size_t size)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = file < 0 ? -1 : read(file, text, size - 1);

	if (file >= 0)
		(void)close(file);
	text[got > 0 ? got : 0] = 0;
	return got > 0 ? (size_t)got : 0;
}

/* False: there is no such device, or it has no address of this kind. */
static bool read_mac(const char *device, uint8_t mac[6])
{
	char path[64];
	char text[32];
	unsigned bytes[6];
	size_t i;

	(void)snprintf(path, sizeof(path), "/sys/class/net/%.15s/address", device);
	(void)read_text(path, text, sizeof(text));
	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[4], &bytes[5]) != 6)
		return false;
	for (i = 0; i < 6; i++)
		mac[i] = (uint8_t)bytes[i];
	return true;
}

/* In the kernel's log: the application may need no network. */
static void warn_of_missing(const char *device)
{
	int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	if (log < 0)
		return;
	(void)dprintf(log, "<3>urunit: there is no network device %s\n", device);
	(void)close(log);
}

bool direct_network(struct failure *failure)
{
	static const struct address link_only = { .device = "eth0" };
	static char line[LINE_BYTES];
	uint8_t records[ADDRESS_RECORDS];
	struct address address;
	uint8_t mac[6];
	size_t length;
	bool said;

	/* A kernel without a network is one that was made so. */
	if (!network_prepare(failure))
		return true;
	(void)read_text("/proc/cmdline", line, sizeof(line));
	said = address_read(line, &address);
	if (said && address.hostname[0])
		(void)sethostname(address.hostname, strlen(address.hostname));
	if (!said && !getenv("URUNIT_DEFROUTE"))
		return true;
	if (!said)
		address = link_only;
	if (!read_mac(address.device, mac)) {
		warn_of_missing(address.device);
		return true;
	}
	length = address_records(&address, mac, records);
	return network_apply((struct urunc_records){ records, records + length }, failure);
}

static bool mount_volume(int root, const struct conf_volume *volume, struct failure *failure)
{
	char device[DISK_PATH];
	char name[32];
	int place;
	bool done;

	if (!disk_path(volume->serial, device))
		return fail_errno(failure, STATUS_OTHER, "looking for the disk %s", volume->serial);
	place = path_open(root, volume->path, PATH_MAKE_DIRECTORY);
	if (place < 0)
		return fail_errno(failure, STATUS_OTHER, "making the mount point %.1024s", volume->path);
	(void)path_of_descriptor(place, name);
	done = mount(device, name, "ext4", 0, NULL) == 0 ||
	       (errno == EINVAL && mount(device, name, "erofs", MS_RDONLY, NULL) == 0);
	if (!done)
		(void)fail_errno(failure, STATUS_OTHER, "mounting the disk %s at %.1024s", volume->serial, volume->path);
	(void)close(place);
	return done;
}

bool direct_mount_volumes(const struct conf *conf, struct failure *failure)
{
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool done = root >= 0 || fail_errno(failure, STATUS_OTHER, "opening the root");
	size_t i;

	for (i = 0; done && i < conf->volume_count; i++)
		done = mount_volume(root, &conf->volumes[i], failure);
	if (root >= 0)
		(void)close(root);
	return done;
}

void direct_settle(const struct conf *conf)
{
	size_t i;

	sync();
	for (i = conf->volume_count; i-- > 0;)
		if (umount2(conf->volumes[i].path, 0) < 0)
			(void)mount(NULL, conf->volumes[i].path, NULL, MS_REMOUNT | MS_RDONLY, NULL);
	(void)mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
}
