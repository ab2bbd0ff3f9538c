/* A guest's sentence on its way to a person's terminal. */
#include "../standin/sentence.c"
#include "fuzz.h"

static void check_line(const char *line, size_t size)
{
	size_t length = strlen(line);

	HOLDS(length < size);
	HOLDS(length == 0 || (line[0] != ' ' && line[length - 1] != ' '));
	for (size_t at = 0; at < length;) {
		size_t wide = utf8_length((const uint8_t *)line + at, length - at);

		HOLDS(wide > 0 && !is_control((const uint8_t *)line + at, wide));
		HOLDS(wide > 1 || (line[at] >= ' ' && line[at] <= '~'));
		at += wide;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct script script = { bytes, bytes + length };
	size_t size = script_u8(&script) + 1u;
	char *line = malloc(size);

	HOLDS(line);
	sentence_clean(line, size, script.at, (size_t)(script.end - script.at));
	check_line(line, size);
	sentence_last_line(line, size, script.at, (size_t)(script.end - script.at));
	check_line(line, size);
	HOLDS(!strchr(line, '\n'));
	free(line);
	return 0;
}
