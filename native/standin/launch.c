#include "launch.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "record.h"

/* Private memory, not a mapping of the file: nobody can change or shorten it afterwards. */
static const char *map_file(struct launch *launch, int file, size_t most)
{
	struct stat status;
	void *area;

	if (fstat(file, &status) < 0 || !S_ISREG(status.st_mode))
		return "the launch document is not a file";
	if (status.st_size <= 0 || status.st_size > (off_t)most)
		return "the launch document is empty or too large";
	area = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return "there is no memory for the launch document";
	launch->bytes = area;
	launch->length = (size_t)status.st_size;
	for (size_t got = 0; got < launch->length;) {
		ssize_t part = read(file, launch->bytes + got, launch->length - got);

		if (part <= 0)
			return "the launch document cannot be read whole";
		got += (size_t)part;
	}
	return NULL;
}

static const char *take_file(struct launch *launch, const char *path, size_t most)
{
	int file = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	const char *wrong;

	if (file < 0)
		return "there is no launch document: the container was not started by urunc";
	wrong = map_file(launch, file, most);
	close(file);
	if (!wrong && unlink(path) < 0)
		wrong = "the launch document cannot be removed";
	return wrong;
}

const char *launch_read(struct launch *launch, const char *path)
{
	const char *wrong = take_file(launch, path, LAUNCH_MOST);

	return wrong ? wrong : launch_parse(launch);
}

const char *launch_read_added(struct launch *launch, const char *path)
{
	const char *wrong = take_file(launch, path, LAUNCH_MOST_ADDED);

	return wrong ? wrong : launch_parse_added(launch);
}

static bool take_argument(const struct launch *launch, char *arguments[], size_t most, const struct urunc_record *record)
{
	struct urunc_value value = urunc_value_of(record);
	const char *text = urunc_value_string(&value);
	size_t count = 0;

	while (arguments[count])
		count++;
	if (!urunc_value_whole(&value) || count == most || (count == 0 && text[0] != '/'))
		return false;
	/* execve(2) wants pointers to what could be changed. */
	arguments[count] = (char *)launch->bytes + ((const uint8_t *)text - launch->bytes);
	return true;
}

static bool take_document(const uint8_t **document, size_t *length, const struct urunc_record *record)
{
	if (*document || record->length > URUNC_DOCUMENT_MAX)
		return false;
	*document = record->value;
	*length = record->length;
	return true;
}

static bool take_timeout(struct launch *launch, const struct urunc_record *record)
{
	struct urunc_value value = urunc_value_of(record);
	uint32_t timeout = urunc_value_u32(&value);

	if (launch->boot_timeout || !urunc_value_whole(&value) || timeout == 0)
		return false;
	launch->boot_timeout = timeout;
	return true;
}

static bool take_socket(struct launch *launch, const struct urunc_record *record)
{
	struct urunc_value value = urunc_value_of(record);
	const char *path = urunc_value_string(&value);

	if (launch->agent_socket || !urunc_value_whole(&value) || path[0] != '/' ||
	    strlen(path) >= sizeof ((struct sockaddr_un *)NULL)->sun_path)
		return false;
	launch->agent_socket = path;
	return true;
}

static bool take_device(struct launch *launch, const struct urunc_record *record)
{
	struct urunc_value value = urunc_value_of(record);
	const char *path = urunc_value_string(&value);

	if (launch->device_count == LAUNCH_DEVICES || !urunc_value_whole(&value) || path[0] != '/')
		return false;
	launch->devices[launch->device_count++] = path;
	return true;
}

static bool take_memory_limit(struct launch *launch, const struct urunc_record *record)
{
	struct urunc_value value = urunc_value_of(record);
	uint64_t limit = urunc_value_u64(&value);

	if (launch->memory_limit || !urunc_value_whole(&value) || limit == 0)
		return false;
	launch->memory_limit = limit;
	return true;
}

static bool take_flag(bool *flag, const struct urunc_record *record)
{
	if (*flag || record->length != 0)
		return false;
	*flag = true;
	return true;
}

static bool take_resolver(struct launch *launch, const struct urunc_record *record)
{
	return launch->resolver_count < URUNC_RESOLVERS_MAX &&
	       urunc_resolver_read(record, &launch->resolvers[launch->resolver_count++]);
}

static bool take_record(struct launch *launch, const struct urunc_record *record)
{
	switch (record->tag) {
	case URUNC_MONITOR_ARG:
		return take_argument(launch, launch->arguments, LAUNCH_ARGUMENTS, record);
	case URUNC_FILE_SERVER:
		return take_argument(launch, launch->server, LAUNCH_SERVER_ARGUMENTS, record);
	case URUNC_MACHINE:
		return take_document(&launch->machine, &launch->machine_length, record);
	case URUNC_PROCESS:
		return take_document(&launch->process, &launch->process_length, record);
	case URUNC_LAUNCH_TERMINAL:
		return take_flag(&launch->terminal, record);
	case URUNC_BOOT_TIMEOUT:
		return take_timeout(launch, record);
	case URUNC_AGENT_SOCKET:
		return take_socket(launch, record);
	case URUNC_MEMORY_LIMIT:
		return take_memory_limit(launch, record);
	case URUNC_LAUNCH_ATTACHED:
		return take_flag(&launch->attached, record);
	case URUNC_LAUNCH_DIRECT:
		return take_flag(&launch->direct, record);
	case URUNC_CONSOLE_ON_STDIO:
		return take_flag(&launch->console_on_stdio, record);
	case URUNC_LAUNCH_EXCLUSIVE:
		return take_device(launch, record);
	case URUNC_LAUNCH_RESOLVER:
		return take_resolver(launch, record);
	default:
		return false;
	}
}

static bool is_of_added(const struct urunc_record *record)
{
	return record->tag == URUNC_PROCESS || record->tag == URUNC_LAUNCH_TERMINAL || record->tag == URUNC_LAUNCH_ATTACHED;
}

static const char *take_records(struct launch *launch, bool added)
{
	struct urunc_records records = { .at = launch->bytes, .end = launch->bytes + launch->length };
	struct urunc_record record;
	enum urunc_record_result result;

	while ((result = urunc_record_next(&records, &record)) == URUNC_RECORD_OK)
		if ((added && !is_of_added(&record)) || !take_record(launch, &record))
			return "the launch document has a record that is unknown, repeated or malformed";
	return result == URUNC_RECORD_MALFORMED ? "the launch document is malformed" : NULL;
}

const char *launch_parse(struct launch *launch)
{
	const char *wrong = take_records(launch, false);

	if (wrong)
		return wrong;
	if (!launch->arguments[0] || !launch->boot_timeout)
		return "the launch document is incomplete";
	if (launch->direct)
		return launch->machine || launch->process || launch->agent_socket || launch->resolver_count ?
			       "the launch document has records of an agent, and there is none" :
			       NULL;
	return launch->machine && launch->process ? NULL : "the launch document is incomplete";
}

const char *launch_parse_added(struct launch *launch)
{
	const char *wrong = take_records(launch, true);

	return wrong || launch->process ? wrong : "the launch document is incomplete";
}

void launch_forget(struct launch *launch)
{
	if (launch->bytes)
		munmap(launch->bytes, launch->length);
	memset(launch, 0, sizeof *launch);
}
