/* What comes of a machine without an agent: its console, and what its init says. */
#include "../standin/init_report.c"
#include "../standin/kernel_lines.c"
#include "fuzz.h"

/* Nothing of the console is lost or changed, in whichever pieces it comes. */
static void try_console(struct script *script)
{
	static struct kernel_lines lines;
	const uint8_t *whole = script->at;
	size_t all = (size_t)(script->end - whole), checked = 0;
	bool open = false;

	memset(&lines, 0, sizeof lines);
	while (!script_over(script)) {
		size_t length;
		const uint8_t *bytes = script_bytes(script, *script->at % 7u + 1u, &length);
		struct kernel_part part;

		while ((part = kernel_lines_next(&lines, &bytes, &length)).length > 0) {
			HOLDS(part.length <= all - checked);
			HOLDS(memcmp(part.bytes, whole + checked, part.length) == 0);
			/* Once it is the application's it stays so. */
			HOLDS(!open || !part.kernel);
			open |= !part.kernel;
			checked += part.length;
		}
		HOLDS(length == 0);
	}
	/* What is still undecided is the beginning of one line. */
	HOLDS(all - checked <= KERNEL_LINE_MOST);
	HOLDS(kernel_lines_open(&lines).length == all - checked);
	HOLDS(strlen(lines.panic) < sizeof lines.panic);
	HOLDS(kernel_lines_status(&lines) >= -1 && kernel_lines_status(&lines) <= 255);
}

static void try_report(struct script *script)
{
	static struct init_report report;

	memset(&report, 0, sizeof report);
	while (!script_over(script)) {
		size_t length;
		const uint8_t *bytes = script_bytes(script, 100, &length);
		struct init_event event;

		while ((event = init_report_next(&report, &bytes, &length)).type != INIT_NOTHING) {
			HOLDS(strlen(event.sentence) < sizeof report.line);
			HOLDS(event.type == INIT_TAKEN || event.number <= 255);
		}
		HOLDS(length == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct script script = { bytes, bytes + length };

	if (script_u8(&script) & 1)
		try_console(&script);
	else
		try_report(&script);
	return 0;
}
