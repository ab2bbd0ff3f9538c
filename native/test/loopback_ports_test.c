/* Ports of the loopback that lead out of the guest: what the machine's document says of them. */
#include "../urunit/failure.c"
#include "../urunit/loopback_ports.c"
#include "frame.h"
#include "check.h"

/* The kernel's part of it has no place here. */
static unsigned redirected;
static union urunc_resolver last_from, last_to;

bool redirect_address(const union urunc_resolver *from, const union urunc_resolver *to, struct failure *failure)
{
	(void)failure;
	redirected++;
	last_from = *from;
	last_to = *to;
	return true;
}

static uint8_t document[512];
static size_t document_length;

static void add_record(uint16_t tag, const uint8_t *value, size_t length)
{
	uint8_t *at = document + document_length;

	memset(at, 0, URUNC_RECORD_HEADER);
	urunc_put16(at, tag);
	urunc_put32(at + 4, (uint32_t)length);
	memcpy(at + URUNC_RECORD_HEADER, value, length);
	document_length += URUNC_RECORD_HEADER + length;
}

static bool start(void)
{
	struct failure failure;

	redirected = 0;
	return loopback_ports_start((struct urunc_records){ document, document + document_length }, &failure);
}

static void each_port_leads_to_its_address(void)
{
	static const uint8_t value[] = { 0xa1, 0x23, 0, 0, 169, 254, 193, 1 };

	document_length = 0;
	CHECK(start());
	CHECK_EQUAL(redirected, 0);
	add_record(URUNC_HOSTNAME, (const uint8_t *)"box", 3);
	add_record(URUNC_LOOPBACK_PORT, value, sizeof value);
	CHECK(start());
	CHECK_EQUAL(redirected, 1);
	CHECK_EQUAL(ntohs(last_from.ip4.sin_port), 0x23a1);
	CHECK_EQUAL(ntohs(last_to.ip4.sin_port), 0x23a1);
	CHECK_EQUAL(ntohl(last_from.ip4.sin_addr.s_addr), 0x7f000001);
	CHECK_EQUAL(ntohl(last_to.ip4.sin_addr.s_addr), 0xa9fec101);
}

static void what_is_malformed_is_refused(void)
{
	static const uint8_t port_zero[] = { 0, 0, 0, 0, 169, 254, 193, 1 };
	static const uint8_t not_zero[] = { 80, 0, 1, 0, 169, 254, 193, 1 };
	static const uint8_t to_itself[] = { 80, 0, 0, 0, 127, 0, 0, 1 };
	static const uint8_t good[] = { 80, 0, 0, 0, 10, 0, 0, 1, 9 };
	const struct {
		const uint8_t *value;
		size_t length;
	} wrong[] = { { port_zero, 8 }, { not_zero, 8 }, { to_itself, 8 }, { good, 7 }, { good, 9 }, { good, 0 } };
	unsigned i;

	for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		document_length = 0;
		add_record(URUNC_LOOPBACK_PORT, wrong[i].value, wrong[i].length);
		CHECK(!start());
		CHECK_EQUAL(redirected, 0);
	}
	document_length = 0;
	for (i = 0; i < URUNC_LOOPBACK_PORTS_MAX; i++)
		add_record(URUNC_LOOPBACK_PORT, good, 8);
	CHECK(start());
	CHECK_EQUAL(redirected, URUNC_LOOPBACK_PORTS_MAX);
	add_record(URUNC_LOOPBACK_PORT, good, 8);
	CHECK(!start());
}

int main(void)
{
	each_port_leads_to_its_address();
	what_is_malformed_is_refused();
	return 0;
}
