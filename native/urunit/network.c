#include "network.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINKS_MAX 32u
#define NET "/sys/class/net"

struct link {
	bool known;
	bool has_ipv6;
	bool has_link_local;
	unsigned index;
	uint32_t mtu;
	uint8_t mac[6];
	char name[IFNAMSIZ];
};

struct network {
	int control; /* any socket, for ioctl(2) */
	int netlink;
	unsigned sequence;
	struct link links[LINKS_MAX];
};

struct request {
	struct nlmsghdr header;
	union {
		struct ifaddrmsg address;
		struct rtmsg route;
	} body;
	uint8_t attributes[160];
};

static void put_attribute(struct request *request, uint16_t type, const void *value, size_t length)
{
	struct rtattr *attribute = (struct rtattr *)(void *)((uint8_t *)request + NLMSG_ALIGN(request->header.nlmsg_len));

	attribute->rta_type = type;
	attribute->rta_len = (uint16_t)RTA_LENGTH(length);
	memcpy(RTA_DATA(attribute), value, length);
	request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + (uint32_t)RTA_ALIGN(attribute->rta_len);
}

/* Sends the request and waits for its answer; errno is the kernel's. What is there already is no error. */
static bool transact(struct network *network, struct request *request)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		uint8_t rest[512];
	} answer;
	ssize_t length;

	request->header.nlmsg_seq = ++network->sequence;
	request->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	if (send(network->netlink, request, request->header.nlmsg_len, 0) < 0)
		return false;
	do {
		length = recv(network->netlink, &answer, sizeof(answer), 0);
		if (length < 0)
			return false;
	} while ((size_t)length < sizeof(answer.header) + sizeof(answer.error.error) ||
		 answer.header.nlmsg_type != NLMSG_ERROR || answer.header.nlmsg_seq != network->sequence);
	errno = -answer.error.error;
	return errno == 0 || errno == EEXIST;
}

static bool link_ioctl(struct network *network, unsigned long number, struct ifreq *request, const char *name)
{
	(void)snprintf(request->ifr_name, sizeof(request->ifr_name), "%s", name);
	return ioctl(network->control, (int)number, request) == 0;
}

static bool bring_up(struct network *network, const char *name)
{
	struct ifreq request = { 0 };

	request.ifr_flags = IFF_UP;
	return link_ioctl(network, SIOCSIFFLAGS, &request, name);
}

static bool has_address(const char *device, const uint8_t *mac)
{
	char path[sizeof(NET) + 256 + 16];
	char text[32] = { 0 };
	char wanted[32];
	int file;
	ssize_t length;

	(void)snprintf(path, sizeof(path), NET "/%.255s/address", device);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return false;
	length = read(file, text, sizeof(text) - 1);
	(void)close(file);
	(void)snprintf(wanted, sizeof(wanted), "%02x:%02x:%02x:%02x:%02x:%02x\n", mac[0], mac[1], mac[2], mac[3], mac[4],
		       mac[5]);
	return length == (ssize_t)strlen(wanted) && !strcmp(text, wanted);
}

/* The kernel's name of the device with this address. */
static bool find_device(const uint8_t *mac, char name[IFNAMSIZ])
{
	struct dirent *entry;
	DIR *devices = opendir(NET);
	bool found = false;

	while (devices && !found && (entry = readdir(devices))) {
		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= IFNAMSIZ || !has_address(entry->d_name, mac))
			continue;
		memcpy(name, entry->d_name, strlen(entry->d_name) + 1);
		found = true;
	}
	if (devices)
		(void)closedir(devices);
	return found;
}

static bool read_link(struct network *network, const struct urunc_record *record, struct failure *failure)
{
	struct urunc_value value = urunc_value_of(record);
	uint32_t number = urunc_value_u32(&value);
	uint32_t mtu = urunc_value_u32(&value);
	const uint8_t *mac = urunc_value_bytes(&value, 6);
	(void)urunc_value_u16(&value);
	const char *name = urunc_value_string(&value);

	if (!urunc_value_whole(&value) || number >= LINKS_MAX || network->links[number].known || !*name ||
	    strlen(name) >= IFNAMSIZ || strchr(name, '/'))
		return fail(failure, STATUS_OTHER, "a link is not a valid record");
	network->links[number].known = true;
	network->links[number].mtu = mtu;
	memcpy(network->links[number].mac, mac, 6);
	memcpy(network->links[number].name, name, strlen(name) + 1);
	return true;
}

/* In two steps where the names of two devices are each other's. */
static bool rename_links(struct network *network, struct failure *failure)
{
	unsigned step;
	unsigned i;

	for (step = 0; step < 2; step++) {
		for (i = 0; i < LINKS_MAX; i++) {
			struct link *link = &network->links[i];
			struct ifreq request = { 0 };
			char name[IFNAMSIZ] = { 0 };

			if (!link->known)
				continue;
			if (!find_device(link->mac, name))
				return fail(failure, STATUS_OTHER, "the machine has no network device for %s", link->name);
			if (!strcmp(name, link->name))
				continue;
			if (step == 0)
				(void)snprintf(request.ifr_newname, IFNAMSIZ, "urunc%u", i);
			else
				memcpy(request.ifr_newname, link->name, IFNAMSIZ);
			if (!link_ioctl(network, SIOCSIFNAME, &request, name))
				return fail_errno(failure, STATUS_OTHER, "naming the network device %s", link->name);
		}
	}
	return true;
}

static void write_switch(const char *link, const char *name, const char *text)
{
	char path[128];
	int file;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%.15s/%s", link, name);
	file = open(path, O_WRONLY | O_CLOEXEC);
	if (file < 0)
		return;
	if (write(file, text, strlen(text)) < 0)
		errno = 0; /* An interface that keeps a default works too. */
	(void)close(file);
}

static bool start_link(struct network *network, struct link *link, struct failure *failure)
{
	struct ifreq request = { 0 };

	/* The addresses are another interface's on the host, which has made sure of them. */
	write_switch(link->name, "accept_dad", "0");
	/* An interface without IPv6 on the host has none here. */
	if (!link->has_ipv6)
		write_switch(link->name, "disable_ipv6", "1");
	/* The host's may be another than the kernel would make, and there should be one of them. */
	if (link->has_link_local)
		write_switch(link->name, "addr_gen_mode", "1");
	request.ifr_mtu = (int)link->mtu;
	if (link->mtu != 0 && !link_ioctl(network, SIOCSIFMTU, &request, link->name))
		return fail_errno(failure, STATUS_OTHER, "setting the MTU of %s to %u", link->name, link->mtu);
	if (!bring_up(network, link->name))
		return fail_errno(failure, STATUS_OTHER, "bringing up %s", link->name);
	memset(&request, 0, sizeof(request));
	if (!link_ioctl(network, SIOCGIFINDEX, &request, link->name))
		return fail_errno(failure, STATUS_OTHER, "finding %s", link->name);
	link->index = (unsigned)request.ifr_ifindex;
	return true;
}

static struct link *link_of(struct network *network, uint32_t number)
{
	return number < LINKS_MAX && network->links[number].known ? &network->links[number] : NULL;
}

static unsigned char family_of(uint8_t family)
{
	return family == 4 ? AF_INET : AF_INET6;
}

static size_t size_of(uint8_t family)
{
	return family == 4 ? 4 : 16;
}

static bool is_zero(const uint8_t *address)
{
	static const uint8_t zero[16];

	return memcmp(address, zero, sizeof(zero)) == 0;
}

static const char *show(uint8_t family, const uint8_t *address, char *buffer)
{
	const char *text = inet_ntop(family_of(family), address, buffer, INET6_ADDRSTRLEN);

	return text ? text : "?";
}

static bool is_link_local(uint8_t family, const uint8_t *address)
{
	return family == 6 && address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

static bool add_address(struct network *network, const struct urunc_record *record, struct failure *failure)
{
	struct urunc_value value = urunc_value_of(record);
	struct link *link = link_of(network, urunc_value_u32(&value));
	uint8_t family = urunc_value_u8(&value);
	uint8_t prefix = urunc_value_u8(&value);
	uint16_t flags = urunc_value_u16(&value);
	const uint8_t *address = urunc_value_bytes(&value, 16);
	const uint8_t *broadcast = urunc_value_bytes(&value, 16);
	struct request request = { .header = { .nlmsg_type = RTM_NEWADDR, .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)) } };
	uint32_t kernel_flags = family == 6 ? IFA_F_NODAD : 0;
	char text[INET6_ADDRSTRLEN];

	if (!urunc_value_whole(&value) || !link || (family != 4 && family != 6))
		return fail(failure, STATUS_OTHER, "an address is not a valid record");
	request.body.address.ifa_family = family_of(family);
	request.body.address.ifa_prefixlen = prefix;
	request.body.address.ifa_index = link->index;
	if (flags & URUNC_ADDRESS_WITHOUT_ROUTE)
		kernel_flags |= IFA_F_NOPREFIXROUTE;
	if (is_link_local(family, address))
		request.body.address.ifa_scope = RT_SCOPE_LINK;
	put_attribute(&request, IFA_LOCAL, address, size_of(family));
	put_attribute(&request, IFA_ADDRESS, address, size_of(family));
	put_attribute(&request, IFA_FLAGS, &kernel_flags, sizeof(kernel_flags));
	if (family == 4 && !is_zero(broadcast))
		put_attribute(&request, IFA_BROADCAST, broadcast, 4);
	return transact(network, &request) || fail_errno(failure, STATUS_OTHER, "adding the address %s/%u to %s",
							 show(family, address, text), prefix, link->name);
}

/* By the one interface of the kernel's that takes these flags; without them its own default route would collide. */
static bool add_advertised(const struct link *link, uint32_t metric, const uint8_t *gateway)
{
	struct in6_rtmsg route = { .rtmsg_metric = metric,
				   .rtmsg_flags = RTF_UP | RTF_GATEWAY | RTF_ADDRCONF | RTF_DEFAULT,
				   .rtmsg_ifindex = (int)link->index };
	int control = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool done;

	if (control < 0)
		return false;
	memcpy(&route.rtmsg_gateway, gateway, sizeof(route.rtmsg_gateway));
	done = ioctl(control, (int)SIOCADDRT, &route) == 0 || errno == EEXIST;
	(void)close(control);
	return done;
}

static bool add_route(struct network *network, const struct urunc_record *record, struct failure *failure)
{
	struct urunc_value value = urunc_value_of(record);
	struct link *link = link_of(network, urunc_value_u32(&value));
	uint8_t family = urunc_value_u8(&value);
	uint8_t prefix = urunc_value_u8(&value);
	uint8_t scope = urunc_value_u8(&value);
	uint8_t flags = urunc_value_u8(&value);
	uint32_t metric = urunc_value_u32(&value);
	const uint8_t *destination = urunc_value_bytes(&value, 16);
	const uint8_t *gateway = urunc_value_bytes(&value, 16);
	const uint8_t *source = urunc_value_bytes(&value, 16);
	struct request request = { .header = { .nlmsg_type = RTM_NEWROUTE, .nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)) } };
	char text[INET6_ADDRSTRLEN];

	if (!urunc_value_whole(&value) || !link || (family != 4 && family != 6))
		return fail(failure, STATUS_OTHER, "a route is not a valid record");
	request.body.route.rtm_family = family_of(family);
	request.body.route.rtm_dst_len = prefix;
	request.body.route.rtm_scope = scope;
	request.body.route.rtm_table = RT_TABLE_MAIN;
	request.body.route.rtm_protocol = RTPROT_BOOT;
	request.body.route.rtm_type = RTN_UNICAST;
	request.body.route.rtm_flags = flags & URUNC_ROUTE_ONLINK ? RTNH_F_ONLINK : 0;
	put_attribute(&request, RTA_OIF, &link->index, sizeof(link->index));
	if (prefix > 0)
		put_attribute(&request, RTA_DST, destination, size_of(family));
	if (flags & URUNC_ROUTE_GATEWAY)
		put_attribute(&request, RTA_GATEWAY, gateway, size_of(family));
	if (flags & URUNC_ROUTE_SOURCE)
		put_attribute(&request, RTA_PREFSRC, source, size_of(family));
	if (metric != 0)
		put_attribute(&request, RTA_PRIORITY, &metric, sizeof(metric));
	if (flags & URUNC_ROUTE_ADVERTISED ? add_advertised(link, metric, gateway) : transact(network, &request))
		return true;
	return fail_errno(failure, STATUS_OTHER, "adding the route to %s/%u by %s", show(family, destination, text), prefix,
			  link->name);
}

static bool add_dead_route(struct network *network, const struct urunc_record *record, struct failure *failure)
{
	struct urunc_value value = urunc_value_of(record);
	uint8_t family = urunc_value_u8(&value);
	uint8_t prefix = urunc_value_u8(&value);
	uint8_t type = urunc_value_u8(&value);
	(void)urunc_value_u8(&value);
	uint32_t metric = urunc_value_u32(&value);
	const uint8_t *destination = urunc_value_bytes(&value, 16);
	struct request request = { .header = { .nlmsg_type = RTM_NEWROUTE, .nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)) } };
	char text[INET6_ADDRSTRLEN];

	if (!urunc_value_whole(&value) || (family != 4 && family != 6) || type < RTN_BLACKHOLE || type > RTN_THROW)
		return fail(failure, STATUS_OTHER, "a dead route is not a valid record");
	request.body.route.rtm_family = family_of(family);
	request.body.route.rtm_dst_len = prefix;
	request.body.route.rtm_scope = RT_SCOPE_UNIVERSE;
	request.body.route.rtm_table = RT_TABLE_MAIN;
	request.body.route.rtm_protocol = RTPROT_BOOT;
	request.body.route.rtm_type = type;
	if (prefix > 0)
		put_attribute(&request, RTA_DST, destination, size_of(family));
	if (metric != 0)
		put_attribute(&request, RTA_PRIORITY, &metric, sizeof(metric));
	return transact(network, &request) || fail_errno(failure, STATUS_OTHER, "adding the dead route to %s/%u",
							 show(family, destination, text), prefix);
}

static bool set_name(const struct urunc_record *record, struct failure *failure)
{
	struct urunc_value value = urunc_value_of(record);
	const char *name = urunc_value_string(&value);
	bool domain = record->tag == URUNC_DOMAINNAME;

	if (!urunc_value_whole(&value))
		return fail(failure, STATUS_OTHER, "a name is not a valid record");
	if ((domain ? setdomainname(name, strlen(name)) : sethostname(name, strlen(name))) < 0)
		return fail_errno(failure, STATUS_OTHER, "setting the %s name \"%s\"", domain ? "domain" : "host", name);
	return true;
}

static bool note_ipv6(struct network *network, const struct urunc_record *record)
{
	struct urunc_value value = urunc_value_of(record);
	struct link *link = link_of(network, urunc_value_u32(&value));
	uint8_t family = urunc_value_u8(&value);
	(void)urunc_value_u8(&value);
	(void)urunc_value_u16(&value);
	const uint8_t *address = urunc_value_bytes(&value, 16);

	if (!link || !address)
		return true; /* add_address() says what is wrong. */
	link->has_ipv6 |= family == 6;
	link->has_link_local |= is_link_local(family, address);
	return true;
}

enum pass { PASS_READ, PASS_ADDRESSES, PASS_ROUTES };

static bool apply_pass(struct network *network, struct urunc_records records, enum pass pass, struct failure *failure)
{
	struct urunc_record record;
	bool done = true;

	while (done && urunc_record_next(&records, &record) == URUNC_RECORD_OK) {
		if (pass == PASS_READ && (record.tag == URUNC_HOSTNAME || record.tag == URUNC_DOMAINNAME))
			done = set_name(&record, failure);
		else if (pass == PASS_READ && record.tag == URUNC_LINK)
			done = read_link(network, &record, failure);
		else if (pass == PASS_READ && record.tag == URUNC_ADDRESS)
			done = note_ipv6(network, &record);
		else if (pass == PASS_ADDRESSES && record.tag == URUNC_ADDRESS)
			done = add_address(network, &record, failure);
		else if (pass == PASS_ROUTES && record.tag == URUNC_ROUTE)
			done = add_route(network, &record, failure);
		else if (pass == PASS_ROUTES && record.tag == URUNC_DEAD_ROUTE)
			done = add_dead_route(network, &record, failure);
	}
	return done;
}

bool network_prepare(struct failure *failure)
{
	struct network network = { 0 };
	bool done;

	network.control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (network.control < 0)
		return fail_errno(failure, STATUS_OTHER, "opening a network socket");
	done = bring_up(&network, "lo") || fail_errno(failure, STATUS_OTHER, "bringing up lo");
	(void)close(network.control);
	return done;
}

bool network_apply(struct urunc_records machine, struct failure *failure)
{
	struct network network = { 0 };
	bool done;
	unsigned i;

	network.control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	network.netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (network.control < 0 || network.netlink < 0)
		return fail_errno(failure, STATUS_OTHER, "opening a network socket");
	done = apply_pass(&network, machine, PASS_READ, failure) && rename_links(&network, failure);
	for (i = 0; done && i < LINKS_MAX; i++)
		done = !network.links[i].known || start_link(&network, &network.links[i], failure);
	done = done && apply_pass(&network, machine, PASS_ADDRESSES, failure) &&
	       apply_pass(&network, machine, PASS_ROUTES, failure);
	(void)close(network.control);
	(void)close(network.netlink);
	return done;
}
