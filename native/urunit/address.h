/* The word `ip=` of a kernel's command line (the kernel's Documentation/admin-guide/nfs/nfsroot.rst), IPv4 alone. */
#ifndef URUNIT_ADDRESS_H
#define URUNIT_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct address {
	bool has_address;
	uint8_t address[4];
	bool has_gateway;
	uint8_t gateway[4];
	uint8_t prefix; /* bits */
	char hostname[65];
	char device[16];
};

/* The value of the word's last occurrence in `line`. False: there is none, or it says something else than these. */
bool address_read(const char *line, struct address *address);

/*
 * Records of a machine's document (docs/guest-protocol.md) for the device with this MAC: its address, if there is one, and
 * a default route. Returns their bytes.
 */
#define ADDRESS_RECORDS 512u
size_t address_records(const struct address *address, const uint8_t mac[6], uint8_t records[ADDRESS_RECORDS]);

#endif
