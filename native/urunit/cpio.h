/* An initrd's archive: cpio in its "new ASCII" form, as the kernel takes it. */
#ifndef URUNIT_CPIO_H
#define URUNIT_CPIO_H

#include <stdbool.h>

#include "failure.h"

/*
 * Unpacks the archives that `archive` holds one behind another, with zeros between and behind them, into the directory
 * `root`. Nothing of them leads out of it. `links`, an empty directory of the same file system, is where files that have
 * several names are kept on the way; it is empty again afterwards. What is there already is replaced, but for
 * directories.
 */
bool cpio_unpack(int archive, int root, int links, struct failure *failure);

#endif
