/* Host name, interfaces, addresses and routes of the machine. */
#ifndef URUNIT_NETWORK_H
#define URUNIT_NETWORK_H

#include <stdbool.h>

#include "failure.h"
#include "record.h"

/* Applies what the machine's document says of names and network, and brings up `lo`. */
bool network_apply(struct urunc_records machine, struct failure *failure);

#endif
