#include "address.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "frame.h"
#include "protocol.h"

/* client:server:gateway:mask:host:device */
#define FIELDS 6u
#define FIELD_MAX 64u

static const char default_device[sizeof(((struct address *)0)->device)] = "eth0";

static const char *last_word(const char *line)
{
	const char *found = NULL;
	const char *at;

	for (at = strstr(line, "ip="); at; at = strstr(at + 1, "ip="))
		if (at == line || at[-1] == ' ')
			found = at + 3;
	return found;
}

/* False: more than fits, which is no address. */
static bool split(const char *value, char fields[FIELDS][FIELD_MAX + 1])
{
	size_t field = 0;
	size_t length = 0;

	memset(fields, 0, FIELDS * (FIELD_MAX + 1));
	for (; *value && *value != ' ' && *value != '\n'; value++) {
		if (*value == ':') {
			field++;
			length = 0;
			continue;
		}
		/* How to configure, and name servers, are behind. */
		if (field >= FIELDS)
			continue;
		if (length == FIELD_MAX)
			return false;
		fields[field][length++] = *value;
	}
	return true;
}

static bool read_prefix(const char *mask, uint8_t *prefix)
{
	uint8_t bytes[4];
	uint32_t bits;

	if (inet_pton(AF_INET, mask, bytes) != 1)
		return false;
	bits = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
	for (*prefix = 0; bits & 0x80000000u; bits <<= 1)
		(*prefix)++;
	return bits == 0;
}

bool address_read(const char *line, struct address *address)
{
	char fields[FIELDS][FIELD_MAX + 1];
	const char *value = last_word(line);

	memset(address, 0, sizeof(*address));
	if (!value || !split(value, fields) || inet_pton(AF_INET, fields[0], address->address) != 1 ||
	    !read_prefix(fields[3], &address->prefix) || strlen(fields[5]) >= sizeof(address->device))
		return false;
	address->has_address = true;
	address->has_gateway = inet_pton(AF_INET, fields[2], address->gateway) == 1;
	memcpy(address->hostname, fields[4], sizeof(address->hostname));
	memcpy(address->device, fields[5][0] ? fields[5] : default_device, sizeof(address->device));
	return !strchr(address->device, '/') && address->device[0] != '.';
}

static uint8_t *begin(uint8_t *at, uint16_t tag, size_t length)
{
	memset(at, 0, URUNC_RECORD_HEADER + length);
	urunc_put16(at, tag);
	urunc_put32(at + 4, (uint32_t)length);
	return at + URUNC_RECORD_HEADER;
}

/* By the gateway, on whichever network that is; without one, whoever is asked for is on the link. */
static uint8_t *put_default_route(uint8_t *at, const struct address *address)
{
	uint8_t *value = begin(at, URUNC_ROUTE, 60);

	value[4] = 4;
	value[6] = address->has_gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	value[7] = address->has_gateway ? URUNC_ROUTE_GATEWAY | URUNC_ROUTE_ONLINK : 0;
	memcpy(value + 28, address->gateway, 4);
	return value + 60;
}

size_t address_records(const struct address *address, const uint8_t mac[6], uint8_t records[ADDRESS_RECORDS])
{
	size_t name = strlen(address->device) + 1;
	uint8_t *at = begin(records, URUNC_LINK, 16 + name);

	memcpy(at + 8, mac, 6);
	memcpy(at + 16, address->device, name);
	at += 16 + name;
	if (address->has_address) {
		at = begin(at, URUNC_ADDRESS, 40);
		at[4] = 4;
		at[5] = address->prefix;
		memcpy(at + 8, address->address, 4);
		at += 40;
	}
	return (size_t)(put_default_route(at, address) - records);
}
