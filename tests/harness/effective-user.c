/* Says as whom it runs, in the place of what is asked for this in critest's images. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	return printf("Effective uid: %d\n", (int)geteuid()) < 0;
}
