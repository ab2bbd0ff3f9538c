/* urunit as the init of an image's own kernel: words, configuration, ports, streams. */
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/resource.h>
#include <termios.h>
#include <unistd.h>

/* The machine's ports, and what a monitor has behind them. */
static unsigned char said[8192];
static size_t said_length;
static const char *told = "";
static unsigned allowed;
static unsigned debug_console = 0xe9;

static unsigned port_in(unsigned port)
{
	if (port == 0xe9)
		return debug_console;
	if (port == 0x2f8 + 5)
		return 0x60u | (*told ? 1u : 0u);
	return port == 0x2f8 && *told ? (unsigned char)*told++ : 0;
}

static void port_out(int value, unsigned port)
{
	if (port == 0xe9)
		said[said_length++] = (unsigned char)value;
}

#define PORT_IN(port) port_in(port)
#define PORT_OUT(value, port) port_out(value, port)
#define PORT_ALLOW(port, count, on) (allowed = (on) ? allowed + (count) : allowed - (count), (void)(port), 0)

#include "../urunit/conf.c"
#include "../urunit/direct_streams.c"
#include "../urunit/disk.c"
#include "../urunit/failure.c"
#include "../urunit/port.c"
#include "../urunit/words.c"
#include "check.h"
#include "record.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* Words. */

static void check_words(const char *const given[], const char *const wanted[])
{
	char *words[256], *copies[256];
	size_t count = 0, joined;
	char *room;

	for (; given[count]; count++)
		words[count] = copies[count] = strdup(given[count]);
	words[count] = NULL;
	/* Of exactly the size that it must have, so that a byte too many is noticed. */
	room = malloc(words_size(words, count));
	joined = words_join(words, count, room);
	CHECK(!words[joined]);
	for (size_t i = 0; wanted[i]; i++) {
		CHECK(i < joined);
		CHECK_STRING(words[i], wanted[i]);
	}
	for (size_t i = 0; i < joined; i++)
		CHECK(wanted[i]);
	for (size_t i = 0; i < count; i++)
		free(copies[i]);
	free(room);
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void test_words_between_quotes_are_joined(void)
{
	check_words(LIST("/bin/sh", "-c", "'echo", "a", "b'"), LIST("/bin/sh", "-c", "echo a b"));
	check_words(LIST("x", "\"a", "'b", "c\""), LIST("x", "a 'b c"));
	check_words(LIST("'--'", "''", "'a'"), LIST("--", "", "a"));
}

/* After the first one that is joined, none is lost. */
static void test_words_behind_joined_ones_stay(void)
{
	check_words(LIST("nginx", "-g", "'daemon", "off;", "error_log", "stderr;'", "-c", "'/a", "b'", "last"),
		    LIST("nginx", "-g", "daemon off; error_log stderr;", "-c", "/a b", "last"));
}

static void test_words_without_a_closing_quote_stay(void)
{
	check_words(LIST("'a", "b"), LIST("'a", "b"));
	check_words(LIST("'"), LIST("'"));
	check_words(LIST("it's", "isn't"), LIST("it's", "isn't"));
	check_words(LIST("'was never split", "x'"), LIST("'was never split", "x'"));
	check_words(LIST("", "a"), LIST("", "a"));
}

/* Neither how long a word is nor how many there are matters. */
static void test_long_and_many_words(void)
{
	static char large[5000], half[5001], joined[5000 + 3];
	const char *many[201];

	memset(large, 'a', sizeof large - 1);
	check_words(LIST("x", large), LIST("x", large));
	half[0] = '\'';
	memset(half + 1, 'a', sizeof half - 2);
	memset(joined, 'a', sizeof half - 2);
	memcpy(joined + sizeof half - 2, " b", 3);
	check_words(LIST(half, "b'"), LIST(joined));
	for (size_t i = 0; i < 200; i++)
		many[i] = "word";
	many[200] = NULL;
	check_words(many, many);
}

/* The configuration. */

static struct conf conf;
static struct failure failure;

/* Of exactly the size that it may have. */
static bool read_conf(const char *text)
{
	static char *copy;
	size_t length = strlen(text);

	/* What the one before points to is not looked at any more. */
	free(copy);
	copy = malloc(length + 1);
	memcpy(copy, text, length);
	copy[length] = 'x';
	return conf_read(copy, length, &conf, &failure);
}

static void test_whole_configuration(void)
{
	CHECK(read_conf("UES\nA=1\nB= two words \nC=\nUEE\nUCS\nUID: 1000\nGID:100\nWD:/a b\n"
			"RLIMIT:RLIMIT_NOFILE:1024:18446744073709551615\nUCE\n"
			"UBS\nID:01234567890123456789\nMP: /data\nID:b\nMP:/b\nUBE\n"));
	CHECK(conf.has_environment);
	CHECK_EQUAL(conf.variable_count, 3);
	CHECK_STRING(conf.variables[1], "B= two words ");
	CHECK_STRING(conf.variables[2], "C=");
	CHECK_EQUAL(conf.uid, 1000);
	CHECK_EQUAL(conf.gid, 100);
	CHECK_STRING(conf.directory, "/a b");
	CHECK_EQUAL(conf.limit_count, 1);
	CHECK_EQUAL(conf.limits[0].resource, RLIMIT_NOFILE);
	CHECK_EQUAL(conf.limits[0].soft, 1024);
	CHECK(conf.limits[0].hard == UINT64_MAX);
	CHECK_EQUAL(conf.volume_count, 2);
	CHECK_STRING(conf.volumes[0].serial, "01234567890123456789");
	CHECK_STRING(conf.volumes[0].path, "/data");
	CHECK_STRING(conf.volumes[1].path, "/b");
}

static void test_parts_of_a_configuration(void)
{
	CHECK(read_conf(""));
	CHECK(!conf.has_environment);
	CHECK(read_conf("UES\nUEE\n"));
	CHECK(conf.has_environment && !conf.has_process);
	CHECK(read_conf("\nUCS\nUID:0\nGID:0\nWD:/\nUCE\n\n"));
	CHECK_EQUAL(conf.uid, 0);
	CHECK(conf.has_process);
}

static void test_configuration_without_a_last_newline(void)
{
	CHECK(read_conf("UCS\nUID:7\nGID:8\nUCE"));
	CHECK_EQUAL(conf.uid, 7);
	CHECK(!conf.directory);
}

static void test_configuration_behind_which_zeros_stand(void)
{
	char text[] = "UCS\nUID:7\nGID:8\nUCE\n\0\0\0";

	CHECK(conf_read(text, sizeof text - 1, &conf, &failure));
	CHECK_EQUAL(conf.gid, 8);
}

/* To go on would be to run the application as root. */
static void test_malformed_configuration_is_refused(void)
{
	static const char *const wrong[] = {
		"UCS\nUID:1000\nGID:1000\n",
		"UCS\nUID:1000\nUCE\n",
		"UCS\nGID:1000\nUCE\n",
		"UCS\nUCE\n",
		"UCS\nUID:\nGID:0\nUCE\n",
		"UCS\nUID:x\nGID:0\nUCE\n",
		"UCS\nUID:-1\nGID:0\nUCE\n",
		"UCS\nUID:4294967295\nGID:0\nUCE\n",
		"UCS\nUID:99999999999999999999999\nGID:0\nUCE\n",
		"UCS\nUID:1\nUID:0\nGID:0\nUCE\n",
		"UCS\nUID:1 GID:1\nGID:1\nUCE\n",
		"UCS\nUID:1\nGID:1\nWD:relative\nUCE\n",
		"UCS\nUID:1\nGID:1\nWD:/a\nWD:/b\nUCE\n",
		"UCS\nUID:1\nGID:1\nSHELL:/bin/sh\nUCE\n",
		"UCS\nUID:1\nGID:1\nUCE\nUCS\nUID:0\nGID:0\nUCE\n",
		"UCS\nUID:1\nGID:1\nRLIMIT:RLIMIT_NOFILE:2:1\nUCE\n",
		"UCS\nUID:1\nGID:1\nRLIMIT:RLIMIT_NOFILE:1\nUCE\n",
		"UCS\nUID:1\nGID:1\nRLIMIT:NOFILE:1:1\nUCE\n",
		"UES\nno variable\nUEE\n",
		"UES\n=x\nUEE\n",
		"UES\nA=1\n",
		"UES\nA=1\nUCS\nUID:0\nGID:0\nUCE\n",
		"UBS\nID:a\nUBE\n",
		"UBS\nMP:/a\nUBE\n",
		"UBS\nID:a\nID:b\nMP:/a\nUBE\n",
		"UBS\nID:a/b\nMP:/a\nUBE\n",
		"UBS\nID:012345678901234567890\nMP:/a\nUBE\n",
		"UBS\nID:a\nMP:a\nUBE\n",
		"UEE\n",
		"garbage\n",
		"UES \nUEE\n",
	};
	char zero[] = "UCS\nUID:1\0\nGID:1\nUCE\n";

	for (size_t i = 0; i < COUNT(wrong); i++) {
		failure.sentence[0] = 0;
		if (read_conf(wrong[i]))
			CHECK_STRING(wrong[i], "refused");
		CHECK_EQUAL(failure.status, STATUS_OTHER);
		CHECK(strstr(failure.sentence, "configuration"));
	}
	CHECK(!conf_read(zero, sizeof zero - 1, &conf, &failure));
}

static void test_more_than_there_is_room_for_is_refused(void)
{
	static char many[CONF_VARIABLES * 4 + 64];

	strcpy(many, "UES\n");
	for (size_t i = 0; i <= CONF_VARIABLES; i++)
		strcpy(many + 4 + 4 * i, "a=b\n");
	strcpy(many + 4 + 4 * (CONF_VARIABLES + 1), "UEE\n");
	CHECK(!read_conf(many));
	strcpy(many + 4 + 4 * CONF_VARIABLES, "UEE\n");
	CHECK(read_conf(many));
	CHECK_EQUAL(conf.variable_count, CONF_VARIABLES);
}

/* The ports. */

static void test_no_host_at_the_ports(void)
{
	debug_console = 0xff;
	CHECK(!port_open());
	debug_console = 0xe9;
	CHECK(port_open());
}

static void test_lines_for_the_host(void)
{
	said_length = 0;
	port_say("urunit failed %u %s", 127u, "two\nlines");
	CHECK_EQUAL(said_length, strlen("urunit failed 127 two lines\n"));
	CHECK(memcmp(said, "urunit failed 127 two lines\n", said_length) == 0);
}

static void test_commands_of_the_host(void)
{
	struct command command;

	told = "nonsense\nterminal 24 80\nsignal 15\nsize 1 2\nend 5\npipes\nsig";
	CHECK(port_next(&command) && command.kind == COMMAND_TERMINAL && command.rows == 24 && command.columns == 80);
	CHECK(port_next(&command) && command.kind == COMMAND_SIGNAL && command.signal == 15);
	CHECK(port_next(&command) && command.kind == COMMAND_SIZE && command.rows == 1 && command.columns == 2);
	CHECK(port_next(&command) && command.kind == COMMAND_END && command.bytes == 5);
	CHECK(port_next(&command) && command.kind == COMMAND_PIPES);
	CHECK(!port_next(&command));
	told = "nal 9\n";
	CHECK(port_next(&command) && command.signal == 9);
}

static void test_what_is_no_command(void)
{
	static const char *const wrong[] = { "",	 "signal",    "signal 0",   "signal 65", "signal -1",	"signal 9 ",
					     "signal x", "terminal",  "terminal 1", "size 1 2 3", "size 65536 1", "end",
					     "end -1",	 "end 99999999999999999999", "pipes ", "PIPES" };
	struct command command;
	char *large = malloc(10000);

	for (size_t i = 0; i < COUNT(wrong); i++)
		if (command_parse(wrong[i], &command))
			CHECK_STRING(wrong[i], "no command");
	memset(large, 'x', 9999);
	memcpy(large, "pipes", 5);
	strcpy(large + 9990, "\npipes\n");
	told = large;
	CHECK(port_next(&command) && command.kind == COMMAND_PIPES);
	CHECK(!*told);
	free(large);
}

/* No program is to speak for urunit. */
static void test_ports_are_left(void)
{
	allowed = 0;
	CHECK(port_open());
	CHECK_EQUAL(allowed, 9);
	port_leave();
	CHECK_EQUAL(allowed, 0);
}

/* Streams. */

static struct relay relay;

/* With a terminal in the place of the console; `host` is its other side, `program` the application's ends. */
static void open_relay(int *host, int program[2])
{
	int slave, in[2], out[2];

	memset(&relay, 0, sizeof relay);
	CHECK_EQUAL(openpty(host, &slave, NULL, NULL, NULL), 0);
	CHECK_EQUAL(fcntl(*host, F_SETFL, O_NONBLOCK), 0);
	relay.console = slave;
	CHECK_EQUAL(fcntl(slave, F_SETFL, O_NONBLOCK), 0);
	make_raw(slave);
	CHECK(pipe2(in, O_NONBLOCK) == 0 && pipe2(out, O_NONBLOCK) == 0);
	relay.relays = true;
	relay.input = in[1];
	relay.output = out[0];
	program[0] = in[0];
	program[1] = out[1];
}

static void serve(unsigned times)
{
	struct pollfd slots[RELAY_SLOTS];

	while (times-- > 0) {
		relay_choose(&relay, slots);
		CHECK(poll(slots, RELAY_SLOTS, 0) >= 0);
		relay_serve(&relay, slots);
	}
}

static void check_read(int from, const char *wanted)
{
	char got[256] = { 0 };
	ssize_t length = read(from, got, sizeof got - 1);

	CHECK_EQUAL(length, strlen(wanted));
	CHECK_STRING(got, wanted);
}

static void test_bytes_pass_as_they_are(void)
{
	int host, program[2];

	open_relay(&host, program);
	CHECK_EQUAL(write(program[1], "a\nb\r\t\x04", 6), 6);
	CHECK_EQUAL(write(host, "c\nd\r\x03\x04", 6), 6);
	serve(3);
	check_read(host, "a\nb\r\t\x04");
	check_read(program[0], "c\nd\r\x03\x04");
	CHECK_EQUAL(relay_taken(&relay), 6);
	CHECK_EQUAL(relay_taken(&relay), 0);
}

static void test_input_ends_where_the_host_says(void)
{
	int host, program[2];
	char byte;

	open_relay(&host, program);
	/* That it ends may be known before it has come. */
	relay_end_input(&relay, 3);
	CHECK(read(program[0], &byte, 1) < 0);
	CHECK_EQUAL(write(host, "abc", 3), 3);
	serve(3);
	check_read(program[0], "abc");
	check_read(program[0], "");
	open_relay(&host, program);
	relay_end_input(&relay, 0);
	check_read(program[0], "");
}

static void test_input_that_nobody_reads_is_dropped(void)
{
	int host, program[2];

	open_relay(&host, program);
	CHECK_EQUAL(close(program[0]), 0);
	CHECK_EQUAL(write(host, "abc", 3), 3);
	serve(3);
	CHECK_EQUAL(relay_taken(&relay), 3);
	CHECK_EQUAL(write(program[1], "still", 5), 5);
	serve(2);
	check_read(host, "still");
}

static void test_output_is_drained(void)
{
	int host, program[2];

	open_relay(&host, program);
	CHECK_EQUAL(write(program[1], "last words", 10), 10);
	CHECK_EQUAL(close(program[1]), 0);
	/* Nobody reads a pseudo terminal's master as the serial port's driver does, so that it is read before. */
	drain_part(&relay);
	while (read_output(&relay))
		drain_part(&relay);
	check_read(host, "last words");
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	test_words_between_quotes_are_joined();
	test_words_behind_joined_ones_stay();
	test_words_without_a_closing_quote_stay();
	test_long_and_many_words();
	test_whole_configuration();
	test_parts_of_a_configuration();
	test_configuration_without_a_last_newline();
	test_configuration_behind_which_zeros_stand();
	test_malformed_configuration_is_refused();
	test_more_than_there_is_room_for_is_refused();
	test_no_host_at_the_ports();
	test_lines_for_the_host();
	test_commands_of_the_host();
	test_what_is_no_command();
	test_ports_are_left();
	test_bytes_pass_as_they_are();
	test_input_ends_where_the_host_says();
	test_input_that_nobody_reads_is_dropped();
	test_output_is_drained();
	return 0;
}
