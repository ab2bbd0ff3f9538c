#include "root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cpio.h"
#include "disk.h"
#include "path.h"

/* In the initramfs. */
#define SHARE "/share"
#define LOWER "/lower"
#define LAYER "/layer"
#define UPPER "/upper"
#define OVERLAY "/overlay"

/* Of an initrd that was unpacked, in UPPER. */
#define UNPACKED UPPER "/root"
#define UNPACKED_LINKS UPPER "/links"

/* See docs/guest-protocol.md, "The root on disks". */
#define OVERLAY_OPTIONS(lower)                                                                                         \
	"lowerdir=" lower ",upperdir=" UPPER "/upper,workdir=" UPPER "/work,index=off,metacopy=off,redirect_dir=off," \
	"xino=on,uuid=null"

static struct root mounted;

static bool read_root(const struct urunc_record *record, struct root *root)
{
	struct urunc_value value = urunc_value_of(record);
	uint32_t flags = urunc_value_u32(&value);

	root->read_only = flags & URUNC_ROOT_READONLY;
	root->type = urunc_value_string(&value);
	root->source = urunc_value_string(&value);
	root->options = urunc_value_string(&value);
	root->subdirectory = urunc_value_string(&value);
	return urunc_value_whole(&value) && (flags & ~URUNC_ROOT_READONLY) == 0;
}

static bool read_overlay(const struct urunc_record *record, struct root *root)
{
	struct urunc_value value = urunc_value_of(record);
	uint32_t flags = urunc_value_u32(&value);

	root->kind = ROOT_OVERLAY;
	root->read_only = flags & URUNC_ROOT_READONLY;
	root->lower.type = urunc_value_string(&value);
	root->lower.serial = urunc_value_string(&value);
	root->lower.options = "";
	root->upper.type = urunc_value_string(&value);
	root->upper.serial = urunc_value_string(&value);
	root->upper.options = urunc_value_string(&value);
	return urunc_value_whole(&value) && (flags & ~URUNC_ROOT_READONLY) == 0 && disk_serial_valid(root->lower.serial) &&
	       (strcmp(root->upper.type, "tmpfs") == 0 ? *root->upper.serial == 0 : disk_serial_valid(root->upper.serial));
}

static bool read_layer(const struct urunc_record *record, struct root *root)
{
	struct urunc_value value = urunc_value_of(record);

	root->layer.type = urunc_value_string(&value);
	root->layer.serial = urunc_value_string(&value);
	root->layer.options = "";
	return urunc_value_whole(&value) && disk_serial_valid(root->layer.serial);
}

static bool read_disk(const struct urunc_record *record, struct root *root)
{
	struct urunc_value value = urunc_value_of(record);
	uint32_t flags = urunc_value_u32(&value);

	root->kind = ROOT_DISK;
	root->read_only = flags & URUNC_ROOT_READONLY;
	root->upper.type = urunc_value_string(&value);
	root->upper.serial = urunc_value_string(&value);
	root->upper.options = urunc_value_string(&value);
	return urunc_value_whole(&value) && (flags & ~URUNC_ROOT_READONLY) == 0 && disk_serial_valid(root->upper.serial);
}

static bool read_share(const struct urunc_record *record, struct root *root)
{
	struct urunc_value value = urunc_value_of(record);

	root->type = urunc_value_string(&value);
	root->source = urunc_value_string(&value);
	root->options = urunc_value_string(&value);
	return urunc_value_whole(&value);
}

bool root_read(struct urunc_records records, struct root *root, struct failure *failure)
{
	struct urunc_record record;
	unsigned roots = 0;
	unsigned shares = 0;
	unsigned layers = 0;
	bool whole = true;

	memset(root, 0, sizeof(*root));
	while (whole && urunc_record_next(&records, &record) == URUNC_RECORD_OK) {
		switch (record.tag) {
		case URUNC_ROOT:
			whole = read_root(&record, root);
			roots++;
			break;
		case URUNC_OVERLAY:
			whole = read_overlay(&record, root);
			roots++;
			break;
		case URUNC_DISK:
			whole = read_disk(&record, root);
			roots++;
			break;
		case URUNC_SHARE:
			whole = read_share(&record, root);
			shares++;
			break;
		case URUNC_LAYER:
			whole = read_layer(&record, root);
			layers++;
			break;
		default:
			break;
		}
	}
	if (!whole)
		return fail(failure, STATUS_OTHER, "the machine's root is not a valid record");
	if (roots != 1)
		return fail(failure, STATUS_OTHER, "the machine's document has %u roots, not one", roots);
	if (layers > (root->kind == ROOT_OVERLAY ? 1u : 0u))
		return fail(failure, STATUS_OTHER, "the machine's document has a layer too many");
	return shares <= (root->kind == ROOT_SHARE ? 0u : 1u) ||
	       fail(failure, STATUS_OTHER, "the machine's document has a share too many");
}

/* Nothing is shared: what would be bound from there has come with the initramfs. */
static bool is_in_initramfs(const struct root *root)
{
	return strcmp(root->type, "initramfs") == 0;
}

static bool mount_share(const struct root *root, struct failure *failure)
{
	(void)mkdir(SHARE, 0700);
	return is_in_initramfs(root) || mount(root->source, SHARE, root->type, 0, root->options) == 0 ||
	       fail_errno(failure, STATUS_OTHER, "mounting the root file system %s (%s)", root->source, root->type);
}

static bool mount_layer(const struct root_layer *layer, const char *target, unsigned long flags, struct failure *failure)
{
	char device[DISK_PATH];

	(void)mkdir(target, 0700);
	if (!*layer->serial)
		return mount("tmpfs", target, layer->type, flags, layer->options) == 0 ||
		       fail_errno(failure, STATUS_OTHER, "mounting a %s for what the root's files become", layer->type);
	if (!disk_path(layer->serial, device))
		return fail_errno(failure, STATUS_OTHER, "looking for the disk %s", layer->serial);
	return mount(device, target, layer->type, flags, layer->options) == 0 ||
	       fail_errno(failure, STATUS_OTHER, "mounting the disk %s (%s)", layer->serial, layer->type);
}

/* The root is the upper directory once there is one: a new one is to look as the root below it does. */
static bool make_upper(const char *below, struct failure *failure)
{
	struct stat lower;
	struct timespec times[2];
	bool done = mkdir(UPPER "/work", 0700) == 0 || errno == EEXIST;

	if (done && mkdir(UPPER "/upper", 0700) == 0) {
		done = stat(below, &lower) == 0 && chown(UPPER "/upper", lower.st_uid, lower.st_gid) == 0 &&
		       chmod(UPPER "/upper", lower.st_mode & 07777) == 0;
		times[0] = lower.st_atim;
		times[1] = lower.st_mtim;
		done = done && utimensat(AT_FDCWD, UPPER "/upper", times, 0) == 0;
	} else {
		done = done && errno == EEXIST;
	}
	return done || fail_errno(failure, STATUS_OTHER, "making the upper directory of the root");
}

static bool mount_overlay(const struct root *root, struct failure *failure)
{
	const char *options = root->layer.type ? OVERLAY_OPTIONS(LAYER ":" LOWER) : OVERLAY_OPTIONS(LOWER);

	if (!mount_layer(&root->lower, LOWER, MS_RDONLY, failure) ||
	    (root->layer.type && !mount_layer(&root->layer, LAYER, MS_RDONLY, failure)) ||
	    !mount_layer(&root->upper, UPPER, 0, failure) || !make_upper(root->layer.type ? LAYER : LOWER, failure))
		return false;
	(void)mkdir(OVERLAY, 0700);
	return mount("root", OVERLAY, "overlay", 0, options) == 0 ||
	       fail_errno(failure, STATUS_OTHER, "mounting the root as an overlay");
}

static bool is_initrd(const struct root *root)
{
	return root->kind == ROOT_DISK && strcmp(root->upper.type, "cpio") == 0;
}

static bool unpack_disk(int archive, struct failure *failure)
{
	int root = open(UNPACKED, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int links = open(UNPACKED_LINKS, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool done = (root >= 0 && links >= 0) || fail_errno(failure, STATUS_OTHER, "unpacking the initrd");

	done = done && cpio_unpack(archive, root, links, failure);
	if (root >= 0)
		(void)close(root);
	if (links >= 0)
		(void)close(links);
	return done;
}

static bool mount_initrd(const struct root *root, struct failure *failure)
{
	const struct root_layer memory = { .type = "tmpfs", .serial = "", .options = root->upper.options };
	char device[DISK_PATH];
	int archive;
	bool done;

	if (!mount_layer(&memory, UPPER, 0, failure))
		return false;
	if (!disk_path(root->upper.serial, device))
		return fail_errno(failure, STATUS_OTHER, "looking for the disk %s", root->upper.serial);
	archive = open(device, O_RDONLY | O_CLOEXEC);
	if (archive < 0 || mkdir(UNPACKED, 0755) < 0 || mkdir(UNPACKED_LINKS, 0700) < 0)
		return fail_errno(failure, STATUS_OTHER, "unpacking the initrd");
	done = unpack_disk(archive, failure);
	(void)close(archive);
	return done;
}

bool root_mount(struct urunc_records machine, struct failure *failure)
{
	if (!root_read(machine, &mounted, failure) || (mounted.type && !mount_share(&mounted, failure)))
		return false;
	switch (mounted.kind) {
	case ROOT_OVERLAY:
		return mount_overlay(&mounted, failure);
	case ROOT_DISK:
		return is_initrd(&mounted) ? mount_initrd(&mounted, failure)
					   : mount_layer(&mounted.upper, UPPER, 0, failure);
	case ROOT_SHARE:
		break;
	}
	return true;
}

int root_open_share(void)
{
	if (!mounted.type) {
		errno = ENODEV;
		return -1;
	}
	return open(SHARE, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int open_root(void)
{
	int share;
	int root;

	if (mounted.kind != ROOT_SHARE)
		return open(mounted.kind == ROOT_OVERLAY ? OVERLAY : is_initrd(&mounted) ? UNPACKED : UPPER,
			    O_PATH | O_DIRECTORY | O_CLOEXEC);
	share = root_open_share();
	root = share < 0 ? -1 : path_open(share, mounted.subdirectory, PATH_MUST_EXIST);
	if (share >= 0)
		(void)close(share);
	return root;
}

bool root_bind(const char *target, bool *read_only, struct failure *failure)
{
	char name[32];
	int root = open_root();
	bool done;

	(void)mkdir(target, 0700);
	done = root >= 0 && mount(path_of_descriptor(root, name), target, NULL, MS_BIND, NULL) == 0;
	if (!done)
		(void)fail_errno(failure, STATUS_OTHER, "mounting the root directory");
	if (root >= 0)
		(void)close(root);
	*read_only = mounted.read_only;
	return done;
}

static bool leave(const char *path, struct failure *failure)
{
	return umount2(path, MNT_DETACH) == 0 || fail_errno(failure, STATUS_OTHER, "leaving %s behind", path);
}

bool root_leave(struct failure *failure)
{
	return (!mounted.type || is_in_initramfs(&mounted) || leave(SHARE, failure)) &&
	       (mounted.kind != ROOT_OVERLAY || (leave(OVERLAY, failure) && leave(LOWER, failure))) &&
	       (!mounted.layer.type || leave(LAYER, failure)) &&
	       (mounted.kind == ROOT_SHARE || leave(UPPER, failure));
}

static bool make_read_only(const char *path)
{
	return mount(NULL, path, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0;
}

void root_settle(void)
{
	/* A tmpfs ends with the machine. */
	if (mounted.kind != ROOT_SHARE && *mounted.upper.serial && !is_initrd(&mounted) &&
	    ((mounted.kind == ROOT_OVERLAY && !make_read_only(OVERLAY)) || !make_read_only(UPPER))) {
		(void)umount2(OVERLAY, 0);
		(void)umount2(UPPER, 0);
		sync();
	}
	/*
	 * virtiofs keeps nothing back but pages of mappings, and these no longer than the mapping. To sync it would have the
	 * host write its whole disks.
	 */
	if (!mounted.type || is_in_initramfs(&mounted) || strcmp(mounted.type, "virtiofs") == 0)
		return;
	sync();
	/* As safe as to unmount it, which would first give back each file that was ever opened: a message for each. */
	if (!make_read_only(SHARE))
		(void)umount2(SHARE, 0);
}
