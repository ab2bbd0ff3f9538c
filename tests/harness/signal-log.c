/*
 * Writes the number of each signal that it is sent, one a line, and ends with 64. No signal has an effect on it but KILL and
 * STOP, and none is kept from it by a C library.
 */
#include <stdint.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	uint64_t all = ~UINT64_C(0);
	struct signalfd_siginfo signal;
	int signals;

	syscall(SYS_rt_sigprocmask, 0, &all, NULL, sizeof all);
	signals = (int)syscall(SYS_signalfd4, -1, &all, sizeof all, 0);
	puts("ready");
	fflush(stdout);
	while (read(signals, &signal, sizeof signal) == sizeof signal) {
		printf("%u\n", signal.ssi_signo);
		fflush(stdout);
		if (signal.ssi_signo == 64)
			return 0;
	}
	return 1;
}
