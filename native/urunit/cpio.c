#include "cpio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "path.h"

#define HEADER 110u
#define MAGIC_LENGTH 6u
#define FIELDS 13u
#define TRAILER "TRAILER!!!"

enum field { INODE, MODE, UID, GID, LINKS, TIME, SIZE, MAJOR, MINOR, NODE_MAJOR, NODE_MINOR, NAME_SIZE, CHECKSUM };

/* What is read of the archive, and where in it. */
struct reader {
	int file;
	uint64_t offset;
	size_t start;
	size_t end;
	uint8_t bytes[65536];
};

struct entry {
	uint32_t fields[FIELDS];
	/* Links of another archive are other files. */
	unsigned archive;
	char name[PATH_MAX];
};

/* What is there in one piece; 0: the end, or an error, which errno is then (0: none). */
static size_t ready(struct reader *reader, const uint8_t **bytes)
{
	ssize_t got;

	if (reader->start == reader->end) {
		do
			got = read(reader->file, reader->bytes, sizeof(reader->bytes));
		while (got < 0 && errno == EINTR);
		if (got <= 0) {
			errno = got < 0 ? errno : 0;
			return 0;
		}
		reader->start = 0;
		reader->end = (size_t)got;
	}
	*bytes = reader->bytes + reader->start;
	return reader->end - reader->start;
}

static void pass(struct reader *reader, size_t length)
{
	reader->start += length;
	reader->offset += length;
}

/* Exactly so many bytes, into `to` (NULL: nowhere). */
static bool take(struct reader *reader, void *to, size_t length)
{
	const uint8_t *bytes;
	size_t done;

	for (done = 0; done < length;) {
		size_t part = ready(reader, &bytes);

		if (part == 0)
			return false;
		if (part > length - done)
			part = length - done;
		if (to)
			memcpy((uint8_t *)to + done, bytes, part);
		pass(reader, part);
		done += part;
	}
	return true;
}

/* Names and contents end at a multiple of four. */
static bool align(struct reader *reader)
{
	return take(reader, NULL, (size_t)(-reader->offset & 3u));
}

static bool broken(const struct reader *reader, struct failure *failure)
{
	return errno != 0 ? fail_errno(failure, STATUS_OTHER, "reading the initrd")
			  : fail(failure, STATUS_OTHER, "the initrd is not a cpio archive, or is cut off, at byte %llu",
				 (unsigned long long)reader->offset);
}

static bool malformed(const struct reader *reader, struct failure *failure)
{
	errno = 0;
	return broken(reader, failure);
}

static bool read_number(const uint8_t *digits, uint32_t *number)
{
	unsigned i;

	*number = 0;
	for (i = 0; i < 8; i++) {
		uint8_t digit = digits[i];
		uint32_t value = digit >= '0' && digit <= '9'	? (uint32_t)(digit - '0')
				 : digit >= 'a' && digit <= 'f' ? (uint32_t)(digit - 'a' + 10)
				 : digit >= 'A' && digit <= 'F' ? (uint32_t)(digit - 'A' + 10)
								: 16;

		if (value > 15)
			return false;
		*number = *number << 4 | value;
	}
	return true;
}

static bool read_entry(struct reader *reader, struct entry *entry, struct failure *failure)
{
	uint8_t header[HEADER];
	unsigned i;

	if (!take(reader, header, sizeof(header)))
		return broken(reader, failure);
	if (memcmp(header, "070701", MAGIC_LENGTH) != 0 && memcmp(header, "070702", MAGIC_LENGTH) != 0)
		return malformed(reader, failure);
	for (i = 0; i < FIELDS; i++)
		if (!read_number(header + MAGIC_LENGTH + 8 * (size_t)i, &entry->fields[i]))
			return malformed(reader, failure);
	if (entry->fields[NAME_SIZE] < 1 || entry->fields[NAME_SIZE] > sizeof(entry->name))
		return malformed(reader, failure);
	if (!take(reader, entry->name, entry->fields[NAME_SIZE]) || !align(reader))
		return broken(reader, failure);
	return entry->name[entry->fields[NAME_SIZE] - 1] == 0 || malformed(reader, failure);
}

static bool not_made(const struct entry *entry, struct failure *failure)
{
	return errno == ENOSPC
		       ? fail(failure, STATUS_OTHER,
			      "the initrd does not fit into half of the machine's memory: give the container more")
		       : fail_errno(failure, STATUS_OTHER, "unpacking %s of the initrd", entry->name);
}

static bool own(int parent, const char *name, const struct entry *entry)
{
	return fchownat(parent, name, entry->fields[UID], entry->fields[GID], AT_SYMLINK_NOFOLLOW) == 0;
}

/* As is, whatever was there; a change of owner takes bits of the mode away. */
static bool dress(int parent, const char *name, const struct entry *entry)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = (time_t)entry->fields[TIME] } };

	return own(parent, name, entry) && fchmodat(parent, name, entry->fields[MODE] & 07777, 0) == 0 &&
	       utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Makes way for something that is no directory. */
static bool clear(int parent, const char *name)
{
	return unlinkat(parent, name, 0) == 0 || errno == ENOENT ||
	       (errno == EISDIR && unlinkat(parent, name, AT_REMOVEDIR) == 0);
}

static bool make_directory(int parent, const char *name, const struct entry *entry)
{
	struct stat status;

	if (mkdirat(parent, name, 0700) < 0) {
		if (errno != EEXIST || fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
			return false;
		if (!S_ISDIR(status.st_mode) && (unlinkat(parent, name, 0) < 0 || mkdirat(parent, name, 0700) < 0))
			return false;
	}
	return dress(parent, name, entry);
}

static bool make_link(struct reader *reader, int parent, const char *name, const struct entry *entry)
{
	char target[PATH_MAX];

	if (entry->fields[SIZE] >= sizeof(target) || !take(reader, target, entry->fields[SIZE])) {
		errno = errno == 0 ? EINVAL : errno;
		return false;
	}
	target[entry->fields[SIZE]] = 0;
	return clear(parent, name) && symlinkat(target, parent, name) == 0 && own(parent, name, entry);
}

static void name_of_file(const struct entry *entry, char name[64])
{
	(void)snprintf(name, 64, "%u-%x-%x-%x", entry->archive, entry->fields[MAJOR], entry->fields[MINOR],
		       entry->fields[INODE]);
}

/* A file's further name. The contents are with any one of them. */
static bool find_file(int links, int parent, const char *name, const struct entry *entry, int *file)
{
	char kept[64];

	*file = -1;
	if (entry->fields[LINKS] < 2)
		return true;
	name_of_file(entry, kept);
	if (faccessat(links, kept, F_OK, 0) < 0)
		return errno == ENOENT;
	if (!clear(parent, name) || linkat(links, kept, parent, name, 0) < 0)
		return false;
	*file = openat(parent, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	return *file >= 0;
}

static bool new_file(int links, int parent, const char *name, const struct entry *entry, int *file)
{
	char kept[64];

	if (!clear(parent, name))
		return false;
	*file = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	name_of_file(entry, kept);
	return *file >= 0 && (entry->fields[LINKS] < 2 || linkat(parent, name, links, kept, 0) == 0);
}

static bool write_whole(int file, const uint8_t *bytes, size_t length)
{
	while (length > 0) {
		ssize_t put = write(file, bytes, length);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		bytes += put;
		length -= (size_t)put;
	}
	return true;
}

static bool fill(struct reader *reader, int file, uint32_t size)
{
	const uint8_t *bytes;

	while (size > 0) {
		size_t part = ready(reader, &bytes);

		if (part == 0) {
			errno = errno == 0 ? EIO : errno;
			return false;
		}
		if (part > size)
			part = size;
		if (!write_whole(file, bytes, part))
			return false;
		pass(reader, part);
		size -= (uint32_t)part;
	}
	return true;
}

static bool make_file(struct reader *reader, int links, int parent, const char *name, const struct entry *entry)
{
	int file;
	bool done = find_file(links, parent, name, entry, &file) &&
		    (file >= 0 || new_file(links, parent, name, entry, &file)) && fill(reader, file, entry->fields[SIZE]);
	int saved = errno;

	if (file >= 0)
		(void)close(file);
	errno = saved;
	return done && dress(parent, name, entry);
}

static bool make_node(int parent, const char *name, const struct entry *entry)
{
	return clear(parent, name) &&
	       mknodat(parent, name, entry->fields[MODE], makedev(entry->fields[NODE_MAJOR], entry->fields[NODE_MINOR])) ==
		       0 &&
	       dress(parent, name, entry);
}

static bool make_entry(struct reader *reader, int root, int links, const struct entry *entry)
{
	char name[256];
	int parent;
	bool done;
	int saved;

	/* The root itself. */
	if (entry->name[strspn(entry->name, "./")] == 0)
		return S_ISDIR(entry->fields[MODE]) && dress(root, ".", entry);
	parent = path_open_parent(root, entry->name, name);
	if (parent < 0)
		return false;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		(void)close(parent);
		errno = EINVAL;
		return false;
	}
	switch (entry->fields[MODE] & S_IFMT) {
	case S_IFDIR:
		done = make_directory(parent, name, entry);
		break;
	case S_IFLNK:
		done = make_link(reader, parent, name, entry);
		break;
	case S_IFREG:
		done = make_file(reader, links, parent, name, entry);
		break;
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		done = make_node(parent, name, entry);
		break;
	default:
		errno = EINVAL;
		done = false;
	}
	saved = errno;
	(void)close(parent);
	errno = saved;
	return done;
}

/* Which make_entry has taken then. */
static bool has_contents(const struct entry *entry)
{
	return S_ISREG(entry->fields[MODE]) || S_ISLNK(entry->fields[MODE]);
}

/* Behind an archive: whether another one follows. */
static bool skip_zeros(struct reader *reader)
{
	const uint8_t *bytes;
	size_t length;

	errno = 0;
	while ((length = ready(reader, &bytes)) > 0) {
		size_t zeros = 0;

		while (zeros < length && bytes[zeros] == 0)
			zeros++;
		pass(reader, zeros);
		if (zeros < length)
			return true;
	}
	return false;
}

static void empty(int links)
{
	int again = openat(links, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = again < 0 ? NULL : fdopendir(again);
	struct dirent *entry;

	if (!directory)
		return;
	while ((entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			(void)unlinkat(links, entry->d_name, 0);
	(void)closedir(directory);
}

static bool unpack(struct reader *reader, int root, int links, struct failure *failure)
{
	static struct entry entry;
	bool some = false;

	entry.archive = 0;
	while (skip_zeros(reader)) {
		/* The kernel too wants an archive to begin at a multiple of four. */
		if ((reader->offset & 3u) != 0)
			return malformed(reader, failure);
		for (;;) {
			errno = 0;
			if (!read_entry(reader, &entry, failure))
				return false;
			if (strcmp(entry.name, TRAILER) == 0)
				break;
			errno = 0;
			if (!make_entry(reader, root, links, &entry))
				return not_made(&entry, failure);
			if ((!has_contents(&entry) && !take(reader, NULL, entry.fields[SIZE])) || !align(reader))
				return broken(reader, failure);
			some = true;
		}
		entry.archive++;
	}
	if (errno != 0)
		return broken(reader, failure);
	return some || malformed(reader, failure);
}

bool cpio_unpack(int archive, int root, int links, struct failure *failure)
{
	static struct reader reader;
	bool done;

	reader.file = archive;
	reader.offset = 0;
	reader.start = reader.end = 0;
	done = unpack(&reader, root, links, failure);
	empty(links);
	return done;
}
