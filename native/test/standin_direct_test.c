/* The stand-in without an agent: what the init says, what the kernel says on the console, what the init is given. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../standin/init_link.c"
#include "../standin/init_report.c"
#include "../standin/kernel_lines.c"
#include "../standin/streams.c"
#include "../standin/terminal.c"
#include "check.h"

/* What the init says. */

static struct init_report report;

/* One word for each event. */
static const char *events_of(const char *text, size_t piece)
{
	static const char *const names[] = { "", "hello", "started", "taken", "failed", "exited" };
	static char words[512];
	size_t left = strlen(text);

	words[0] = '\0';
	while (left > 0) {
		size_t length = left < piece ? left : piece;
		const uint8_t *bytes = (const uint8_t *)text;
		struct init_event event;

		text += length;
		left -= length;
		while ((event = init_report_next(&report, &bytes, &length)).type != INIT_NOTHING)
			snprintf(words + strlen(words), sizeof words - strlen(words), "%s %u %s;", names[event.type],
				 event.number, event.sentence);
	}
	return words;
}

static void test_what_the_init_says(void)
{
	const char *said = "urunit 1\nurunit started\nurunit taken 12\nurunit exited 255\nurunit failed 127 exec: \"x\"\n";
	const char *events = "hello 0 ;started 0 ;taken 12 ;exited 255 ;failed 127 exec: \"x\";";

	CHECK_STRING(events_of(said, 1000), events);
	CHECK_STRING(events_of(said, 1), events);
	CHECK_STRING(events_of("urunit exi", 1000), "");
	CHECK_STRING(events_of("ted 3\n", 1000), "exited 3 ;");
}

static void test_what_is_no_word_of_the_init(void)
{
	static char large[20000];

	CHECK_STRING(events_of("SeaBIOS (version 1)\n\nurunit\nurunit 2\nurunit exited\nurunit exited 256\n"
			       "urunit exited -1\nurunit exited 1 2\nurunit taken x\nurunit failed 1\nurunit started now\n",
			       1000),
		     "");
	memset(large, 'x', sizeof large - 1);
	memcpy(large, "urunit exited 1", 15);
	strcpy(large + sizeof large - 20, "\nurunit exited 2\n");
	CHECK_STRING(events_of(large, 999), "exited 2 ;");
}

/* The console. */

static struct kernel_lines lines;

static void append(char *to, const struct kernel_part *part)
{
	strncat(to, (const char *)part->bytes, part->length);
}

/* Both sides of what comes in pieces. */
static void read_console(const char *text, size_t piece, char kernel[2048], char application[2048])
{
	size_t left = strlen(text);

	kernel[0] = application[0] = '\0';
	while (left > 0) {
		size_t length = left < piece ? left : piece;
		const uint8_t *bytes = (const uint8_t *)text;
		struct kernel_part part;

		text += length;
		left -= length;
		while ((part = kernel_lines_next(&lines, &bytes, &length)).length > 0)
			append(part.kernel ? kernel : application, &part);
	}
}

static void check_console(const char *text, const char *kernel, const char *application)
{
	static const size_t pieces[] = { 1, 2, 7, 5000 };
	char one[2048], other[2048];

	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
		memset(&lines, 0, sizeof lines);
		read_console(text, pieces[i], one, other);
		CHECK_STRING(one, kernel);
		CHECK_STRING(other, application);
	}
}

static void test_kernels_lines_before_the_first_other_are_apart(void)
{
	check_console("[    0.93] Initramfs", "", "[    0.93] Initramfs");
	check_console("[    0.934299] Initramfs unpacking failed\r\n\r\n[   12.000001] x\r\nhello\r\n[    1.000000] y\r\n",
		      "[    0.934299] Initramfs unpacking failed\r\n\r\n[   12.000001] x\r\n",
		      "hello\r\n[    1.000000] y\r\n");
	check_console("\n[x", "\n", "[x");
	check_console("[1", "", "");
	check_console("[ 1.000000]no blank", "", "[ 1.000000]no blank");
	check_console("[                                                                      x", "",
		      "[                                                                      x");
}

static void test_long_lines_of_the_kernel(void)
{
	char text[1200] = "[    1.000000] ";
	size_t at = strlen(text);

	memset(text + at, 'k', 1000);
	strcpy(text + at + 1000, "\r\n");
	check_console(text, text, "");
}

static void test_the_applications_from_now_on(void)
{
	const uint8_t *bytes = (const uint8_t *)"[  1";
	size_t length = 4;
	struct kernel_part part;
	char kernel[2048], application[2048];

	memset(&lines, 0, sizeof lines);
	CHECK_EQUAL(kernel_lines_next(&lines, &bytes, &length).length, 0);
	part = kernel_lines_open(&lines);
	CHECK(!part.kernel && part.length == 4 && memcmp(part.bytes, "[  1", 4) == 0);
	read_console("2.000000] still\n", 3, kernel, application);
	CHECK_STRING(application, "2.000000] still\n");
	memset(&lines, 0, sizeof lines);
	CHECK_EQUAL(kernel_lines_open(&lines).length, 0);
	read_console("[   12.000000] x\n", 100, kernel, application);
	CHECK_STRING(application, "[   12.000000] x\n");
}

static int status_after(const char *text)
{
	char kernel[2048], application[2048];

	memset(&lines, 0, sizeof lines);
	read_console(text, 3, kernel, application);
	return kernel_lines_status(&lines);
}

/* A first process's end is the kernel's. */
static void test_status_of_a_panic(void)
{
	CHECK_EQUAL(status_after("[    1.000000] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000300\r\n"), 3);
	CHECK_EQUAL(status_after("out\r\n[    1.000000] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b\r\n"),
		    128 + 11);
	CHECK_EQUAL(status_after("Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000000\n"), 0);
	CHECK_EQUAL(status_after("x Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\n"), -1);
	CHECK(!lines.panicked);
	CHECK_EQUAL(status_after("[    1.000000] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n"), -1);
	CHECK(lines.panicked);
	CHECK_STRING(lines.panic, "VFS: Unable to mount root fs");
	CHECK_EQUAL(status_after("Kernel panic - not syncing: Attempted to kill init! exitcode=0x12345678\n"), -1);
}

/* What the init is given. */

static struct init_link link_;

static void say(enum init_event_type type, uint32_t number)
{
	struct init_event event = { type, number, "" };

	init_link_event(&link_, &event);
}

static void check_buffer(struct init_buffer *buffer, const char *wanted)
{
	char got[sizeof buffer->bytes + 1];
	int ends[2];
	ssize_t length;

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	init_buffer_send(buffer, ends[0]);
	length = read(ends[1], got, sizeof got - 1);
	got[length > 0 ? length : 0] = '\0';
	CHECK_STRING(got, wanted);
	CHECK_EQUAL(buffer->end, 0);
	close(ends[0]);
	close(ends[1]);
}

/* The writing end of a pipe whose other one the input is. */
static int open_link(void)
{
	int ends[2];

	CHECK_EQUAL(pipe(ends), 0);
	init_link_open(&link_, false, ends[0]);
	return ends[1];
}

static void test_an_init_that_speaks(void)
{
	static char much[4000];
	int input = open_link();

	CHECK(!init_link_takes_input(&link_, false));
	/* From before it runs. */
	CHECK(init_link_signal(&link_, SIGTERM));
	say(INIT_STARTED, 0);
	CHECK_EQUAL(link_.state, INIT_SILENT);
	say(INIT_HELLO, 0);
	check_buffer(&link_.commands, "pipes\n");
	CHECK(!init_link_signal(&link_, SIGUSR1));
	CHECK(!init_link_takes_input(&link_, true));
	say(INIT_STARTED, 0);
	check_buffer(&link_.commands, "signal 10\nsignal 15\n");
	CHECK(!init_link_signal(&link_, SIGTERM));
	check_buffer(&link_.commands, "signal 15\n");
	memset(much, 'a', sizeof much - 1);
	CHECK_EQUAL(write(input, much, 2100), 2100);
	close(input);
	CHECK(init_link_takes_input(&link_, false));
	init_link_read(&link_);
	much[INPUT_WINDOW] = '\0';
	check_buffer(&link_.typed, much);
	/* Not more than it has said to have taken. */
	CHECK(!init_link_takes_input(&link_, true));
	say(INIT_TAKEN, 50);
	init_link_read(&link_);
	much[50] = '\0';
	check_buffer(&link_.typed, much);
	say(INIT_TAKEN, 2048);
	init_link_read(&link_);
	much[2] = '\0';
	check_buffer(&link_.typed, much);
	init_link_read(&link_);
	CHECK(link_.input_ended);
	check_buffer(&link_.commands, "end 2100\n");
	CHECK(!init_link_takes_input(&link_, true));
	/* A guest that says to have taken more than there was harms itself alone. */
	link_.input_ended = false;
	say(INIT_TAKEN, 4000);
	CHECK(!init_link_takes_input(&link_, true));
}

static void test_an_init_that_says_nothing(void)
{
	int input = open_link();

	CHECK(!init_link_takes_input(&link_, false));
	CHECK(init_link_takes_input(&link_, true));
	CHECK_EQUAL(write(input, "typed", 5), 5);
	init_link_read(&link_);
	check_buffer(&link_.typed, "typed");
	close(input);
	init_link_read(&link_);
	check_buffer(&link_.typed, "\x04\x04");
	CHECK(init_link_signal(&link_, SIGINT));
	CHECK(!init_link_signal(&link_, SIGUSR1));
	CHECK(init_link_signal(&link_, 37));
	check_buffer(&link_.commands, "");
}

static void test_commands_that_do_not_fit_are_dropped(void)
{
	close(open_link());
	say(INIT_HELLO, 0);
	say(INIT_STARTED, 0);
	for (int i = 0; i < 1000; i++)
		(void)init_link_signal(&link_, SIGUSR1);
	CHECK(link_.commands.end <= sizeof link_.commands.bytes);
	CHECK_EQUAL(link_.commands.bytes[link_.commands.end - 1], '\n');
}

int main(void)
{
	test_what_the_init_says();
	test_what_is_no_word_of_the_init();
	test_kernels_lines_before_the_first_other_are_apart();
	test_long_lines_of_the_kernel();
	test_the_applications_from_now_on();
	test_status_of_a_panic();
	test_an_init_that_speaks();
	test_an_init_that_says_nothing();
	test_commands_that_do_not_fit_are_dropped();
	return 0;
}
