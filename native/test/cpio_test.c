/* An initrd's archive, as well-formed as it comes. */
#include <stdlib.h>
#include <sys/stat.h>

#include "../urunit/cpio.c"
#include "../urunit/failure.c"
#include "../urunit/path.c"
#include "check.h"
#include "scratch.h"

static char archive[1 << 20];
static size_t length;
static struct failure failure;

static void begin(void)
{
	length = 0;
}

static void pad(void)
{
	while (length % 4 != 0)
		archive[length++] = 0;
}

static void add_all(const char *name, unsigned mode, unsigned inode, unsigned links, const char *contents, size_t size)
{
	length += (size_t)snprintf(archive + length, sizeof archive - length, "070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X", inode,
				   mode, 0u, 0u, links, 1000000000u, size, 8u, 1u, 1u, 3u, strlen(name) + 1, 0u);
	memcpy(archive + length, name, strlen(name) + 1);
	length += strlen(name) + 1;
	pad();
	if (size > 0)
		memcpy(archive + length, contents, size);
	length += size;
	pad();
}

static void add(const char *name, unsigned mode, const char *contents)
{
	add_all(name, mode, 1, 1, contents, strlen(contents));
}

static void end(void)
{
	add_all(TRAILER, 0, 0, 1, "", 0);
}

/* Of exactly so many bytes, into an empty root. */
static bool unpack_bytes(size_t size)
{
	int file = open(path_in("archive"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	int root, links;
	bool done;

	CHECK_EQUAL(write(file, archive, size), (ssize_t)size);
	CHECK_EQUAL(lseek(file, 0, SEEK_SET), 0);
	(void)nftw(path_in("root"), remove_one, 16, FTW_DEPTH | FTW_PHYS);
	(void)mkdir(path_in("root"), 0755);
	(void)mkdir(path_in("links"), 0700);
	root = open(path_in("root"), O_PATH | O_DIRECTORY);
	links = open(path_in("links"), O_PATH | O_DIRECTORY);
	memset(&failure, 0, sizeof failure);
	done = cpio_unpack(file, root, links, &failure);
	(void)close(file);
	(void)close(root);
	(void)close(links);
	/* Nothing is left in it. */
	CHECK_EQUAL(rmdir(path_in("links")), 0);
	return done;
}

static void expect_unpacked(void)
{
	if (unpack_bytes(length))
		return;
	fprintf(stderr, "refused: %s\n", failure.sentence);
	CHECK(false);
}

static void expect_refused(const char *part)
{
	CHECK(!unpack_bytes(length));
	if (!strstr(failure.sentence, part))
		CHECK_STRING(failure.sentence, part);
	CHECK_EQUAL(failure.status, 128);
}

static void expect_contents(const char *name, const char *wanted)
{
	char got[256] = "";
	int file = open(path_in(name), O_RDONLY);

	CHECK(file >= 0);
	CHECK(read(file, got, sizeof got - 1) >= 0);
	(void)close(file);
	CHECK_STRING(got, wanted);
}

static void expect_mode(const char *name, unsigned mode)
{
	struct stat status;

	CHECK_EQUAL(lstat(path_in(name), &status), 0);
	CHECK_EQUAL(status.st_mode, mode);
}

static void test_kinds(void)
{
	char target[16];
	struct stat status;

	begin();
	add(".", S_IFDIR | 0751, "");
	add("bin", S_IFDIR | 01777, "");
	add("bin/tool", S_IFREG | 06755, "#!");
	add("./deep/er/file", S_IFREG | 0600, "made its way");
	add("/absolute", S_IFREG | 0644, "inside");
	add("link", S_IFLNK | 0777, "bin/tool");
	add("fifo", S_IFIFO | 0640, "");
	add("socket", S_IFSOCK | 0600, "");
	add("null", S_IFCHR | 0666, "");
	end();
	expect_unpacked();
	expect_mode("root", S_IFDIR | 0751);
	expect_mode("root/bin", S_IFDIR | 01777);
	expect_mode("root/bin/tool", S_IFREG | 06755);
	expect_contents("root/deep/er/file", "made its way");
	expect_contents("root/absolute", "inside");
	CHECK_EQUAL(readlink(path_in("root/link"), target, sizeof target), 8);
	expect_mode("root/fifo", S_IFIFO | 0640);
	expect_mode("root/socket", S_IFSOCK | 0600);
	CHECK_EQUAL(lstat(path_in("root/null"), &status), 0);
	CHECK(S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3));
	CHECK_EQUAL(stat(path_in("root/bin/tool"), &status), 0);
	CHECK_EQUAL(status.st_mtime, 1000000000);
}

/* The contents come with the last name, as cpio(1) writes them, or with the first. */
static void test_links(void)
{
	struct stat status;

	begin();
	add_all("a", S_IFREG | 0644, 5, 3, "", 0);
	add_all("b", S_IFREG | 0644, 5, 3, "", 0);
	add_all("d/c", S_IFREG | 0644, 5, 3, "last", 4);
	add_all("e", S_IFREG | 0644, 6, 2, "first", 5);
	add_all("f", S_IFREG | 0644, 6, 2, "", 0);
	end();
	/* Of another archive, which is another file. */
	add_all("g", S_IFREG | 0644, 6, 2, "other", 5);
	end();
	expect_unpacked();
	expect_contents("root/a", "last");
	expect_contents("root/d/c", "last");
	expect_contents("root/f", "first");
	expect_contents("root/g", "other");
	CHECK_EQUAL(stat(path_in("root/b"), &status), 0);
	CHECK_EQUAL(status.st_nlink, 3);
	CHECK_EQUAL(stat(path_in("root/e"), &status), 0);
	CHECK_EQUAL(status.st_nlink, 2);
}

static void test_replaced(void)
{
	begin();
	add("file", S_IFREG | 0644, "a long first one");
	add("empty", S_IFDIR | 0755, "");
	add("way", S_IFLNK | 0777, "/elsewhere");
	add("full/kept", S_IFREG | 0644, "kept");
	end();
	memset(archive + length, 0, 512);
	length += 512;
	add("file", S_IFREG | 0600, "second");
	add("empty", S_IFREG | 0644, "no directory");
	add("way", S_IFDIR | 0755, "");
	add("full", S_IFDIR | 0700, "");
	end();
	expect_unpacked();
	expect_contents("root/file", "second");
	expect_contents("root/empty", "no directory");
	expect_mode("root/way", S_IFDIR | 0755);
	expect_contents("root/full/kept", "kept");
	expect_mode("root/full", S_IFDIR | 0700);
	begin();
	add("full/kept", S_IFREG | 0644, "kept");
	add("full", S_IFREG | 0644, "");
	end();
	expect_refused("unpacking full of the initrd");
}

/* Whatever the names and links are, nothing is made beside the root. */
static void test_inside(void)
{
	struct stat status;

	begin();
	add("up", S_IFLNK | 0777, "../..");
	add("up/out1", S_IFREG | 0644, "x");
	add("../../out2", S_IFREG | 0644, "x");
	add("root", S_IFLNK | 0777, directory);
	end();
	expect_unpacked();
	CHECK(lstat(path_in("out1"), &status) < 0 && lstat(path_in("out2"), &status) < 0);
	expect_contents("root/out1", "x");
	expect_contents("root/out2", "x");
	begin();
	add("a/..", S_IFDIR | 0700, "");
	end();
	expect_refused("unpacking a/.. of the initrd");
}

static void test_broken(void)
{
	size_t whole;
	size_t i;

	begin();
	expect_refused("not a cpio archive, or is cut off, at byte 0");
	end();
	expect_refused("not a cpio archive");
	begin();
	add("file", S_IFREG | 0644, "contents");
	add("link", S_IFLNK | 0777, "file");
	end();
	whole = length;
	for (i = 0; i < whole - 3; i++)
		CHECK(!unpack_bytes(i));
	expect_unpacked();
	add("tail", S_IFREG | 0644, "");
	expect_refused("is cut off");
	begin();
	(void)memcpy(archive, "\x1f\x8b", 2);
	length = 4096;
	expect_refused("not a cpio archive, or is cut off, at byte 110");
	begin();
	add("odd", S_IFREG | 0644, "");
	end();
	memset(archive + length, 0, 2);
	length += 2;
	memcpy(archive + length, "070701", 6);
	length += 6;
	expect_refused("not a cpio archive");
	begin();
	add("strange", 0170000, "");
	end();
	expect_refused("unpacking strange");
}

/* Each byte of an archive changed in turn: it is taken or refused, and nothing is made beside the root. */
static void test_by_chance(void)
{
	struct stat status;
	unsigned seed = 1;
	size_t i;

	begin();
	add("d", S_IFDIR | 0755, "");
	add_all("d/a", S_IFREG | 0644, 5, 2, "one", 3);
	add_all("b", S_IFREG | 0644, 5, 2, "", 0);
	add("l", S_IFLNK | 0777, "d/a");
	end();
	for (i = 0; i < length; i++) {
		char was = archive[i];

		seed = seed * 1103515245u + 12345u;
		archive[i] = "0f/.\0:"[seed >> 16 & 3];
		(void)unpack_bytes(length);
		archive[i] = was;
		CHECK(lstat(path_in("a"), &status) < 0 && lstat(path_in("b"), &status) < 0);
	}
}

int main(void)
{
	(void)umask(0);
	make_scratch();
	test_kinds();
	test_links();
	test_replaced();
	test_inside();
	test_broken();
	test_by_chance();
	remove_scratch();
	return 0;
}
