/* The guest's documents: as they arrive, the machine's, a process's. */
#include "document.h"
#include "failure.h"
#include "fuzz.h"
#include "root.h"
#include "settings.h"

#define GROUPS_MOST 65536u

static void check_settings(const struct settings *settings, const uint8_t *from, const uint8_t *end)
{
	if (settings->query) {
		HOLDS(strlen(settings->query) + strlen(settings->query_argument) < (size_t)(end - from));
		HOLDS(settings->argument_count == 0 && settings->environment_count == 0 && !settings->directory);
		return;
	}
	HOLDS(settings->argument_count > 0 && settings->directory && settings->has_user);
	for (size_t i = 0; i < settings->argument_count; i++) {
		const uint8_t *text = (const uint8_t *)settings->arguments[i];

		HOLDS(text >= from && text + strlen(settings->arguments[i]) < end);
	}
	HOLDS(!settings->arguments[settings->argument_count]);
	for (size_t i = 0; i < settings->environment_count; i++)
		HOLDS(strlen(settings->environment[i]) < (size_t)(end - from));
	HOLDS(!settings->environment[settings->environment_count] && !settings->environment[settings->environment_count + 1]);
	HOLDS(settings->group_count <= GROUPS_MOST);
	HOLDS(!settings->seccomp || (settings->seccomp >= from && settings->seccomp + settings->seccomp_length <= end));
}

static void check_failure(const struct failure *failure)
{
	HOLDS(failure->status >= 126 && failure->status <= 128);
	HOLDS(failure->sentence[0] && memchr(failure->sentence, 0, sizeof failure->sentence));
}

/* In pieces, into memory that the document makes. */
static bool arrive(struct document *document, struct script *script)
{
	uint32_t size = (uint32_t)(script->end - script->at);
	uint8_t difference = script_u8(script);
	size_t piece = script_u8(script) + 1u;

	size = size > 2 ? size - 2 : 0;
	if (difference > 250)
		size = difference == 255 ? UINT32_MAX : size + difference - 253;
	if (!document_announce(document, size))
		return false;
	HOLDS(!document_announce(document, 1));
	while (!script_over(script)) {
		size_t length;
		const uint8_t *bytes = script_bytes(script, piece, &length);

		if (!document_append(document, bytes, length))
			return false;
	}
	HOLDS(document->length <= document->size);
	return document_complete(document);
}

static void check_root(const struct root *from, size_t length)
{
	if (from->kind == ROOT_SHARE)
		HOLDS(from->type && strlen(from->subdirectory) < length);
	if (from->kind == ROOT_OVERLAY)
		HOLDS(*from->lower.serial && strlen(from->lower.serial) <= URUNC_SERIAL_MAX);
	if (from->layer.type)
		HOLDS(from->kind == ROOT_OVERLAY && *from->layer.serial && strlen(from->layer.serial) <= URUNC_SERIAL_MAX);
	if (from->kind != ROOT_SHARE)
		HOLDS(strlen(from->upper.serial) <= URUNC_SERIAL_MAX && !from->subdirectory);
	HOLDS(!from->type || strlen(from->type) + strlen(from->source) + strlen(from->options) < length);
}

static void read_settings(const uint8_t *bytes, size_t length)
{
	uint8_t *copy = malloc(length);
	struct settings settings;
	struct failure failure = { 0 };
	struct root root;

	HOLDS(copy || length == 0);
	if (length > 0)
		memcpy(copy, bytes, length);
	if (settings_read((struct urunc_records){ copy, copy + length }, &settings, &failure))
		check_settings(&settings, copy, copy + length);
	else
		check_failure(&failure);
	settings_free(&settings);
	if (!machine_check((struct urunc_records){ copy, copy + length }, &failure))
		check_failure(&failure);
	if (root_read((struct urunc_records){ copy, copy + length }, &root, &failure))
		check_root(&root, length);
	else
		check_failure(&failure);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct script script = { bytes, bytes + length };
	struct document document = { 0 };

	if (arrive(&document, &script))
		read_settings(document.bytes, document.size);
	document_free(&document);
	return 0;
}
