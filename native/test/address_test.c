/* The address of a guest without the agent, on its kernel's command line. */
#include "../urunit/address.c"
#include "../urunit/failure.c"
#include "check.h"
#include "record.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void test_address(void)
{
	struct address address;

	CHECK(address_read("console=ttyS0 ip=172.17.0.2::172.17.0.1:255.255.0.0:host:eth1:off quiet\n", &address));
	CHECK_EQUAL(address.prefix, 16);
	CHECK(memcmp(address.address, "\xac\x11\x00\x02", 4) == 0);
	CHECK(address.has_gateway && memcmp(address.gateway, "\xac\x11\x00\x01", 4) == 0);
	CHECK_STRING(address.hostname, "host");
	CHECK_STRING(address.device, "eth1");
	CHECK(address_read("ip=10.0.0.1::1.1.1.1:255.0.0.0:a ip=10.0.0.2:::255.255.255.255", &address));
	CHECK_EQUAL(address.prefix, 32);
	CHECK(!address.has_gateway);
	CHECK_EQUAL(address.address[3], 2);
	CHECK_STRING(address.device, "eth0");
	CHECK_STRING(address.hostname, "");
}

static void test_what_is_no_address(void)
{
	static const char *const wrong[] = { "",
					     "quiet",
					     "ip=dhcp",
					     "ip=",
					     "skip=10.0.0.2:::255.0.0.0",
					     "ip=10.0.0.2",
					     "ip=10.0.0.2:::255.0.255.0",
					     "ip=10.0.0.256:::255.0.0.0",
					     "ip=10.0.0.2:::255.0.0.0:h:0123456789abcdef",
					     "ip=10.0.0.2:::255.0.0.0:h:../x",
					     "ip=10.0.0.2:::255.0.0.0:"
					     "0123456789012345678901234567890123456789012345678901234567890123456789" };
	struct address address;

	for (size_t i = 0; i < COUNT(wrong); i++)
		if (address_read(wrong[i], &address))
			CHECK_STRING(wrong[i], "no address");
}

static void check_record(struct urunc_records *records, uint16_t tag, size_t length)
{
	struct urunc_record record;

	CHECK_EQUAL(urunc_record_next(records, &record), URUNC_RECORD_OK);
	CHECK_EQUAL(record.tag, tag);
	CHECK_EQUAL(record.length, length);
}

static void test_records_of_an_address(void)
{
	static const uint8_t mac[6] = { 1, 2, 3, 4, 5, 6 };
	uint8_t bytes[ADDRESS_RECORDS];
	struct address address;
	struct urunc_records records;
	size_t length;

	CHECK(address_read("ip=10.0.0.2::10.1.0.1:255.255.255.0:h:eth0:off", &address));
	length = address_records(&address, mac, bytes);
	records = (struct urunc_records){ bytes, bytes + length };
	check_record(&records, URUNC_LINK, 16 + 5);
	check_record(&records, URUNC_ADDRESS, 40);
	check_record(&records, URUNC_ROUTE, 60);
	CHECK_EQUAL(records.end[-60 + 7], URUNC_ROUTE_GATEWAY | URUNC_ROUTE_ONLINK);
	CHECK(memcmp(records.end - 60 + 28, "\x0a\x01\x00\x01", 4) == 0);
	CHECK_EQUAL(urunc_record_next(&records, &(struct urunc_record){ 0 }), URUNC_RECORD_END);
	address.has_address = false;
	records = (struct urunc_records){ bytes, bytes + address_records(&address, mac, bytes) };
	check_record(&records, URUNC_LINK, 16 + 5);
	check_record(&records, URUNC_ROUTE, 60);
}

int main(void)
{
	test_address();
	test_what_is_no_address();
	test_records_of_an_address();
	return 0;
}
