#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

void guest_end(void)
{
	const char *how = getenv("URUNIT_END");

	sync();
	if (how && strcmp(how, "poweroff") == 0)
		(void)reboot(RB_POWER_OFF);
	(void)reboot(RB_AUTOBOOT);
}

_Noreturn void guest_restart(void)
{
	guest_end();
	for (;;)
		(void)pause();
}

_Noreturn void guest_give_up(const char *sentence)
{
	/* The console takes what the kernel writes alone: its serial port has no interrupt here. */
	int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	(void)dprintf(log >= 0 ? log : STDERR_FILENO, "<2>urunit: %s\n", sentence);
	guest_restart();
}

void guest_allow_many_processes(void)
{
	static const char most[] = "4194304";
	int file = open("/proc/sys/kernel/pid_max", O_WRONLY | O_CLOEXEC);

	if (file < 0)
		return;
	if (write(file, most, sizeof(most) - 1) < 0)
		errno = 0; /* Fewer will do. */
	(void)close(file);
}
