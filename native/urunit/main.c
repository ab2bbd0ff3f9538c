/*
 * urunit: the first process of a guest. In the initramfs, as /init, it is the host's agent (docs/guest-protocol.md). In an
 * image that is booted by its own kernel, as /urunit, it is an init that starts what the kernel's command line says
 * (docs/direct.md).
 */
#include <string.h>

#include "agent.h"
#include "direct.h"

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int main(int count, char *words[])
{
	/* Not by how many words there are: the kernel hands on those that it does not know. */
	if (count < 1 || strcmp(name_of(words[0]), "init") == 0)
		agent_run();
	return direct_run((size_t)count - 1, words + 1);
}
