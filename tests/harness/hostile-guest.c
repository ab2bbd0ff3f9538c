/*
 * An /init that misbehaves towards its host (docs/guest-protocol.md). Which way is written into the program's own file:
 * the test puts the name where `mode` is.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vsock-address.h"

static volatile char mode[32] = "HOSTILE-GUEST-MODE";

enum { HELLO = 1, START = 7, STARTED = 8, FAILED = 9, DATA = 10, END = 11, WINDOW = 12, EXITED = 15, BYE = 16, QUERY = 17 };
enum { IN, OUT, ERRORS, CONTROL };

static int port;
static uint8_t frame[12 + 65536];

static int is(const char *name)
{
	return strcmp((const char *)mode, name) == 0;
}

static void hang(void)
{
	for (;;)
		pause();
}

static void put32(uint8_t *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get32(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void write_all(const uint8_t *bytes, size_t length)
{
	while (length > 0) {
		ssize_t put = write(port, bytes, length);

		if (put < 0)
			hang();
		bytes += put;
		length -= (size_t)put;
	}
}

static void read_all(uint8_t *bytes, size_t length)
{
	while (length > 0) {
		ssize_t got = read(port, bytes, length);

		if (got < 0)
			hang();
		/* The host's side is closed for a moment. */
		if (got == 0)
			usleep(1000);
		bytes += got;
		length -= (size_t)got;
	}
}

static void header(uint32_t length, uint32_t type, uint32_t process, uint32_t channel)
{
	put32(frame, length);
	put32(frame + 4, type);
	put32(frame + 8, process * 4 + channel);
}

static void say(uint32_t type, uint32_t process, uint32_t channel, const void *payload, size_t length)
{
	header((uint32_t)length, type, process, channel);
	memcpy(frame + 12, payload, length);
	write_all(frame, 12 + length);
}

static void say_number(uint32_t type, uint32_t process, uint32_t channel, uint32_t number)
{
	uint8_t payload[4];

	put32(payload, number);
	say(type, process, channel, payload, 4);
}

static void say_data(uint32_t process, uint32_t channel, uint32_t length)
{
	header(length, DATA, process, channel);
	memset(frame + 12, 'x', length);
	write_all(frame, 12 + length);
}

static void say_exited(uint32_t process, uint32_t status)
{
	uint8_t payload[8] = { 0 };

	put32(payload, status);
	say(EXITED, process, CONTROL, payload, 8);
}

static void say_failed(uint32_t process, uint32_t status, const char *sentence, size_t length)
{
	uint8_t payload[8192];

	put32(payload, status);
	memcpy(payload + 4, sentence, length);
	say(FAILED, process, CONTROL, payload, 4 + length);
}

static void say_hello(uint32_t magic, uint32_t least, uint32_t most)
{
	uint8_t payload[12] = { 0 };

	put32(payload, magic);
	put32(payload + 4, least | most << 16);
	say(HELLO, 0, CONTROL, payload, 12);
}

/* Reads frames until one of this type is about this process; gives the payload's first number. */
static uint32_t await(uint32_t type, uint32_t process)
{
	for (;;) {
		uint8_t bytes[12 + 32768] = { 0 };

		read_all(bytes, 12);
		read_all(bytes + 12, get32(bytes));
		if (get32(bytes + 4) == type && get32(bytes + 8) / 4 == process)
			return get32(bytes + 12);
	}
}

static void connect_many(int count)
{
	while (count-- > 0)
		(void)vsock_connect(VSOCK_HOST, 1024);
}

/* By vsock where there is no port. */
static void open_port(void)
{
	for (;;) {
		char path[32];

		port = vsock_connect(VSOCK_HOST, 1024);
		if (port >= 0)
			return;

		for (int i = 0; i < 16; i++) {
			snprintf(path, sizeof path, "/dev/vport%dp%d", i / 4, i % 4);
			port = open(path, O_RDWR);
			if (port >= 0)
				return;
		}
		usleep(1000);
	}
}

/* Past the kernel, as it would make pauses: to the serial port's own register. */
static void flood_console(void)
{
	if (iopl(3) < 0)
		exit(1);
	for (;;)
		outb('#', 0x3f8);
}

/* What needs no port. */
static void before_port(void)
{
	if (is("boot-resets"))
		reboot(RB_AUTOBOOT);
	else if (is("boot-panics"))
		exit(0);
	else if (is("boot-hangs"))
		hang();
	else if (is("boot-floods-console"))
		flood_console();
}

static void greet(void)
{
	if (is("hello-silence"))
		hang();
	if (is("hello-magic"))
		say_hello(0x12345678, 1, 1);
	if (is("hello-version"))
		say_hello(0x4e525555, 7, 9);
	if (is("hello-late"))
		say_number(STARTED, 0, CONTROL, 0);
	if (is("hello-noise"))
		for (;;)
			write_all(frame + 1, 4096);
	if (is("vsock-many"))
		connect_many(100);
	if (is("vsock-closes")) {
		close(port);
		connect_many(100);
		hang();
	}
	say_hello(0x4e525555, 1, 1);
	if (is("hello-twice"))
		say_hello(0x4e525555, 1, 1);
	if (is("hello-closes")) {
		close(port);
		hang();
	}
}

/* Answers to the host's START. */
static void fail(void)
{
	static char longest[4096];
	const char steers[] = "\033[2J\033]0;owned\007red\r\nurunc: a second line\302\233 \342\200\256\377";

	memset(longest, 'z', sizeof longest);
	if (is("fail-status"))
		say_failed(1, 4000000000u, "x", 2);
	else if (is("fail-steers"))
		say_failed(1, 128, steers, sizeof steers);
	else if (is("fail-open"))
		say_failed(1, 128, "no end", 6);
	else if (is("fail-early-nul"))
		say_failed(1, 128, "a\0b", 4);
	else if (is("fail-long")) {
		longest[4095] = 0;
		say_failed(1, 128, longest, 4096);
	} else if (is("fail-then-hangs")) {
		say_failed(1, 128, "it will not", 12);
		hang();
	} else if (is("start-twice"))
		say_number(STARTED, 0, CONTROL, 0);
	else if (is("start-no-id")) {
		say_number(STARTED, 1, CONTROL, 0);
		hang();
	}
}

/* As much as the host lets it, for ever. */
static void send_what_is_granted(uint32_t process)
{
	uint32_t credit = 65536;

	for (;;) {
		while (credit > 0) {
			uint32_t part = credit < 32768 ? credit : 32768;

			say_data(process, OUT, part);
			credit -= part;
		}
		credit += await(WINDOW, process);
	}
}

static void run(void)
{
	if (is("run-floods"))
		for (;;)
			say_data(1, OUT, 32768);
	if (is("run-fills"))
		send_what_is_granted(1);
	if (is("run-four-gib")) {
		header(0xffffffff, DATA, 1, OUT);
		for (;;)
			write_all(frame, 12);
	}
	if (is("run-type"))
		say_data(1, OUT, 5), say_number(999, 1, CONTROL, 0);
	if (is("run-host-type"))
		say_number(13, 1, CONTROL, 9);
	if (is("run-nobody"))
		say_data(77, OUT, 5);
	if (is("run-large-number"))
		say_data(0x3fffffff, OUT, 5);
	if (is("run-machine-data"))
		say_data(0, OUT, 5);
	if (is("run-input"))
		say_data(1, IN, 5);
	if (is("run-start-twice"))
		say_number(STARTED, 1, CONTROL, 9);
	if (is("run-window-overflow"))
		say_number(WINDOW, 1, IN, 0xffffffff);
	if (is("run-window-unsent"))
		say_number(WINDOW, 1, IN, 1);
	if (is("run-eof-twice"))
		say(END, 1, OUT, "", 0), say(END, 1, OUT, "", 0);
	if (is("run-data-after-eof"))
		say(END, 1, OUT, "", 0), say_data(1, OUT, 5);
	if (is("run-exit-early"))
		say_exited(1, 0);
	if (is("run-asks"))
		say(QUERY, 0, CONTROL, "\1\0\0\0" "\0\0\0\0" "id\1\0\0\1\0\0\0\0\0\0", 20);
	if (is("run-bye-early"))
		say(BYE, 0, CONTROL, "", 0);
	if (is("run-added-unasked"))
		say_number(STARTED, 2, CONTROL, 9);
	if (is("vsock-many")) {
		connect_many(100);
		say_data(1, OUT, 5);
	}
	if (is("run-resets"))
		reboot(RB_AUTOBOOT);
	if (is("run-panics"))
		exit(0);
	if (is("run-floods-console"))
		flood_console();
	if (is("run-closes"))
		close(port);
	if (is("run-hangs") || is("run-closes"))
		hang();
}

static void say_end(uint32_t process, uint32_t status)
{
	say(END, process, OUT, "", 0);
	say(END, process, ERRORS, "", 0);
	say_exited(process, status);
}

static void end(void)
{
	if (is("vsock-many"))
		say_end(1, 9);
	if (is("end-status"))
		say_end(1, 4000000000u);
	if (is("end-twice"))
		say_end(1, 3), say_exited(1, 4);
	if (is("end-without-bye"))
		say_end(1, 5);
	if (is("end-bye-flood")) {
		say_end(1, 6);
		for (;;)
			say(BYE, 0, CONTROL, "", 0);
	}
	if (is("end-speaks-on"))
		say_end(1, 7), say_data(1, OUT, 5);
}

/* One process that is added. */
static void serve(void)
{
	uint32_t number = 2;

	if (strncmp((const char *)mode, "exec-", 5) != 0)
		return;
	await(START, number);
	if (is("exec-silence"))
		return;
	if (is("exec-data-early"))
		say_data(number, OUT, 5);
	if (is("exec-exit-early"))
		say_exited(number, 0);
	say_number(STARTED, number, CONTROL, 20);
	if (is("exec-floods"))
		for (;;)
			say_data(number, ERRORS, 32768);
	if (is("exec-endless"))
		send_what_is_granted(number);
	if (is("exec-another"))
		say_data(number + 1, OUT, 5);
	if (is("exec-window"))
		say_number(WINDOW, number, IN, 70000);
	if (is("exec-start-twice"))
		say_number(STARTED, number, CONTROL, 21);
	if (is("exec-status"))
		say_end(number, 256);
	if (is("exec-speaks-on"))
		say_end(number, 0), say_data(number, OUT, 1);
}

int main(void)
{
	mkdir("/dev", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	before_port();
	open_port();
	greet();
	await(START, 0);
	await(START, 1);
	say_number(STARTED, 0, CONTROL, 0);
	fail();
	say_number(STARTED, 1, CONTROL, 7);
	run();
	end();
	serve();
	hang();
}
