/* Where the host's end of the agent's channel is: a virtio-serial port, or, with monitors that have no ports, vsock. */
#ifndef URUNIT_TRANSPORT_H
#define URUNIT_TRANSPORT_H

#include <stdbool.h>

/*
 * Opens it. `ends` says whether reading nothing means that the host has closed it, which of a port means that it is not
 * open yet. -1, with errno: ENODEV if neither is there, or not yet; else the host does not take the connection.
 */
int transport_open(bool *ends);

#endif
