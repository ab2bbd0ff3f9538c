/* The launch document. */
#include "../standin/launch.c"
#include "fuzz.h"

static bool is_inside(const struct launch *launch, const void *at, size_t length)
{
	const uint8_t *bytes = at;

	return bytes >= launch->bytes && length <= launch->length &&
	       (size_t)(bytes - launch->bytes) <= launch->length - length;
}

static void check_launch(const struct launch *launch, bool added)
{
	HOLDS(launch->direct == !launch->process);
	if (launch->process)
		HOLDS(is_inside(launch, launch->process, launch->process_length));
	HOLDS(launch->process_length <= URUNC_DOCUMENT_MAX);
	if (added) {
		HOLDS(!launch->machine && !launch->arguments[0] && !launch->agent_socket && !launch->boot_timeout);
		HOLDS(!launch->direct && !launch->console_on_stdio && launch->device_count == 0);
		return;
	}
	HOLDS(launch->direct == !launch->machine);
	if (launch->machine)
		HOLDS(is_inside(launch, launch->machine, launch->machine_length));
	HOLDS(launch->boot_timeout > 0 && launch->arguments[0] && launch->arguments[0][0] == '/');
	HOLDS(!launch->arguments[LAUNCH_ARGUMENTS]);
	if (launch->agent_socket) {
		HOLDS(!launch->direct && launch->agent_socket[0] == '/' && strlen(launch->agent_socket) < 108);
		HOLDS(is_inside(launch, launch->agent_socket, strlen(launch->agent_socket) + 1));
	}
	HOLDS(launch->device_count <= LAUNCH_DEVICES);
	for (size_t i = 0; i < launch->device_count; i++)
		HOLDS(launch->devices[i][0] == '/' && is_inside(launch, launch->devices[i], strlen(launch->devices[i]) + 1));
	for (size_t i = 0; launch->arguments[i]; i++)
		HOLDS(is_inside(launch, launch->arguments[i], strlen(launch->arguments[i]) + 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct script script = { bytes, bytes + length };
	bool added = script_u8(&script) & 1;
	static struct launch launch;
	const char *wrong;

	memset(&launch, 0, sizeof launch);
	launch.length = (size_t)(script.end - script.at);
	launch.bytes = malloc(launch.length);
	HOLDS(launch.bytes || launch.length == 0);
	if (launch.length > 0)
		memcpy(launch.bytes, script.at, launch.length);
	wrong = added ? launch_parse_added(&launch) : launch_parse(&launch);
	if (!wrong)
		check_launch(&launch, added);
	free(launch.bytes);
	return 0;
}
