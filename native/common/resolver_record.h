/* The address of a resolver on the host's side (docs/guest-protocol.md, "Names"), as both documents have it. */
#ifndef URUNC_RESOLVER_RECORD_H
#define URUNC_RESOLVER_RECORD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "record.h"

union urunc_resolver {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
};

/* Reads a RESOLVER record; the port is 53. False: it is malformed, or the address is not a loopback's. */
bool urunc_resolver_read(const struct urunc_record *record, union urunc_resolver *resolver);

socklen_t urunc_resolver_size(const union urunc_resolver *resolver);
void urunc_resolver_set_port(union urunc_resolver *resolver, uint16_t port);

#endif
