#include "terminal.h"

#include <sys/ioctl.h>
#include <termios.h>

static int taken = -1;
static struct termios found;

void terminal_take(int descriptor)
{
	struct termios raw;

	if (tcgetattr(descriptor, &found) < 0)
		return;
	raw = found;
	cfmakeraw(&raw);
	/* Not TCSADRAIN, which waits for a reader. */
	if (tcsetattr(descriptor, TCSANOW, &raw) == 0)
		taken = descriptor;
}

void terminal_give_back(void)
{
	if (taken >= 0)
		tcsetattr(taken, TCSANOW, &found);
	taken = -1;
}

bool terminal_size(int descriptor, uint16_t *rows, uint16_t *columns)
{
	struct winsize size;

	if (ioctl(descriptor, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
		return false;
	*rows = size.ws_row;
	*columns = size.ws_col;
	return true;
}
