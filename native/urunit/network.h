/* Host name, interfaces, addresses and routes of the machine. */
#ifndef URUNIT_NETWORK_H
#define URUNIT_NETWORK_H

#include <stdbool.h>

#include "failure.h"
#include "record.h"

/* Brings up `lo`. */
bool network_prepare(struct failure *failure);

/* Applies what the machine's document says of names and network. */
bool network_apply(struct urunc_records machine, struct failure *failure);

#endif
