#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "copy_up.h"
#include "disk.h"
#include "path.h"
#include "root.h"

struct mount_record {
	uint32_t kind;
	uint32_t flags;
	uint32_t propagation;
	uint32_t extra;
	const char *type;
	const char *source;
	const char *destination;
	const char *options;
};

/* Flags of a mount that must be kept when it is made read-only. */
static unsigned long kept_flags(int descriptor)
{
	struct statvfs status;

	if (fstatvfs(descriptor, &status) < 0)
		return 0;
	return (status.f_flag & ST_NOSUID ? MS_NOSUID : 0) | (status.f_flag & ST_NODEV ? MS_NODEV : 0) |
	       (status.f_flag & ST_NOEXEC ? MS_NOEXEC : 0) | (status.f_flag & ST_NOATIME ? MS_NOATIME : 0);
}

/*
 * A bind of the share takes the flags by a second call: the first ignores them. A change of flags goes to the mount
 * that is on top now, so the destination is opened again.
 */
static bool mount_share_path(int root, const struct mount_record *record, struct failure *failure)
{
	char source_name[32];
	char target_name[32];
	struct stat status;
	int share = root_open_share();
	int source = share < 0 ? -1 : path_open(share, record->source, PATH_MUST_EXIST);
	int target;
	bool done = false;

	if (share >= 0)
		(void)close(share);
	if (source < 0 || fstat(source, &status) < 0)
		return fail_errno(failure, STATUS_OTHER, "error mounting \"%s\" to rootfs at \"%s\"", record->source,
				  record->destination);
	target = path_open(root, record->destination, S_ISDIR(status.st_mode) ? PATH_MAKE_DIRECTORY : PATH_MAKE_FILE);
	if (target >= 0 && mount(path_of_descriptor(source, source_name), path_of_descriptor(target, target_name), NULL,
				 MS_BIND, NULL) == 0) {
		(void)close(target);
		target = path_open(root, record->destination, PATH_MUST_EXIST);
		done = target >= 0 && ((record->flags & ~(uint32_t)MS_REC) == 0 ||
				       mount(NULL, path_of_descriptor(target, target_name), NULL,
					     MS_BIND | MS_REMOUNT | (record->flags & ~(uint32_t)MS_REC), NULL) == 0);
	}
	if (!done)
		(void)fail_errno(failure, STATUS_OTHER, "error mounting \"%s\" to rootfs at \"%s\"", record->source,
				 record->destination);
	(void)close(source);
	if (target >= 0)
		(void)close(target);
	return done;
}

/* As runc: the directory that a tmpfs without a mode hides gives it its mode, if it was there before. */
static const char *tmpfs_options(const struct mount_record *record, int target, char *buffer, size_t size)
{
	struct stat status;

	if (strcmp(record->type, "tmpfs") != 0 || strstr(record->options, "mode=") || target < 0 ||
	    fstat(target, &status) < 0)
		return record->options;
	(void)snprintf(buffer, size, "%s%smode=%o", record->options, *record->options ? "," : "",
		       (unsigned)(status.st_mode & 07777));
	return buffer;
}

static bool mount_filesystem(int root, const struct mount_record *record, struct failure *failure)
{
	char name[32];
	char buffer[8192];
	int present = path_open(root, record->destination, PATH_MUST_EXIST);
	const char *options = tmpfs_options(record, present, buffer, sizeof(buffer));
	int hidden = present >= 0 ? present : path_open(root, record->destination, PATH_MAKE_DIRECTORY);
	int visible = -1;
	unsigned long flags = record->flags;
	bool copy_up = record->extra & URUNC_MOUNT_COPY_UP;
	bool done;

	/* Filled first, then made read-only. */
	if (copy_up)
		flags &= ~(unsigned long)MS_RDONLY;
	done = hidden >= 0 && mount(record->source, path_of_descriptor(hidden, name), record->type, flags, options) == 0;
	if (done && copy_up) {
		visible = path_open(root, record->destination, PATH_MUST_EXIST);
		done = visible >= 0 && copy_up_directory(hidden, visible) &&
		       (flags == record->flags || mount(NULL, path_of_descriptor(visible, name), NULL,
							MS_REMOUNT | MS_BIND | record->flags, NULL) == 0);
	}
	if (!done)
		(void)fail_errno(failure, STATUS_OTHER,
				 "error mounting \"%s\" to rootfs at \"%s\": mount %s:%s, flags: 0x%x%s%s", record->source,
				 record->destination, record->source, record->destination, record->flags,
				 *record->options ? ", data: " : "", record->options);
	if (hidden >= 0)
		(void)close(hidden);
	if (visible >= 0)
		(void)close(visible);
	return done;
}

static bool set_propagation(int root, const struct mount_record *record, struct failure *failure)
{
	char name[32];
	int target = path_open(root, record->destination, PATH_MUST_EXIST);
	bool done = target >= 0 && mount(NULL, path_of_descriptor(target, name), NULL, record->propagation, NULL) == 0;

	if (!done)
		(void)fail_errno(failure, STATUS_OTHER, "setting the propagation of the mount at \"%s\"",
				 record->destination);
	if (target >= 0)
		(void)close(target);
	return done;
}

static bool make_node(int root, const char *path, mode_t mode, dev_t device, uint32_t uid, uint32_t gid)
{
	char name[256];
	int parent = path_open_parent(root, path, name);
	bool done;

	if (parent < 0)
		return false;
	done = (mknodat(parent, name, mode, device) == 0 || errno == EEXIST) &&
	       fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW) == 0;
	(void)close(parent);
	return done;
}

/* OCI runtime specification, config-linux.md, "Default Devices", and runtime-linux.md, "Dev symbolic links". */
static bool make_default_devices(int root, struct failure *failure)
{
	static const struct {
		const char *path;
		unsigned minor;
		unsigned major;
	} devices[] = {
		{ "dev/null", 3, 1 },	{ "dev/zero", 5, 1 },	 { "dev/full", 7, 1 },
		{ "dev/random", 8, 1 }, { "dev/urandom", 9, 1 }, { "dev/tty", 0, 5 },
	};
	static const struct {
		const char *target;
		const char *path;
	} links[] = {
		{ "/proc/self/fd", "dev/fd" },	      { "/proc/self/fd/0", "dev/stdin" },
		{ "/proc/self/fd/1", "dev/stdout" }, { "/proc/self/fd/2", "dev/stderr" },
		{ "pts/ptmx", "dev/ptmx" },
	};
	size_t i;

	for (i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		if (!make_node(root, devices[i].path, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor), 0, 0))
			return fail_errno(failure, STATUS_OTHER, "error creating device /%s", devices[i].path);
	}
	for (i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		char name[256];
		int parent = path_open_parent(root, links[i].path, name);
		bool done = parent >= 0 && (symlinkat(links[i].target, parent, name) == 0 || errno == EEXIST);

		if (!done)
			return fail_errno(failure, STATUS_OTHER, "error creating link /%s", links[i].path);
		(void)close(parent);
	}
	return true;
}

static bool is_dev(const char *destination)
{
	return !strcmp(destination, "/dev") || !strcmp(destination, "/dev/");
}

static bool apply_mount(int root, const struct urunc_record *raw, struct failure *failure)
{
	struct urunc_value value = urunc_value_of(raw);
	struct mount_record record;
	char device[DISK_PATH];

	record.kind = urunc_value_u32(&value);
	record.flags = urunc_value_u32(&value);
	record.propagation = urunc_value_u32(&value);
	record.extra = urunc_value_u32(&value);
	record.type = urunc_value_string(&value);
	record.source = urunc_value_string(&value);
	record.destination = urunc_value_string(&value);
	record.options = urunc_value_string(&value);
	if (!urunc_value_whole(&value) || record.kind > URUNC_MOUNT_DISK ||
	    (record.kind == URUNC_MOUNT_DISK && !disk_serial_valid(record.source)))
		return fail(failure, STATUS_OTHER, "a mount is not a valid record");
	if (record.kind == URUNC_MOUNT_DISK) {
		if (!disk_path(record.source, device))
			return fail_errno(failure, STATUS_OTHER, "looking for the disk %s", record.source);
		record.source = device;
	}
	if (!(record.kind == URUNC_MOUNT_SHARE ? mount_share_path(root, &record, failure)
					       : mount_filesystem(root, &record, failure)))
		return false;
	if (record.propagation != 0 && !set_propagation(root, &record, failure))
		return false;
	return !is_dev(record.destination) || make_default_devices(root, failure);
}

static bool apply_device(int root, const struct urunc_record *raw, struct failure *failure)
{
	struct urunc_value value = urunc_value_of(raw);
	uint32_t type = urunc_value_u32(&value);
	uint32_t major_number = urunc_value_u32(&value);
	uint32_t minor_number = urunc_value_u32(&value);
	uint32_t mode = urunc_value_u32(&value);
	uint32_t uid = urunc_value_u32(&value);
	uint32_t gid = urunc_value_u32(&value);
	const char *path = urunc_value_string(&value);
	mode_t format = type == 'c' ? S_IFCHR : type == 'b' ? S_IFBLK : S_IFIFO;

	if (!urunc_value_whole(&value) || (type != 'c' && type != 'b' && type != 'p'))
		return fail(failure, STATUS_OTHER, "a device is not a valid record");
	if (!make_node(root, path, format | (mode & 07777), makedev(major_number, minor_number), uid, gid))
		return fail_errno(failure, STATUS_OTHER, "error creating device %s", path);
	return true;
}

/* A switch's name has dots for slashes, and where it has slashes, dots are its own (sysctl(8)). */
static bool apply_sysctl(const struct urunc_record *raw, struct failure *failure)
{
	struct urunc_value value = urunc_value_of(raw);
	const char *key = urunc_value_string(&value);
	const char *text = urunc_value_string(&value);
	bool slashes = strchr(key, '/') != NULL;
	char path[PATH_MAX];
	char *at;
	ssize_t put;
	int file;
	int saved;

	if (!urunc_value_whole(&value) || strstr(key, ".."))
		return fail(failure, STATUS_OTHER, "a sysctl is not a valid record");
	(void)snprintf(path, sizeof(path), "/proc/sys/%s", key);
	for (at = path + strlen("/proc/sys/"); !slashes && *at; at++)
		if (*at == '.')
			*at = '/';
	file = open(path, O_WRONLY | O_CLOEXEC);
	if (file < 0)
		return fail_errno(failure, STATUS_OTHER, "open %s", path);
	put = write(file, text, strlen(text));
	saved = errno;
	(void)close(file);
	errno = saved;
	return put >= 0 || fail_errno(failure, STATUS_OTHER, "write %s", path);
}

static bool make_read_only(int root, const char *path, struct failure *failure)
{
	char name[32];
	int target = path_open(root, path, PATH_MUST_EXIST);
	bool done;

	if (target < 0)
		return errno == ENOENT || errno == ENOTDIR ||
		       fail_errno(failure, STATUS_OTHER, "making \"%s\" read-only", path);
	done = mount(path_of_descriptor(target, name), path_of_descriptor(target, name), NULL, MS_BIND | MS_REC, NULL) == 0;
	(void)close(target);
	if (done) {
		target = path_open(root, path, PATH_MUST_EXIST);
		done = target >= 0 && mount(NULL, path_of_descriptor(target, name), NULL,
					    MS_BIND | MS_REMOUNT | MS_RDONLY | kept_flags(target), NULL) == 0;
		if (target >= 0)
			(void)close(target);
	}
	return done || fail_errno(failure, STATUS_OTHER, "making \"%s\" read-only", path);
}

static bool mask(int root, const char *path, struct failure *failure)
{
	char name[32];
	struct stat status;
	int target = path_open(root, path, PATH_MUST_EXIST);
	bool done;

	if (target < 0)
		return errno == ENOENT || errno == ENOTDIR || fail_errno(failure, STATUS_OTHER, "masking \"%s\"", path);
	if (fstat(target, &status) == 0 && S_ISDIR(status.st_mode))
		done = mount("tmpfs", path_of_descriptor(target, name), "tmpfs", MS_RDONLY, "nr_blocks=1,nr_inodes=1") == 0;
	else
		done = mount("/dev/null", path_of_descriptor(target, name), NULL, MS_BIND, NULL) == 0;
	(void)close(target);
	return done || fail_errno(failure, STATUS_OTHER, "masking \"%s\"", path);
}

/* The path of a record that is nothing else; NULL: malformed. */
static const char *only_path(const struct urunc_record *record)
{
	struct urunc_value value = urunc_value_of(record);
	const char *path = urunc_value_string(&value);

	return urunc_value_whole(&value) ? path : NULL;
}

static bool apply_record(int root, const struct urunc_record *record, struct failure *failure)
{
	const char *path;

	switch (record->tag) {
	case URUNC_MOUNT:
		return apply_mount(root, record, failure);
	case URUNC_DEVICE:
		return apply_device(root, record, failure);
	case URUNC_SYSCTL:
		return apply_sysctl(record, failure);
	case URUNC_READONLY_PATH:
	case URUNC_MASKED_PATH:
		path = only_path(record);
		if (!path)
			return fail(failure, STATUS_OTHER, "a path is not a valid record");
		return record->tag == URUNC_MASKED_PATH ? mask(root, path, failure) : make_read_only(root, path, failure);
	default:
		return true;
	}
}

static bool apply_all(struct urunc_records records, uint16_t tag, int root, struct failure *failure)
{
	struct urunc_record record;

	while (urunc_record_next(&records, &record) == URUNC_RECORD_OK) {
		if (record.tag == tag && !apply_record(root, &record, failure))
			return false;
	}
	return true;
}

/* A terminal of the container's own /dev/pts, which is its /dev/console too (runtime-linux.md, "/dev/console"). */
static bool make_terminal(int root, int *master, struct failure *failure)
{
	char name[32];
	int unlocked = 0;
	int multiplexer = path_open(root, "/dev/pts/ptmx", PATH_MUST_EXIST);
	int slave;
	int console;
	bool done;

	if (multiplexer < 0)
		return fail_errno(failure, STATUS_OTHER, "opening a terminal: /dev/pts/ptmx");
	*master = open(path_of_descriptor(multiplexer, name), O_RDWR | O_NOCTTY | O_CLOEXEC);
	(void)close(multiplexer);
	if (*master < 0 || ioctl(*master, TIOCSPTLCK, &unlocked) < 0)
		return fail_errno(failure, STATUS_OTHER, "opening a terminal");
	slave = ioctl(*master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	console = path_open(root, "/dev/console", PATH_MAKE_FILE);
	done = slave >= 0 && console >= 0;
	if (done) {
		char slave_name[32];

		done = mount(path_of_descriptor(slave, slave_name), path_of_descriptor(console, name), NULL, MS_BIND, NULL) == 0;
	}
	if (!done)
		(void)fail_errno(failure, STATUS_OTHER, "mounting the terminal at /dev/console");
	if (slave >= 0)
		(void)close(slave);
	if (console >= 0)
		(void)close(console);
	return done;
}

/* As runc: the working directory is made where it is missing, by root. */
static bool make_working_directory(int root, const char *path, struct failure *failure)
{
	struct stat status;
	int made = path_open(root, path, PATH_MAKE_DIRECTORY);
	bool done = made >= 0 && fstat(made, &status) == 0 && S_ISDIR(status.st_mode);

	if (made >= 0 && !done)
		errno = ENOTDIR;
	if (!done)
		(void)fail_errno(failure, STATUS_OTHER, "mkdir %s", path);
	if (made >= 0)
		(void)close(made);
	return done;
}

bool mounts_apply(struct urunc_records machine, const char *directory, int *terminal, struct failure *failure)
{
	static const uint16_t order[] = { URUNC_MOUNT, URUNC_DEVICE, URUNC_SYSCTL, URUNC_READONLY_PATH, URUNC_MASKED_PATH };
	bool read_only;
	int root;
	size_t i;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return fail_errno(failure, STATUS_OTHER, "making mounts private");
	if (!root_bind(ROOT, &read_only, failure))
		return false;
	root = open(ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return fail_errno(failure, STATUS_OTHER, "opening the root");
	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (!apply_all(machine, order[i], root, failure))
			return false;
		if (order[i] == URUNC_DEVICE && terminal && !make_terminal(root, terminal, failure))
			return false;
	}
	if (!make_working_directory(root, directory, failure))
		return false;
	if (read_only &&
	    mount(NULL, ROOT, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | kept_flags(root), NULL) < 0)
		return fail_errno(failure, STATUS_OTHER, "making the root read-only");
	(void)close(root);
	return true;
}

/* The initramfs cannot be pivoted away from; it is covered instead, with nothing left mounted in it. */
bool mounts_enter(struct failure *failure)
{
	static const char *const own[] = { "/sys", "/dev", "/proc" };
	size_t i;

	if (chdir(ROOT) < 0)
		return fail_errno(failure, STATUS_OTHER, "entering the root");
	if (!root_leave(failure))
		return false;
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		if (umount2(own[i], MNT_DETACH) < 0)
			return fail_errno(failure, STATUS_OTHER, "leaving %s behind", own[i]);
	}
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return fail_errno(failure, STATUS_OTHER, "entering the root");
	return true;
}
