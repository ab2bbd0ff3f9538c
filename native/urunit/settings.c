#include "settings.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "program.h"

#define GROUPS_MAX 65536u
#define UMASK_LEAVE 0xffffffffu

enum capability_set { BOUNDING, EFFECTIVE, INHERITABLE, PERMITTED, AMBIENT };

bool machine_check(struct urunc_records machine, struct failure *failure)
{
	struct urunc_record record;
	enum urunc_record_result result;

	while ((result = urunc_record_next(&machine, &record)) == URUNC_RECORD_OK) {
		switch (record.tag) {
		case URUNC_HOSTNAME:
		case URUNC_DOMAINNAME:
		case URUNC_LINK:
		case URUNC_ADDRESS:
		case URUNC_ROUTE:
		case URUNC_DEAD_ROUTE:
		case URUNC_ROOT:
		case URUNC_MOUNT:
		case URUNC_MASKED_PATH:
		case URUNC_READONLY_PATH:
		case URUNC_SYSCTL:
		case URUNC_DEVICE:
		case URUNC_CGROUP:
		case URUNC_RESOLVER:
		case URUNC_OVERLAY:
		case URUNC_SHARE:
		case URUNC_DISK:
		case URUNC_LAYER:
		case URUNC_LOOPBACK_PORT:
			break;
		default:
			return fail(failure, STATUS_OTHER, "the machine's document has an unknown record 0x%04x", record.tag);
		}
	}
	return result == URUNC_RECORD_END || fail(failure, STATUS_OTHER, "the machine's document is malformed");
}

static void read_capabilities(struct settings *settings, struct urunc_value *value)
{
	size_t i;

	for (i = 0; i < 5; i++)
		settings->capability_sets[i] = urunc_value_u64(value);
	settings->capabilities = settings->capability_sets;
}

static void read_seccomp(struct settings *settings, struct urunc_value *value)
{
	settings->seccomp_flags = urunc_value_u32(value);
	settings->seccomp_length = (uint32_t)(value->end - value->at);
	settings->seccomp = urunc_value_bytes(value, settings->seccomp_length);
	if (settings->seccomp_length == 0 || settings->seccomp_length % sizeof(struct sock_filter) != 0 ||
	    settings->seccomp_length / sizeof(struct sock_filter) > BPF_MAXINSNS)
		value->bad = true;
}

/* Takes one record: false if its tag is unknown. Whether its value is whole, the caller checks. */
static bool read_record(struct settings *settings, const struct urunc_record *record, struct urunc_value *value)
{
	const char *text;

	switch (record->tag) {
	case URUNC_ARG:
	case URUNC_ENV:
		text = urunc_value_string(value);
		if (record->tag == URUNC_ARG)
			settings->arguments[settings->argument_count++] = text;
		else
			settings->environment[settings->environment_count++] = text;
		return true;
	case URUNC_CWD:
		if (settings->directory)
			value->bad = true;
		settings->directory = urunc_value_string(value);
		return true;
	case URUNC_USER:
		if (settings->has_user)
			value->bad = true;
		settings->has_user = true;
		settings->uid = urunc_value_u32(value);
		settings->gid = urunc_value_u32(value);
		settings->umask = urunc_value_u32(value);
		return true;
	case URUNC_GROUP:
		(void)urunc_value_u32(value);
		settings->group_count++;
		return true;
	case URUNC_CAPABILITIES:
		read_capabilities(settings, value);
		return true;
	case URUNC_NO_NEW_PRIVILEGES:
		settings->no_new_privileges = true;
		return true;
	case URUNC_RLIMIT:
		(void)urunc_value_bytes(value, 24);
		return true;
	case URUNC_OOM_SCORE_ADJ:
		settings->has_oom_score = true;
		settings->oom_score = (int32_t)urunc_value_u32(value);
		return true;
	case URUNC_TERMINAL:
		settings->terminal = true;
		settings->rows = urunc_value_u16(value);
		settings->columns = urunc_value_u16(value);
		return true;
	case URUNC_SECCOMP:
		read_seccomp(settings, value);
		return true;
	case URUNC_NO_STDIN:
		settings->no_stdin = true;
		return true;
	case URUNC_NOT_FIRST:
		settings->not_first = true;
		return true;
	case URUNC_QUERY:
		if (settings->query)
			value->bad = true;
		settings->query = urunc_value_string(value);
		settings->query_argument = urunc_value_string(value);
		return true;
	default:
		return false;
	}
}

/* Places for all arguments, all variables, HOME and two ends. */
static bool allocate(struct settings *settings)
{
	struct urunc_records records = settings->records;
	struct urunc_record record;
	size_t strings = 3;
	size_t arguments = 0;
	void *places;

	while (urunc_record_next(&records, &record) == URUNC_RECORD_OK) {
		strings += record.tag == URUNC_ARG || record.tag == URUNC_ENV;
		arguments += record.tag == URUNC_ARG;
	}
	settings->places_size = strings * sizeof(char *);
	places = mmap(NULL, settings->places_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (places == MAP_FAILED)
		return false;
	settings->places = places;
	settings->arguments = places;
	settings->environment = settings->arguments + arguments + 1;
	return true;
}

bool settings_read(struct urunc_records records, struct settings *settings, struct failure *failure)
{
	struct urunc_record record;
	enum urunc_record_result result;
	bool of_program = false;

	memset(settings, 0, sizeof(*settings));
	settings->records = records;
	if (!allocate(settings))
		return fail_errno(failure, STATUS_OTHER, "reading the process's document");
	while ((result = urunc_record_next(&records, &record)) == URUNC_RECORD_OK) {
		struct urunc_value value = urunc_value_of(&record);

		if (!read_record(settings, &record, &value))
			return fail(failure, STATUS_OTHER, "the process's document has an unknown record 0x%04x", record.tag);
		if (!urunc_value_whole(&value))
			return fail(failure, STATUS_OTHER, "the process's document has a malformed record 0x%04x", record.tag);
		of_program |= record.tag != URUNC_QUERY && record.tag != URUNC_NO_STDIN;
	}
	if (result != URUNC_RECORD_END)
		return fail(failure, STATUS_OTHER, "the process's document is malformed");
	if (settings->query)
		return !of_program || fail(failure, STATUS_OTHER, "the process's document is both a program's and a query's");
	if (settings->argument_count == 0 || !settings->directory || !settings->has_user)
		return fail(failure, STATUS_OTHER, "the process's document lacks arguments, directory or user");
	if (settings->group_count > GROUPS_MAX)
		return fail(failure, STATUS_OTHER, "a process has at most %u groups", GROUPS_MAX);
	return true;
}

void settings_free(struct settings *settings)
{
	if (settings->places)
		(void)munmap(settings->places, settings->places_size);
	memset(settings, 0, sizeof(*settings));
}

static const char *variable(const struct settings *settings, const char *name)
{
	size_t length = strlen(name);
	const char *found = NULL;
	size_t i;

	/* The last one counts, as runc has it. */
	for (i = 0; i < settings->environment_count; i++) {
		const char *entry = settings->environment[i];

		if (!strncmp(entry, name, length) && entry[length] == '=')
			found = entry + length + 1;
	}
	return found;
}

static bool apply_limits(const struct settings *settings, struct failure *failure)
{
	struct urunc_records records = settings->records;
	struct urunc_record record;

	while (urunc_record_next(&records, &record) == URUNC_RECORD_OK) {
		struct urunc_value value = urunc_value_of(&record);
		struct rlimit limit;
		uint32_t resource;

		if (record.tag != URUNC_RLIMIT)
			continue;
		resource = urunc_value_u32(&value);
		(void)urunc_value_u32(&value);
		limit.rlim_cur = urunc_value_u64(&value);
		limit.rlim_max = urunc_value_u64(&value);
		if (syscall(SYS_prlimit64, 0, resource, &limit, NULL) < 0)
			return fail_errno(failure, STATUS_OTHER,
					  "error during container init: error setting rlimits for ready process: "
					  "error setting rlimit type %u",
					  resource);
	}
	return true;
}

static bool apply_oom_score(const struct settings *settings, struct failure *failure)
{
	char text[16];
	int file;
	bool done;

	if (!settings->has_oom_score)
		return true;
	(void)snprintf(text, sizeof(text), "%d", settings->oom_score);
	file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	done = file >= 0 && write(file, text, strlen(text)) > 0;
	if (!done)
		(void)fail_errno(failure, STATUS_OTHER, "error setting oom_score_adj");
	if (file >= 0)
		(void)close(file);
	return done;
}

static bool apply_bounding(const struct settings *settings, struct failure *failure)
{
	uint64_t kept = settings->capabilities ? settings->capabilities[BOUNDING] : 0;
	unsigned long capability;

	for (capability = 0; capability < 64; capability++) {
		if (kept >> capability & 1 || prctl(PR_CAPBSET_READ, capability) <= 0)
			continue;
		if (prctl(PR_CAPBSET_DROP, capability) < 0)
			return fail_errno(failure, STATUS_OTHER, "error dropping a capability");
	}
	return true;
}

static bool apply_groups(const struct settings *settings, struct failure *failure)
{
	static gid_t groups[GROUPS_MAX];
	struct urunc_records records = settings->records;
	struct urunc_record record;
	size_t count = 0;

	while (urunc_record_next(&records, &record) == URUNC_RECORD_OK) {
		struct urunc_value value = urunc_value_of(&record);

		if (record.tag == URUNC_GROUP && count < GROUPS_MAX)
			groups[count++] = urunc_value_u32(&value);
	}
	return setgroups(count, groups) == 0 || fail_errno(failure, STATUS_OTHER, "error setting the groups");
}

static bool apply_user(const struct settings *settings, struct failure *failure)
{
	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || !apply_groups(settings, failure))
		return false;
	/* As root these set all ids; a filter that is in force already was made for runc, which calls no others. */
	if (syscall(SYS_setgid, settings->gid) < 0)
		return fail_errno(failure, STATUS_OTHER, "error setting the group %u", settings->gid);
	if (syscall(SYS_setuid, settings->uid) < 0)
		return fail_errno(failure, STATUS_OTHER, "error setting the user %u", settings->uid);
	return true;
}

static bool apply_capabilities(const struct settings *settings, struct failure *failure)
{
	static const uint64_t none[5];
	const uint64_t *sets = settings->capabilities ? settings->capabilities : none;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ (uint32_t)sets[EFFECTIVE], (uint32_t)sets[PERMITTED], (uint32_t)sets[INHERITABLE] },
		{ (uint32_t)(sets[EFFECTIVE] >> 32), (uint32_t)(sets[PERMITTED] >> 32), (uint32_t)(sets[INHERITABLE] >> 32) },
	};
	/* The kernel has no others as ambient; runc leaves them out without a word, and its own default asks for some. */
	uint64_t ambient = sets[AMBIENT] & sets[PERMITTED] & sets[INHERITABLE];
	unsigned long capability;

	if (syscall(SYS_capset, &header, data) < 0)
		return fail_errno(failure, STATUS_OTHER, "error setting the capabilities");
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (capability = 0; capability < 64; capability++) {
		if ((ambient >> capability & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0)
			return fail_errno(failure, STATUS_OTHER, "error setting the ambient capabilities");
	}
	return prctl(PR_SET_KEEPCAPS, 0) == 0;
}

static bool apply_filter(const struct settings *settings, struct failure *failure)
{
	static struct sock_filter filter[BPF_MAXINSNS];
	struct sock_fprog program = { .filter = filter };

	if (!settings->seccomp)
		return true;
	memcpy(filter, settings->seccomp, settings->seccomp_length);
	program.len = (unsigned short)(settings->seccomp_length / sizeof(struct sock_filter));
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, settings->seccomp_flags, &program) == 0 ||
	       fail_errno(failure, STATUS_OTHER, "error setting the seccomp filter");
}

/*
 * As runc: by root, for directories that only root may enter, and where a file system does not let root in, by the user.
 * `entered` says whether that is done.
 */
static bool enter_directory(const struct settings *settings, bool as_user, bool *entered, struct failure *failure)
{
	*entered = chdir(settings->directory) == 0;
	if (*entered || (!as_user && (errno == EACCES || errno == EPERM)))
		return true;
	return fail_errno(failure, STATUS_NOT_RUNNABLE, "chdir to cwd (\"%s\") set in config.json failed",
			  settings->directory);
}

/* runc's rule, of Go's Setenv: one that is empty counts as missing, and is set in its place. */
static void set_home(struct settings *settings)
{
	static char home[PATH_MAX + 8];
	const char *present = variable(settings, "HOME");
	size_t i;

	if (present && *present)
		return;
	program_home(settings->uid, home, sizeof(home));
	for (i = 0; present && i < settings->environment_count; i++) {
		if (!strncmp(settings->environment[i], "HOME=", 5)) {
			settings->environment[i] = home;
			return;
		}
	}
	settings->environment[settings->environment_count++] = home;
}

/* As runc: the user may open them again by /dev/stdout and its kind. A terminal is the user's already. */
static bool give_streams(const struct settings *settings, struct failure *failure)
{
	struct stat status;
	int i;

	for (i = 0; i < 3; i++) {
		if (fstat(i, &status) < 0)
			return fail_errno(failure, STATUS_OTHER, "looking at the standard streams");
		if (S_ISFIFO(status.st_mode) && fchown(i, settings->uid, (gid_t)-1) < 0)
			return fail_errno(failure, STATUS_OTHER, "giving the standard streams to the user");
	}
	return true;
}

bool settings_apply(struct settings *settings, char path[PATH_MAX], struct failure *failure)
{
	bool filter_last = settings->no_new_privileges;
	bool entered = false;

	set_home(settings);
	(void)umask(settings->umask == UMASK_LEAVE ? 022 : settings->umask & 0777);
	if (!apply_limits(settings, failure) || !apply_oom_score(settings, failure) || !apply_bounding(settings, failure))
		return false;
	/* Without no_new_privs a filter needs a capability that the process may not have afterwards. */
	if (!filter_last && !apply_filter(settings, failure))
		return false;
	if (!give_streams(settings, failure) || !enter_directory(settings, false, &entered, failure) ||
	    !apply_user(settings, failure) || !apply_capabilities(settings, failure))
		return false;
	if (!entered && !enter_directory(settings, true, &entered, failure))
		return false;
	if (settings->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail_errno(failure, STATUS_OTHER, "error setting no_new_privs");
	return program_find(settings->arguments[0], variable(settings, "PATH"), path, failure) &&
	       (!filter_last || apply_filter(settings, failure));
}

_Noreturn void settings_execute(const struct settings *settings, const char *path)
{
	struct failure failure;

	(void)execve(path, (char *const *)(uintptr_t)settings->arguments, (char *const *)(uintptr_t)settings->environment);
	(void)fail_errno(&failure, STATUS_NOT_RUNNABLE, "exec %s", path);
	/* As with runc, for whom the process has started by now: the sentence is its own output. */
	(void)dprintf(STDERR_FILENO, "%s\n", failure.sentence);
	_exit(1);
}
