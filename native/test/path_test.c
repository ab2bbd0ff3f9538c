/* Paths inside a root whose links try to leave it. */
#include <fcntl.h>

#include "../urunit/path.c"
#include "scratch_files.h"

static int root;

/* True if the descriptor is what `name` is in the test's directory; closes it. */
static bool leads_to(int descriptor, const char *name)
{
	struct stat got, wanted;

	CHECK(descriptor >= 0);
	CHECK_EQUAL(fstat(descriptor, &got), 0);
	CHECK_EQUAL(stat(path_in(name), &wanted), 0);
	close(descriptor);
	return got.st_dev == wanted.st_dev && got.st_ino == wanted.st_ino;
}

static void no_way(const char *path, enum path_kind kind, int wanted)
{
	int got;

	errno = 0;
	got = path_open(root, path, kind);
	CHECK_EQUAL(got, -1);
	if (wanted != 0)
		CHECK_EQUAL(errno, wanted);
}

static bool is_there(const char *name)
{
	struct stat status;

	return lstat(path_in(name), &status) == 0;
}

static void make_root(void)
{
	make_directory("outside");
	make_file("outside/secret", 0644, "");
	make_directory("root");
	make_directory("root/real");
	make_file("root/real/file", 0644, "");
	CHECK_EQUAL(symlink("../../../../outside", path_in("root/up")), 0);
	CHECK_EQUAL(symlink("../../../../real", path_in("root/up-inside")), 0);
	CHECK_EQUAL(symlink("/real", path_in("root/absolute")), 0);
	CHECK_EQUAL(symlink(path_in("outside"), path_in("root/out")), 0);
	CHECK_EQUAL(symlink("loop-b", path_in("root/loop-a")), 0);
	CHECK_EQUAL(symlink("loop-a", path_in("root/loop-b")), 0);
	CHECK_EQUAL(symlink("/", path_in("root/real/top")), 0);
	root = open(path_in("root"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK(root >= 0);
}

static void test_paths_found(void)
{
	CHECK(leads_to(path_open(root, "real/file", PATH_MUST_EXIST), "root/real/file"));
	CHECK(leads_to(path_open(root, "//real///file", PATH_MUST_EXIST), "root/real/file"));
	CHECK(leads_to(path_open(root, "/real/", PATH_MUST_EXIST), "root/real"));
	CHECK(leads_to(path_open(root, "", PATH_MUST_EXIST), "root"));
	CHECK(leads_to(path_open(root, "///", PATH_MAKE_DIRECTORY), "root"));
	CHECK(leads_to(path_open(root, "..", PATH_MUST_EXIST), "root"));
	CHECK(leads_to(path_open(root, "/../../real/../..", PATH_MAKE_DIRECTORY), "root"));
	CHECK(leads_to(path_open(root, "absolute/file", PATH_MUST_EXIST), "root/real/file"));
	CHECK(leads_to(path_open(root, "up-inside", PATH_MUST_EXIST), "root/real"));
	CHECK(leads_to(path_open(root, "real/top/real/top", PATH_MUST_EXIST), "root"));
	CHECK(leads_to(path_open(root, "real/top/..", PATH_MUST_EXIST), "root"));
	/* What is there already is taken, whatever it is. */
	CHECK(leads_to(path_open(root, "real", PATH_MAKE_FILE), "root/real"));
	CHECK(leads_to(path_open(root, "real/file", PATH_MAKE_DIRECTORY), "root/real/file"));
}

/* As runc: what a link leads to is made, inside the root. */
static void test_paths_behind_dangling_links(void)
{
	CHECK_EQUAL(symlink("/made", path_in("root/dangling")), 0);
	CHECK_EQUAL(symlink("dangling", path_in("root/real/chain")), 0);
	CHECK_EQUAL(symlink("/dangling", path_in("root/real/again")), 0);
	CHECK_EQUAL(symlink("../../../../escaped", path_in("root/real/away")), 0);
	CHECK(leads_to(path_open(root, "dangling/a/b", PATH_MAKE_DIRECTORY), "root/made/a/b"));
	CHECK(leads_to(path_open(root, "real/chain", PATH_MAKE_FILE), "root/real/dangling"));
	CHECK(leads_to(path_open(root, "real/again/c", PATH_MAKE_FILE), "root/made/c"));
	CHECK(leads_to(path_open(root, "real/away", PATH_MAKE_DIRECTORY), "root/escaped"));
}

static void test_paths_refused(void)
{
	static const char *const away[] = { "up", "up/secret", "out", "out/secret", "../outside", "/../outside/secret",
					    "real/../../outside/secret", "real/top/../outside" };
	char *longest = malloc(PATH_MAX + 1);
	int host;
	size_t i;

	for (i = 0; i < sizeof away / sizeof away[0]; i++)
		no_way(away[i], PATH_MUST_EXIST, ENOENT);
	no_way("loop-a", PATH_MUST_EXIST, ELOOP);
	no_way("loop-a/x", PATH_MAKE_DIRECTORY, ELOOP);
	no_way("real/file/x", PATH_MAKE_FILE, ENOTDIR);
	no_way("real/file/x/y", PATH_MAKE_DIRECTORY, ENOTDIR);
	CHECK(longest);
	memset(longest, 'x', PATH_MAX);
	longest[PATH_MAX] = 0;
	no_way(longest, PATH_MAKE_DIRECTORY, ENAMETOOLONG);
	for (i = 2; i < PATH_MAX; i += 2)
		longest[i] = '/';
	longest[PATH_MAX - 1] = 0;
	no_way(longest, PATH_MUST_EXIST, ENOENT);
	free(longest);
	/* A process's own links in /proc lead out of every root. */
	host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK_EQUAL(path_open(host, "proc/self/root", PATH_MUST_EXIST), -1);
	CHECK_EQUAL(errno, ELOOP);
	close(host);
}

static void expect_mode(const char *name, mode_t mode)
{
	struct stat status;

	CHECK_EQUAL(lstat(path_in(name), &status), 0);
	CHECK_EQUAL(status.st_mode, mode);
}

static void test_paths_made(void)
{
	static const char *const away[] = { "up/made", "out/made", "out/made/deeper", "../outside/made", "up-inside/../../outside/made" };
	size_t i;
	int made;

	CHECK(leads_to(path_open(root, "/new/a//b/", PATH_MAKE_DIRECTORY), "root/new/a/b"));
	expect_mode("root/new", S_IFDIR | 0755);
	expect_mode("root/new/a/b", S_IFDIR | 0755);
	CHECK(leads_to(path_open(root, "new/c/file", PATH_MAKE_FILE), "root/new/c/file"));
	expect_mode("root/new/c", S_IFDIR | 0755);
	expect_mode("root/new/c/file", S_IFREG | 0644);
	CHECK(leads_to(path_open(root, "plain", PATH_MAKE_FILE), "root/plain"));
	CHECK(leads_to(path_open(root, "absolute/made", PATH_MAKE_DIRECTORY), "root/real/made"));
	CHECK(leads_to(path_open(root, "up-inside/made2/x", PATH_MAKE_FILE), "root/real/made2/x"));
	CHECK(leads_to(path_open(root, "new/../sibling", PATH_MAKE_DIRECTORY), "root/sibling"));
	for (i = 0; i < sizeof away / sizeof away[0]; i++) {
		made = path_open(root, away[i], i % 2 ? PATH_MAKE_DIRECTORY : PATH_MAKE_FILE);
		if (made >= 0)
			close(made);
		CHECK(!is_there("outside/made"));
	}
	/* Where `..` ended, inside of the root. */
	CHECK(is_there("root/outside/made"));
	CHECK(!is_there("made"));
}

static void test_path_parents(void)
{
	char path[300] = "deep/", name[256], buffer[32];
	int directory_of;

	directory_of = path_open_parent(root, "/parents/x/device", name);
	CHECK_STRING(name, "device");
	CHECK(leads_to(directory_of, "root/parents/x"));
	CHECK(!is_there("root/parents/x/device"));
	CHECK(leads_to(path_open_parent(root, "device/", name), "root"));
	CHECK_STRING(name, "device");
	CHECK(leads_to(path_open_parent(root, "absolute/file", name), "root/real"));
	CHECK_STRING(name, "file");
	for (const char *const *bad = (const char *const[]){ "", "/", "..", ".", "real/..", "real/.", "///", NULL }; *bad; bad++) {
		errno = 0;
		CHECK_EQUAL(path_open_parent(root, *bad, name), -1);
		CHECK_EQUAL(errno, EINVAL);
	}
	memset(path + 5, 'n', 255);
	CHECK(leads_to(path_open_parent(root, path, name), "root/deep"));
	CHECK_EQUAL(strlen(name), 255);
	path[5 + 255] = 'n';
	CHECK_EQUAL(path_open_parent(root, path, name), -1);
	CHECK_STRING(path_of_descriptor(INT_MAX, buffer), "/proc/self/fd/2147483647");
	close(root);
}

int main(void)
{
	(void)umask(0);
	make_scratch();
	make_root();
	test_paths_found();
	test_paths_behind_dangling_links();
	test_paths_refused();
	test_paths_made();
	test_path_parents();
	remove_scratch();
	return 0;
}
