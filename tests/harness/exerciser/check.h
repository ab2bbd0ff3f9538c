#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern int failed_line;
/* `written` or `sparse`. */
extern const char *fill_mode;

/* A check ends where something is not as it should be: with the error of the last call, or 0 where none has failed. */
#define WANT(condition)                          \
	do {                                     \
		if (!(condition)) {              \
			failed_line = __LINE__;  \
			return -1;               \
		}                                \
		errno = 0;                       \
	} while (0)
#define WANT_ERROR(number, call) WANT((call) == -1 && errno == (number))

/* A file with this text and nothing else. */
int make(const char *path, const char *text);
/* 1: the file has this text and nothing else; it must not have more than 255 bytes. */
int holds(const char *path, const char *text);
/* The exit status of what a child does; -1: it did not end by itself. */
int in_child(int (*act)(void));

/* The checks: 0, or -1 as WANT gives it. */
int create(void);
int directories(void);
int rename_over(void);
int rename_across(void);
int rename_noreplace(void);
int rename_exchange(void);
int hard_link(void);
int symbolic_link(void);
int xattr_user(void);
int xattr_trusted(void);
int xattr_capability(void);
int access_list(void);
int change_mode(void);
int change_owner(void);
int permissions(void);
int timestamps(void);
int nanoseconds(void);
int lock_fcntl(void);
int lock_flock(void);
int mmap_shared(void);
int execute(void);
int sparse(void);
int seek_hole(void);
int truncated(void);
int allocate(void);
int punch_hole(void);
int unlink_open(void);
int unnamed(void);
int synchronise(void);
int direct_io(void);
int copy_range(void);
int long_names(void);
int names_of_bytes(void);
int deep_path(void);
int deeper_than_a_path(void);
int append_at_once(void);
int file_system(void);
int fifo(void);
int unix_socket(void);
int device_node(void);
int many(void);
int large(void);
