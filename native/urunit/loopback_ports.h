/*
 * Ports of the loopback that are those of the pod's other containers (docs/guest-protocol.md, "The machine"): they live
 * outside of the guest, where an address of the link leads.
 */
#ifndef URUNIT_LOOPBACK_PORTS_H
#define URUNIT_LOOPBACK_PORTS_H

#include <stdbool.h>

#include "failure.h"
#include "record.h"
#include "resolver_record.h"

/* Reads a LOOPBACK_PORT record: the guest's own address and port, and where it leads. False: it is malformed. */
bool loopback_port_read(const struct urunc_record *record, union urunc_resolver *from, union urunc_resolver *to);

/* From now on whoever connects or sends to 127.0.0.1 at one of the machine's ports reaches what it leads to. */
bool loopback_ports_start(struct urunc_records machine, struct failure *failure);

#endif
