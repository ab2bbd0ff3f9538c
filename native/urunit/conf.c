#include "conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "disk.h"

enum section { NO_SECTION, ENVIRONMENT, PROCESS, VOLUMES, SECTIONS };

/* What begins and ends them. */
static const char *const begins[SECTIONS] = { NULL, "UES", "UCS", "UBS" };
static const char *const ends[SECTIONS] = { NULL, "UEE", "UCE", "UBE" };

static const struct {
	const char *name;
	uint32_t number;
} resources[] = {
	{ "RLIMIT_AS", RLIMIT_AS },
	{ "RLIMIT_CORE", RLIMIT_CORE },
	{ "RLIMIT_CPU", RLIMIT_CPU },
	{ "RLIMIT_DATA", RLIMIT_DATA },
	{ "RLIMIT_FSIZE", RLIMIT_FSIZE },
	{ "RLIMIT_LOCKS", RLIMIT_LOCKS },
	{ "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK },
	{ "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
	{ "RLIMIT_NICE", RLIMIT_NICE },
	{ "RLIMIT_NOFILE", RLIMIT_NOFILE },
	{ "RLIMIT_NPROC", RLIMIT_NPROC },
	{ "RLIMIT_RSS", RLIMIT_RSS },
	{ "RLIMIT_RTPRIO", RLIMIT_RTPRIO },
	{ "RLIMIT_RTTIME", RLIMIT_RTTIME },
	{ "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
	{ "RLIMIT_STACK", RLIMIT_STACK },
};

struct reader {
	struct conf *conf;
	struct failure *failure;
	unsigned line;
	enum section section;
	bool seen[SECTIONS];
	bool has_uid;
	bool has_gid;
	const char *serial; /* of a volume whose mount point is to come */
};

static bool wrong(const struct reader *reader, const char *what)
{
	return fail(reader->failure, STATUS_OTHER, "line %u of urunit's configuration %s", reader->line, what);
}

/* What stands behind the key and blanks; NULL: the line has another key. */
static const char *value_of(const char *line, const char *key)
{
	size_t length = strlen(key);

	if (strncmp(line, key, length) != 0)
		return NULL;
	line += length;
	return line + strspn(line, " \t");
}

/* Digits alone, up to the byte `end`. NULL: they are none, or too many. */
static const char *read_number(const char *text, char end, uint64_t *number)
{
	char *after;

	if (*text < '0' || *text > '9')
		return NULL;
	errno = 0;
	*number = strtoull(text, &after, 10);
	return errno == 0 && *after == end ? after + 1 : NULL;
}

static bool read_id(struct reader *reader, const char *text, bool *seen, uint32_t *id)
{
	uint64_t number;

	/* The last number means no id to the kernel. */
	if (*seen || !read_number(text, 0, &number) || number >= UINT32_MAX)
		return wrong(reader, "has no valid id, or a second one");
	*seen = true;
	*id = (uint32_t)number;
	return true;
}

static bool read_directory(struct reader *reader, const char *text)
{
	if (reader->conf->directory || *text != '/')
		return wrong(reader, "has no absolute directory, or a second one");
	reader->conf->directory = text;
	return true;
}

static bool read_limit(struct reader *reader, const char *text)
{
	struct conf *conf = reader->conf;
	struct conf_limit *limit = &conf->limits[conf->limit_count];
	size_t length = strcspn(text, ":");
	const char *soft = text[length] ? text + length + 1 : "";
	const char *hard;
	size_t i;

	if (conf->limit_count == CONF_LIMITS)
		return wrong(reader, "has a limit too many");
	hard = read_number(soft, ':', &limit->soft);
	if (!hard || !read_number(hard, 0, &limit->hard) || limit->soft > limit->hard)
		return wrong(reader, "has a limit that is not NAME:SOFT:HARD");
	for (i = 0; i < sizeof(resources) / sizeof(resources[0]); i++) {
		if (strlen(resources[i].name) != length || strncmp(resources[i].name, text, length) != 0)
			continue;
		limit->resource = resources[i].number;
		conf->limit_count++;
		return true;
	}
	return wrong(reader, "has a limit of an unknown name");
}

static bool read_process(struct reader *reader, const char *line)
{
	const char *value;

	if ((value = value_of(line, "UID:")))
		return read_id(reader, value, &reader->has_uid, &reader->conf->uid);
	if ((value = value_of(line, "GID:")))
		return read_id(reader, value, &reader->has_gid, &reader->conf->gid);
	if ((value = value_of(line, "WD:")))
		return read_directory(reader, value);
	if ((value = value_of(line, "RLIMIT:")))
		return read_limit(reader, value);
	return wrong(reader, "is unknown in the process's section");
}

static bool read_variable(struct reader *reader, const char *line)
{
	struct conf *conf = reader->conf;
	const char *equals = strchr(line, '=');

	if (!equals || equals == line)
		return wrong(reader, "is no variable");
	if (conf->variable_count == CONF_VARIABLES)
		return wrong(reader, "has a variable too many");
	conf->variables[conf->variable_count++] = line;
	return true;
}

static bool read_volume(struct reader *reader, const char *line)
{
	struct conf *conf = reader->conf;
	const char *value;

	if ((value = value_of(line, "ID:"))) {
		if (reader->serial || !disk_serial_valid(value))
			return wrong(reader, "has no valid serial, or a second one");
		reader->serial = value;
		return true;
	}
	value = value_of(line, "MP:");
	if (!value)
		return wrong(reader, "is unknown in the volumes' section");
	if (!reader->serial || *value != '/')
		return wrong(reader, "has no absolute mount point, or no serial before it");
	if (conf->volume_count == CONF_VOLUMES)
		return wrong(reader, "has a volume too many");
	conf->volumes[conf->volume_count++] = (struct conf_volume){ reader->serial, value };
	reader->serial = NULL;
	return true;
}

static bool begin_section(struct reader *reader, const char *line)
{
	unsigned section;

	if (!*line)
		return true;
	for (section = ENVIRONMENT; section < SECTIONS; section++) {
		if (strcmp(line, begins[section]) != 0)
			continue;
		if (reader->seen[section])
			return wrong(reader, "begins a section that was there before");
		reader->seen[section] = true;
		reader->section = section;
		return true;
	}
	return wrong(reader, "is outside of any section");
}

static bool end_section(struct reader *reader)
{
	if (reader->section == PROCESS && (!reader->has_uid || !reader->has_gid))
		return wrong(reader, "ends a process's section without UID or GID");
	if (reader->section == VOLUMES && reader->serial)
		return wrong(reader, "ends the volumes' section before a mount point");
	reader->section = NO_SECTION;
	return true;
}

static bool read_line(struct reader *reader, const char *line)
{
	if (reader->section != NO_SECTION && strcmp(line, ends[reader->section]) == 0)
		return end_section(reader);
	switch (reader->section) {
	case ENVIRONMENT:
		return read_variable(reader, line);
	case PROCESS:
		return !*line || read_process(reader, line);
	case VOLUMES:
		return !*line || read_volume(reader, line);
	default:
		return begin_section(reader, line);
	}
}

bool conf_read(char *text, size_t length, struct conf *conf, struct failure *failure)
{
	struct reader reader = { .conf = conf, .failure = failure };
	char *line = text;

	memset(conf, 0, sizeof(*conf));
	/* What rounds a monitor's file up. */
	while (length > 0 && !text[length - 1])
		length--;
	if (memchr(text, 0, length))
		return fail(failure, STATUS_OTHER, "urunit's configuration is no text");
	text[length] = 0;
	while (line < text + length) {
		char *newline = strchr(line, '\n');
		char *next = newline ? newline + 1 : text + length;

		if (newline)
			*newline = 0;
		reader.line++;
		if (!read_line(&reader, line))
			return false;
		line = next;
	}
	conf->has_environment = reader.seen[ENVIRONMENT];
	conf->has_process = reader.seen[PROCESS];
	return reader.section == NO_SECTION ||
	       fail(failure, STATUS_OTHER, "urunit's configuration ends inside of a section");
}
