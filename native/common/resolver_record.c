#include "resolver_record.h"

#include <arpa/inet.h>
#include <string.h>

bool urunc_resolver_read(const struct urunc_record *record, union urunc_resolver *resolver)
{
	struct urunc_value value = urunc_value_of(record);
	uint8_t family = urunc_value_u8(&value);
	uint8_t zero = urunc_value_u8(&value);
	uint16_t zeroes = urunc_value_u16(&value);
	const uint8_t *address = urunc_value_bytes(&value, 16);

	if (!urunc_value_whole(&value) || zero != 0 || zeroes != 0)
		return false;
	memset(resolver, 0, sizeof *resolver);
	if (family == 4) {
		resolver->ip4.sin_family = AF_INET;
		memcpy(&resolver->ip4.sin_addr, address, 4);
		urunc_resolver_set_port(resolver, URUNC_DNS_PORT);
		return address[0] == 127;
	}
	resolver->ip6.sin6_family = AF_INET6;
	memcpy(&resolver->ip6.sin6_addr, address, 16);
	urunc_resolver_set_port(resolver, URUNC_DNS_PORT);
	return family == 6 && IN6_IS_ADDR_LOOPBACK(&resolver->ip6.sin6_addr);
}

socklen_t urunc_resolver_size(const union urunc_resolver *resolver)
{
	return resolver->any.sa_family == AF_INET ? sizeof resolver->ip4 : sizeof resolver->ip6;
}

void urunc_resolver_set_port(union urunc_resolver *resolver, uint16_t port)
{
	if (resolver->any.sa_family == AF_INET)
		resolver->ip4.sin_port = htons(port);
	else
		resolver->ip6.sin6_port = htons(port);
}
