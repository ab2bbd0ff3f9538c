/* What urunit reads as an image's init: its configuration, the address, words, commands. */
#include "address.h"
#include "conf.h"
#include "fuzz.h"
#include "port.h"
#include "record.h"
#include "words.h"

#define WORDS_MOST 64u

static char *copy_of(const struct script *script, size_t *length)
{
	char *copy;

	*length = (size_t)(script->end - script->at);
	copy = malloc(*length + 1);
	HOLDS(copy);
	memcpy(copy, script->at, *length);
	copy[*length] = 0;
	return copy;
}

static void check_inside(const char *text, const char *copy, size_t length)
{
	HOLDS(text >= copy && text + strlen(text) <= copy + length);
	HOLDS(!strchr(text, '\n'));
}

static void try_configuration(const struct script *script)
{
	static struct conf conf;
	static struct failure failure;
	size_t length;
	char *copy = copy_of(script, &length);

	failure.sentence[0] = 0;
	if (!conf_read(copy, length, &conf, &failure)) {
		HOLDS(failure.sentence[0] && failure.status == STATUS_OTHER);
	} else {
		HOLDS(conf.uid != UINT32_MAX && conf.gid != UINT32_MAX);
		HOLDS(conf.variable_count <= CONF_VARIABLES && conf.volume_count <= CONF_VOLUMES);
		HOLDS(conf.limit_count <= CONF_LIMITS);
		for (size_t i = 0; i < conf.variable_count; i++) {
			check_inside(conf.variables[i], copy, length);
			HOLDS(conf.variables[i][0] != '=' && strchr(conf.variables[i], '='));
		}
		for (size_t i = 0; i < conf.volume_count; i++) {
			check_inside(conf.volumes[i].serial, copy, length);
			check_inside(conf.volumes[i].path, copy, length);
			HOLDS(conf.volumes[i].path[0] == '/');
		}
		if (conf.directory) {
			check_inside(conf.directory, copy, length);
			HOLDS(conf.directory[0] == '/');
		}
	}
	free(copy);
}

static void try_address(const struct script *script)
{
	static const uint8_t mac[6];
	uint8_t bytes[ADDRESS_RECORDS];
	struct address address;
	size_t length;
	char *copy = copy_of(script, &length);

	if (address_read(copy, &address)) {
		struct urunc_records records = { bytes, bytes + address_records(&address, mac, bytes) };
		struct urunc_record record;
		enum urunc_record_result result;

		HOLDS(address.prefix <= 32 && address.has_address);
		HOLDS(strlen(address.device) < sizeof address.device && address.device[0]);
		HOLDS(strlen(address.hostname) < sizeof address.hostname);
		while ((result = urunc_record_next(&records, &record)) == URUNC_RECORD_OK)
			;
		HOLDS(result == URUNC_RECORD_END);
	}
	free(copy);
}

/* As the kernel gives them: between blanks. */
static void try_words(const struct script *script)
{
	char *words[WORDS_MOST + 1];
	size_t count = 0, length, joined, before = 0, after = 0;
	char *copy = copy_of(script, &length), *room, *rest = copy;

	for (char *word; count < WORDS_MOST && (word = strsep(&rest, " "));)
		words[count++] = word;
	words[count] = NULL;
	for (size_t i = 0; i < count; i++)
		before += strlen(words[i]) + 1;
	room = malloc(words_size(words, count));
	HOLDS(room);
	joined = words_join(words, count, room);
	HOLDS(joined <= count && !words[joined]);
	for (size_t i = 0; i < joined; i++)
		after += strlen(words[i]) + 1;
	/* Nothing is lost but quotes. */
	HOLDS(after <= before && before - after <= 2 * count);
	free(room);
	free(copy);
}

static void try_command(const struct script *script)
{
	struct command command;
	size_t length;
	char *copy = copy_of(script, &length);

	if (command_parse(copy, &command) && command.kind == COMMAND_SIGNAL)
		HOLDS(command.signal >= 1 && command.signal <= 64);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct script script = { bytes, bytes + length };

	switch (script_u8(&script) % 4) {
	case 0:
		try_configuration(&script);
		break;
	case 1:
		try_address(&script);
		break;
	case 2:
		try_words(&script);
		break;
	default:
		try_command(&script);
		break;
	}
	return 0;
}
