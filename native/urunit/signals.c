#include "signals.h"

#include <signal.h>
#include <stddef.h>

void reset_signals(void)
{
	struct sigaction plain = { .sa_handler = SIG_DFL };
	sigset_t none;
	int number;

	for (number = 1; number < _NSIG; number++)
		(void)sigaction(number, &plain, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}
