/* Where the root comes from: the document's records, the disk that bears a serial. */
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>

#include "../urunit/cpio.c"
#include "../urunit/disk.c"
#include "../urunit/failure.c"
#include "../urunit/path.c"
#include "../urunit/root.c"
#include "check.h"
#include "frame.h"

static char directory[] = "/tmp/urunc-test-XXXXXX";
static uint8_t draft[4096];
static size_t drafted;
static struct root root;
static struct failure failure;

static void begin(void)
{
	drafted = 0;
}

static void add(uint16_t tag, const void *value, size_t length)
{
	uint8_t *at = draft + drafted;

	CHECK(drafted + URUNC_RECORD_HEADER + length <= sizeof draft);
	memset(at, 0, URUNC_RECORD_HEADER);
	urunc_put16(at, tag);
	urunc_put32(at + 4, (uint32_t)length);
	memcpy(at + URUNC_RECORD_HEADER, value, length);
	drafted += URUNC_RECORD_HEADER + length;
}

/* Of a string constant with all its NULs. */
#define ADD(tag, text) add((tag), (text), sizeof(text))

static uint8_t *copy;

/* From a copy of exactly the size, so that reading on would be noticed. */
static bool read_draft(void)
{
	free(copy);
	copy = malloc(drafted);
	CHECK(copy);
	memcpy(copy, draft, drafted);
	memset(&root, 'Z', sizeof root);
	return root_read((struct urunc_records){ copy, copy + drafted }, &root, &failure);
}

static void expect_refused(const char *sentence)
{
	CHECK(!read_draft());
	CHECK_STRING(failure.sentence, sentence);
	CHECK_EQUAL(failure.status, 128);
}

static void test_share(void)
{
	begin();
	ADD(URUNC_ROOT, "\1\0\0\0" "9p\0share\0trans=virtio\0rootfs");
	CHECK(read_draft());
	CHECK(root.kind == ROOT_SHARE && root.read_only);
	CHECK_STRING(root.type, "9p");
	CHECK_STRING(root.source, "share");
	CHECK_STRING(root.options, "trans=virtio");
	CHECK_STRING(root.subdirectory, "rootfs");
}

static void test_overlay(void)
{
	begin();
	ADD(URUNC_OVERLAY, "\0\0\0\0" "erofs\0a.B-9_\0ext4\0" "01234567890123456789\0noatime");
	CHECK(read_draft());
	CHECK(root.kind == ROOT_OVERLAY && !root.read_only && !root.type);
	CHECK_STRING(root.lower.type, "erofs");
	CHECK_STRING(root.lower.serial, "a.B-9_");
	CHECK_STRING(root.lower.options, "");
	CHECK_STRING(root.upper.type, "ext4");
	CHECK_STRING(root.upper.serial, "01234567890123456789");
	CHECK_STRING(root.upper.options, "noatime");
	ADD(URUNC_SHARE, "virtiofs\0share\0");
	CHECK(read_draft());
	CHECK_STRING(root.type, "virtiofs");
	CHECK(!root.subdirectory);
	begin();
	ADD(URUNC_OVERLAY, "\1\0\0\0" "ext4\0x\0tmpfs\0\0size=1m");
	CHECK(read_draft());
	CHECK(root.read_only);
	CHECK_STRING(root.upper.serial, "");
	CHECK(!root.layer.type);
}

static void test_layer(void)
{
	begin();
	ADD(URUNC_LAYER, "erofs\0layer");
	ADD(URUNC_OVERLAY, "\0\0\0\0" "ext4\0lower\0tmpfs\0\0");
	CHECK(read_draft());
	CHECK_STRING(root.lower.serial, "lower");
	CHECK_STRING(root.layer.type, "erofs");
	CHECK_STRING(root.layer.serial, "layer");
	CHECK_STRING(root.layer.options, "");
	ADD(URUNC_LAYER, "erofs\0other");
	expect_refused("the machine's document has a layer too many");
	begin();
	ADD(URUNC_LAYER, "erofs\0layer");
	ADD(URUNC_DISK, "\0\0\0\0" "ext4\0root\0");
	expect_refused("the machine's document has a layer too many");
	begin();
	ADD(URUNC_OVERLAY, "\0\0\0\0" "ext4\0lower\0tmpfs\0\0");
	ADD(URUNC_LAYER, "erofs\0../layer");
	expect_refused("the machine's root is not a valid record");
}

static void test_disk(void)
{
	begin();
	ADD(URUNC_DISK, "\1\0\0\0" "cpio\0root\0");
	CHECK(read_draft());
	CHECK(root.kind == ROOT_DISK && root.read_only && !root.type && is_initrd(&root));
	CHECK_STRING(root.upper.serial, "root");
	ADD(URUNC_SHARE, "virtiofs\0share\0");
	CHECK(read_draft());
	CHECK_STRING(root.source, "share");
	CHECK(!is_in_initramfs(&root));
	begin();
	ADD(URUNC_DISK, "\0\0\0\0" "ext4\0\0");
	expect_refused("the machine's root is not a valid record");
}

static void test_devices(void)
{
	char path[DISK_PATH];

	begin();
	ADD(URUNC_OVERLAY, "\0\0\0\0" "erofs\0/dev/vda\0ext4\0/dev/vdz\0");
	ADD(URUNC_SHARE, "initramfs\0share\0");
	CHECK(read_draft());
	CHECK_STRING(root.lower.serial, "/dev/vda");
	CHECK_STRING(root.upper.serial, "/dev/vdz");
	CHECK(is_in_initramfs(&root));
	CHECK(!disk_serial_valid("/dev/vd") && !disk_serial_valid("/dev/vdA") && !disk_serial_valid("/dev/vda1"));
	CHECK(!disk_serial_valid("/dev/sda") && !disk_serial_valid("/dev/vd/") && !disk_serial_valid("dev/vda"));
	errno = 0;
	CHECK(!disk_path("/dev/vdz", path));
	CHECK_EQUAL(errno, ENOENT);
	CHECK_STRING(path, "/dev/vdz");
}

static void test_refused(void)
{
	static const struct {
		const char *value;
		size_t length;
	} wrong[] = {
#define WRONG(text) { (text), sizeof(text) }
		WRONG("\2\0\0\0" "erofs\0a\0tmpfs\0\0"),
		WRONG("\0\0\0\0" "erofs\0\0tmpfs\0\0"),
		WRONG("\0\0\0\0" "erofs\0../a\0tmpfs\0\0"),
		WRONG("\0\0\0\0" "erofs\0" "012345678901234567890\0tmpfs\0\0"),
		WRONG("\0\0\0\0" "erofs\0a\0tmpfs\0b\0"),
		WRONG("\0\0\0\0" "erofs\0a\0ext4\0\0"),
		WRONG("\0\0\0\0" "erofs\0a\0ext4\0b/c\0"),
		WRONG("\0\0\0\0" "erofs\0a\0tmpfs\0"),
		WRONG("\0\0\0\0" "erofs\0a\0tmpfs\0\0\0x"),
		WRONG("\0\0"),
	};
	size_t i;

	for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		begin();
		add(URUNC_OVERLAY, wrong[i].value, wrong[i].length);
		expect_refused("the machine's root is not a valid record");
	}
	begin();
	ADD(URUNC_ROOT, "\2\0\0\0" "9p\0share\0\0");
	expect_refused("the machine's root is not a valid record");
	begin();
	expect_refused("the machine's document has 0 roots, not one");
	ADD(URUNC_SHARE, "9p\0share\0");
	expect_refused("the machine's document has 0 roots, not one");
	ADD(URUNC_ROOT, "\0\0\0\0" "9p\0share\0\0");
	expect_refused("the machine's document has a share too many");
	ADD(URUNC_OVERLAY, "\0\0\0\0" "erofs\0a\0tmpfs\0\0");
	expect_refused("the machine's document has 2 roots, not one");
	begin();
	ADD(URUNC_OVERLAY, "\0\0\0\0" "erofs\0a\0tmpfs\0\0");
	ADD(URUNC_SHARE, "9p\0share\0");
	ADD(URUNC_SHARE, "9p\0share\0");
	expect_refused("the machine's document has a share too many");
}

static void make_disk(const char *name, const char *serial)
{
	char path[128];
	int file;

	(void)snprintf(path, sizeof path, "%s/%s", directory, name);
	CHECK_EQUAL(mkdir(path, 0755), 0);
	if (!serial)
		return;
	(void)snprintf(path, sizeof path, "%s/%s/serial", directory, name);
	file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
	CHECK_EQUAL(write(file, serial, strlen(serial)), (ssize_t)strlen(serial));
	(void)close(file);
}

static void test_disks(void)
{
	char name[8];

	errno = 0;
	CHECK(!disk_find("/nonexistent", "lower", name, sizeof name));
	CHECK_EQUAL(errno, ENOENT);
	make_disk("vda", "lower");
	make_disk("vdb", "upper\n");
	make_disk("vdc", "01234567890123456789");
	make_disk("vdd", "012345678901234567890");
	make_disk("loop0", NULL);
	make_disk("vde", "");
	make_disk("overlong", "long");
	make_disk("vdf", "twice");
	make_disk("vdg", "twice");
	CHECK(disk_find(directory, "lower", name, sizeof name));
	CHECK_STRING(name, "vda");
	CHECK(disk_find(directory, "upper", name, sizeof name));
	CHECK_STRING(name, "vdb");
	CHECK(disk_find(directory, "01234567890123456789", name, sizeof name));
	CHECK_STRING(name, "vdc");
	CHECK(!disk_find(directory, "0123456789012345678", name, sizeof name));
	CHECK_EQUAL(errno, ENXIO);
	CHECK(!disk_find(directory, "lowe", name, sizeof name));
	CHECK(!disk_find(directory, "long", name, sizeof name));
	CHECK(!disk_find(directory, "twice", name, sizeof name));
	CHECK_EQUAL(errno, EEXIST);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

int main(void)
{
	CHECK(mkdtemp(directory));
	test_share();
	test_overlay();
	test_layer();
	test_disk();
	test_refused();
	test_devices();
	test_disks();
	free(copy);
	CHECK_EQUAL(nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	return 0;
}
