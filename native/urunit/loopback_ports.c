#include "loopback_ports.h"

#include <arpa/inet.h>
#include <string.h>

#include "protocol.h"
#include "redirect.h"

bool loopback_port_read(const struct urunc_record *record, union urunc_resolver *from, union urunc_resolver *to)
{
	struct urunc_value value = urunc_value_of(record);
	uint16_t port = urunc_value_u16(&value);
	uint16_t zero = urunc_value_u16(&value);
	const uint8_t *address = urunc_value_bytes(&value, 4);

	if (!urunc_value_whole(&value) || zero != 0 || port == 0)
		return false;
	memset(from, 0, sizeof(*from));
	from->ip4.sin_family = AF_INET;
	from->ip4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	urunc_resolver_set_port(from, port);
	*to = *from;
	memcpy(&to->ip4.sin_addr, address, 4);
	return address[0] != 127;
}

bool loopback_ports_start(struct urunc_records machine, struct failure *failure)
{
	union urunc_resolver from, to;
	struct urunc_record record;
	unsigned count = 0;

	while (urunc_record_next(&machine, &record) == URUNC_RECORD_OK) {
		if (record.tag != URUNC_LOOPBACK_PORT)
			continue;
		if (count++ == URUNC_LOOPBACK_PORTS_MAX || !loopback_port_read(&record, &from, &to))
			return fail(failure, STATUS_OTHER, "a port of the loopback is malformed");
		if (!redirect_address(&from, &to, failure))
			return false;
	}
	return true;
}
