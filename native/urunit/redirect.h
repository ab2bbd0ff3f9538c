/* Sends what is meant for an address to another one, for every process but in network namespaces of their own. */
#ifndef URUNIT_REDIRECT_H
#define URUNIT_REDIRECT_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"
#include "resolver_record.h"

/*
 * From now on whoever connects or sends to one of these addresses, port `from`, reaches port `to`, and does not see the
 * difference: answers come from port `from`, which stays free for the container's own use.
 */
bool redirect_port(const union urunc_resolver *resolvers, unsigned count, uint16_t from, uint16_t to,
		   struct failure *failure);

/* The same from one address and port to another of the same family. */
bool redirect_address(const union urunc_resolver *from, const union urunc_resolver *to, struct failure *failure);

#endif
