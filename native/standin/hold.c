#include "hold.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *hold(const char *path, char *sentence, size_t size)
{
	/* Of a block device this is a claim, which a mount is too (open(2)); it holds no one off who opens it without. */
	int device = open(path, O_RDONLY | O_EXCL | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat status;

	if (device < 0 && errno == EBUSY)
		snprintf(sentence, size, "the disk %s is mounted on the host, or another machine's", path);
	else if (device < 0)
		snprintf(sentence, size, "the disk %s cannot be opened: %s", path, strerror(errno));
	else if (fstat(device, &status) < 0 || !S_ISBLK(status.st_mode))
		snprintf(sentence, size, "%s is no block device", path);
	else
		return NULL;
	if (device >= 0)
		close(device);
	return sentence;
}

const char *hold_devices(const struct launch *launch, char *sentence, size_t size)
{
	const char *wrong = NULL;

	for (unsigned int at = 0; at < launch->device_count && !wrong; at++)
		wrong = hold(launch->devices[at], sentence, size);
	return wrong;
}
