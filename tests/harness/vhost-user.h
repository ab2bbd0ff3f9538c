/*
 * The part of vhost-user (QEMU, docs/interop/vhost-user.rst) and of split virtqueues (Virtual I/O Device 1.2, 2.7) that a
 * device of a test needs: memory, rings of two queues, a configuration. No indirect descriptors, no event index. It ends
 * with its monitor, and with whatever is not as it must be.
 */
#ifndef URUNC_TEST_VHOST_USER_H
#define URUNC_TEST_VHOST_USER_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define CHAIN_MOST 64
#define REGIONS 8

struct descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};

struct available {
	uint16_t flags, index, ring[];
};

struct used {
	uint16_t flags, index;
	struct {
		uint32_t id, length;
	} ring[];
};

struct ring {
	int kick, call;
	uint16_t size, next;
	bool called; /* something is done that the guest does not know of */
	/* In the monitor's addresses, which come before or after the memory that they are in. */
	struct {
		uint64_t descriptors, available, used;
	} places;
	struct descriptor *descriptors;
	struct available *available;
	struct used *used;
};

/* Memory of the guest that belongs together, either to be read or to be written. */
struct chain {
	uint16_t head;
	bool writable;
	int count;
	size_t length;
	struct iovec parts[CHAIN_MOST];
};

struct vhost_user {
	int socket;
	struct ring *rings;
	uint32_t ring_count;
	const void *config;
	uint32_t config_length;
	bool reset; /* the guest has given a queue up */
};

static struct {
	uint64_t guest, size, user;
	uint8_t *bytes;
} regions[REGIONS];

static _Noreturn void ring_fail(const char *what)
{
	fprintf(stderr, "vsock-device: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* By an address of the guest's or of the monitor's. */
static void *at_address(uint64_t address, uint64_t length, bool of_guest)
{
	for (int i = 0; i < REGIONS; i++) {
		uint64_t offset = address - (of_guest ? regions[i].guest : regions[i].user);

		if (regions[i].bytes && offset < regions[i].size && length <= regions[i].size - offset)
			return regions[i].bytes + offset;
	}
	ring_fail("an address outside of the guest's memory");
}

/* Rings. */

static bool ring_has_more(const struct ring *ring)
{
	return ring->kick >= 0 && ring->available &&
	       __atomic_load_n(&ring->available->index, __ATOMIC_ACQUIRE) != ring->next;
}

/* The next chain, which stays the next until ring_done. False: there is none. */
static bool ring_peek(const struct ring *ring, struct chain *chain)
{
	enum { NEXT = 1, WRITABLE = 2, INDIRECT = 4 };
	uint16_t index;

	if (!ring_has_more(ring))
		return false;
	index = ring->available->ring[ring->next % ring->size];
	*chain = (struct chain){ .head = index };
	for (;;) {
		struct descriptor descriptor;

		if (index >= ring->size || chain->count == CHAIN_MOST)
			ring_fail("a chain of descriptors is malformed");
		descriptor = ring->descriptors[index];
		if (descriptor.flags & INDIRECT)
			ring_fail("an indirect descriptor");
		if (chain->count == 0)
			chain->writable = descriptor.flags & WRITABLE;
		else if (chain->writable != !!(descriptor.flags & WRITABLE))
			ring_fail("a chain of both kinds");
		chain->parts[chain->count].iov_base = at_address(descriptor.address, descriptor.length, true);
		chain->parts[chain->count++].iov_len = descriptor.length;
		chain->length += descriptor.length;
		if (!(descriptor.flags & NEXT))
			return true;
		index = descriptor.next;
	}
}

static void ring_done(struct ring *ring, const struct chain *chain, uint32_t written)
{
	uint16_t index = ring->used->index;

	ring->used->ring[index % ring->size].id = chain->head;
	ring->used->ring[index % ring->size].length = written;
	__atomic_store_n(&ring->used->index, (uint16_t)(index + 1), __ATOMIC_RELEASE);
	ring->next++;
	ring->called = true;
}

/* Tells the guest what is done, unless it does not want to be told. */
static void ring_call(struct ring *ring)
{
	uint64_t one = 1;

	if (!ring->called)
		return;
	ring->called = false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (ring->call >= 0 && !(__atomic_load_n(&ring->available->flags, __ATOMIC_RELAXED) & 1) &&
	    write(ring->call, &one, sizeof one) < 0)
		ring_fail("the guest cannot be called");
}

static void ring_kicked(struct ring *ring)
{
	uint64_t count;

	if (read(ring->kick, &count, sizeof count) < 0 && errno != EAGAIN)
		ring_fail("a kick cannot be read");
}

/* Chains. */

/* What lies beyond the first `skipped` bytes, at most `most`; how many parts that is. */
static int chain_rest(const struct chain *chain, size_t skipped, size_t most, struct iovec parts[CHAIN_MOST])
{
	int count = 0;

	for (int i = 0; i < chain->count && most > 0; i++) {
		size_t length = chain->parts[i].iov_len, before = skipped < length ? skipped : length;

		skipped -= before;
		length -= before;
		if (length > most)
			length = most;
		if (length == 0)
			continue;
		parts[count++] = (struct iovec){ (uint8_t *)chain->parts[i].iov_base + before, length };
		most -= length;
	}
	return count;
}

static size_t chain_read(const struct chain *chain, uint8_t *bytes, size_t most)
{
	struct iovec parts[CHAIN_MOST];
	int count = chain->writable ? 0 : chain_rest(chain, 0, most, parts);
	size_t length = 0;

	for (int i = 0; i < count; i++) {
		memcpy(bytes + length, parts[i].iov_base, parts[i].iov_len);
		length += parts[i].iov_len;
	}
	return length;
}

static void chain_write(const struct chain *chain, const void *bytes, size_t length)
{
	struct iovec parts[CHAIN_MOST];
	int count = chain->writable ? chain_rest(chain, 0, length, parts) : 0;
	size_t put = 0;

	for (int i = 0; i < count; i++) {
		memcpy(parts[i].iov_base, (const uint8_t *)bytes + put, parts[i].iov_len);
		put += parts[i].iov_len;
	}
	if (put != length)
		ring_fail("a buffer is too small, or not to be written to");
}

/* The monitor's messages. */

enum vhost_user_request {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	SET_VRING_ERR = 14,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	SET_VRING_ENABLE = 18,
	GET_CONFIG = 24,
};

#define FEATURE_PROTOCOL (UINT64_C(1) << 30)
#define FEATURE_VERSION_1 (UINT64_C(1) << 32)
#define PROTOCOL_CONFIG (UINT64_C(1) << 9)
#define NO_DESCRIPTOR 0x100u
#define VERSION 1u
#define REPLY 4u

struct message {
	uint32_t request, flags, size;
	union {
		uint64_t number;
		struct {
			uint32_t index, value;
		} state;
		struct {
			uint32_t index, flags;
			uint64_t descriptors, used, available, log;
		} addresses;
		struct {
			uint32_t count, padding;
			struct {
				uint64_t guest, size, user, offset;
			} region[REGIONS];
		} memory;
		struct {
			uint32_t offset, size, flags;
			uint8_t bytes[256];
		} config;
	};
} __attribute__((packed));

#define MESSAGE_HEADER 12u

static void receive_all(int socket, void *bytes, size_t length)
{
	for (size_t got = 0; got < length;) {
		ssize_t part = read(socket, (uint8_t *)bytes + got, length - got);

		if (part == 0)
			exit(0);
		if (part < 0 && errno != EINTR)
			ring_fail("the monitor's socket");
		got += part > 0 ? (size_t)part : 0;
	}
}

/* The descriptors come with the header. */
static int receive_message(int socket, struct message *message, int descriptors[REGIONS])
{
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(REGIONS * sizeof(int))];
	} control;
	struct iovec part = { message, MESSAGE_HEADER };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
				 .msg_controllen = sizeof control };
	ssize_t got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
	struct cmsghdr *first = CMSG_FIRSTHDR(&header);
	size_t length = first ? first->cmsg_len - CMSG_LEN(0) : 0;

	if (got <= 0)
		exit(0);
	receive_all(socket, (uint8_t *)message + got, MESSAGE_HEADER - (size_t)got);
	if ((message->flags & 3) != VERSION || message->size > sizeof *message - MESSAGE_HEADER)
		ring_fail("a message of another kind");
	receive_all(socket, (uint8_t *)message + MESSAGE_HEADER, message->size);
	if (first)
		memcpy(descriptors, CMSG_DATA(first), length);
	return (int)(length / sizeof(int));
}

static void answer(int socket, struct message *message, uint32_t size)
{
	message->flags = VERSION | REPLY;
	message->size = size;
	if (send(socket, message, MESSAGE_HEADER + size, MSG_NOSIGNAL) != (ssize_t)(MESSAGE_HEADER + size))
		ring_fail("the monitor takes no answer");
}

static void find_ring(struct ring *ring)
{
	if (!ring->places.descriptors)
		return;
	ring->descriptors = at_address(ring->places.descriptors, 16u * ring->size, false);
	ring->available = at_address(ring->places.available, 4u + 2u * ring->size, false);
	ring->used = at_address(ring->places.used, 4u + 8u * ring->size, false);
}

static void take_memory(const struct vhost_user *user, const struct message *message, const int descriptors[REGIONS],
			int count)
{
	for (int i = 0; i < REGIONS; i++)
		if (regions[i].bytes)
			munmap(regions[i].bytes, regions[i].size);
	memset(regions, 0, sizeof regions);
	if (message->memory.count > REGIONS || (int)message->memory.count != count)
		ring_fail("a table of memory that is malformed");
	for (int i = 0; i < count; i++) {
		void *bytes = mmap(NULL, message->memory.region[i].size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptors[i],
				   (off_t)message->memory.region[i].offset);

		if (bytes == MAP_FAILED)
			ring_fail("the guest's memory cannot be mapped");
		close(descriptors[i]);
		regions[i].guest = message->memory.region[i].guest;
		regions[i].size = message->memory.region[i].size;
		regions[i].user = message->memory.region[i].user;
		regions[i].bytes = bytes;
	}
	for (uint32_t i = 0; i < user->ring_count; i++)
		find_ring(&user->rings[i]);
}

static struct ring *ring_of(const struct vhost_user *user, uint32_t index)
{
	if (index >= user->ring_count)
		ring_fail("a queue that there is not");
	return &user->rings[index];
}

static void take_addresses(const struct vhost_user *user, const struct message *message)
{
	struct ring *ring = ring_of(user, message->addresses.index);

	ring->places.descriptors = message->addresses.descriptors;
	ring->places.available = message->addresses.available;
	ring->places.used = message->addresses.used;
	find_ring(ring);
}

static void take_size(struct ring *ring, uint32_t size)
{
	if (size == 0 || size > 32768 || (size & (size - 1)) != 0)
		ring_fail("a queue of a size that cannot be");
	ring->size = (uint16_t)size;
}

static void take_event(const struct vhost_user *user, const struct message *message, const int descriptors[REGIONS])
{
	struct ring *ring = ring_of(user, message->number & 0xff);
	int *place = message->request == SET_VRING_KICK ? &ring->kick : &ring->call;
	int event = message->number & NO_DESCRIPTOR ? -1 : descriptors[0];

	if (message->request == SET_VRING_ERR) {
		if (event >= 0)
			close(event);
		return;
	}
	if (*place >= 0)
		close(*place);
	*place = event;
}

static void stop_ring(struct vhost_user *user, struct message *message)
{
	struct ring *ring = ring_of(user, message->state.index);

	if (ring->kick >= 0)
		close(ring->kick);
	ring->kick = -1;
	user->reset = true;
	message->state.value = ring->next;
	answer(user->socket, message, sizeof message->state);
}

static void give_config(const struct vhost_user *user, struct message *message)
{
	if (message->config.offset > user->config_length || message->config.size > user->config_length - message->config.offset)
		ring_fail("a configuration larger than there is");
	memcpy(message->config.bytes, (const uint8_t *)user->config + message->config.offset, message->config.size);
	answer(user->socket, message, MESSAGE_HEADER + message->config.size);
}

static void give_number(const struct vhost_user *user, struct message *message, uint64_t number)
{
	message->number = number;
	answer(user->socket, message, sizeof message->number);
}

/* One message. */
static void vhost_user_serve(struct vhost_user *user)
{
	static struct message message;
	int descriptors[REGIONS];
	int count = receive_message(user->socket, &message, descriptors);

	switch ((enum vhost_user_request)message.request) {
	case GET_FEATURES:
		give_number(user, &message, FEATURE_PROTOCOL | FEATURE_VERSION_1);
		break;
	case GET_PROTOCOL_FEATURES:
		give_number(user, &message, PROTOCOL_CONFIG);
		break;
	case SET_FEATURES:
	case SET_PROTOCOL_FEATURES:
	case SET_OWNER:
	case SET_VRING_ENABLE:
		break;
	case SET_MEM_TABLE:
		take_memory(user, &message, descriptors, count);
		break;
	case SET_VRING_NUM:
		take_size(ring_of(user, message.state.index), message.state.value);
		break;
	case SET_VRING_ADDR:
		take_addresses(user, &message);
		break;
	case SET_VRING_BASE:
		ring_of(user, message.state.index)->next = (uint16_t)message.state.value;
		break;
	case GET_VRING_BASE:
		stop_ring(user, &message);
		break;
	case SET_VRING_KICK:
	case SET_VRING_CALL:
	case SET_VRING_ERR:
		take_event(user, &message, descriptors);
		break;
	case GET_CONFIG:
		give_config(user, &message);
		break;
	default:
		fprintf(stderr, "vsock-device: request %u\n", message.request);
		ring_fail("a message that it does not know");
	}
}

#endif
