#include "welcome.h"

#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

bool welcome_clock(const struct urunc_frame *frame, const uint8_t *payload)
{
	struct timespec time;
	uint64_t nanoseconds;

	if (frame->length != 8)
		return false;
	nanoseconds = urunc_get64(payload);
	time.tv_sec = (time_t)(nanoseconds / 1000000000u);
	time.tv_nsec = (long)(nanoseconds % 1000000000u);
	return clock_settime(CLOCK_REALTIME, &time) == 0;
}

bool welcome_entropy(const struct urunc_frame *frame, const uint8_t *payload)
{
	struct {
		struct rand_pool_info info;
		uint8_t bytes[256];
	} pool = { 0 };
	int device;

	if (frame->length < 1 || frame->length > sizeof(pool.bytes))
		return false;
	pool.info.entropy_count = (int)frame->length * 8;
	pool.info.buf_size = (int)frame->length;
	memcpy(pool.bytes, payload, frame->length);
	device = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	if (device < 0)
		return false;
	if (ioctl(device, RNDADDENTROPY, &pool) < 0)
		guest_give_up("cannot take entropy");
	(void)close(device);
	return true;
}
