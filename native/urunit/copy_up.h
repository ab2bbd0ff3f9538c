/* The copy that a new tmpfs gets of the directory it hides (`tmpcopyup`, an extension of runc's). */
#ifndef URUNIT_COPY_UP_H
#define URUNIT_COPY_UP_H

#include <stdbool.h>

/* Copies what the directory `from` holds into the directory `to`. False with errno; what was copied stays. */
bool copy_up_directory(int from, int to);

#endif
