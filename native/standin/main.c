/*
 * The stand-in: PID 1 of a container's sandbox on the host. It runs the monitor, and is to the outside what the
 * application in the virtual machine would be: its standard streams, its signals, its exit status.
 *
 *   urunc-standin                 does that
 *   urunc-standin --exec NAME     stands in for a process that is added to the container: /run/urunc/NAME says which
 *   urunc-standin --measure-tsc   prints the rate of the host's time stamp counter in kHz
 */
#include <stdio.h>
#include <string.h>

#include "confine.h"
#include "direct.h"
#include "hold.h"
#include "join.h"
#include "launch.h"
#include "loop.h"
#include "report.h"
#include "signals.h"
#include "tsc.h"

#define LAUNCH_FILE "/run/urunc/launch"
#define START_SOCKET "/run/urunc/start.sock"

static int stand_in(void)
{
	static struct launch launch;
	struct signals signals;
	char sentence[256];
	const char *wrong;
	bool blocked = signals_block();

	confine_start();
	report_open(START_SOCKET);
	wrong = launch_read(&launch, LAUNCH_FILE);
	if (!wrong)
		wrong = hold_devices(&launch, sentence, sizeof sentence);
	if (wrong)
		return loop_refuse(LOOP_STATUS, wrong);
	if (!blocked || !signals_open(&signals, launch.terminal))
		return loop_refuse(LOOP_STATUS, "signals cannot be taken");
	return launch.direct ? direct_run(&launch, &signals) : loop_run(&launch, &signals);
}

int main(int count, char *arguments[])
{
	if (count == 1)
		return stand_in();
	if (count == 2 && strcmp(arguments[1], "--measure-tsc") == 0)
		return tsc_measure();
	if (count == 3 && strcmp(arguments[1], "--exec") == 0)
		return join_run(arguments[2]);
	fputs("usage: urunc-standin [--exec NAME | --measure-tsc]\n", stderr);
	return 2;
}
