#include "epitaph.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "sentence.h"

#define SEE_LOG "see kernel.log in the container's state directory"

int epitaph_ended(const char *who, int wait_status, const struct log *own, const struct log *kernel,
		  char sentence[EPITAPH_MOST])
{
	bool killed = WIFSIGNALED(wait_status);
	int number = killed ? WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
	const char *how = killed ? "was ended by signal" : "ended with status";
	char words[LOG_LINE], line[LOG_LINE];

	log_last_line(own, words);
	log_last_line(kernel, line);
	if (words[0] && !(line[0] && wait_status == 0))
		snprintf(sentence, EPITAPH_MOST, "%s %s %d: %s", who, how, number, words);
	else if (line[0])
		snprintf(sentence, EPITAPH_MOST, "%s %s %d: " SEE_LOG ", whose last line is: %s", who, how, number, line);
	else
		snprintf(sentence, EPITAPH_MOST, "%s %s %d: " SEE_LOG, who, how, number);
	return killed ? 128 + number : 255;
}

void epitaph_timeout(uint32_t timeout, bool connected, char sentence[EPITAPH_MOST])
{
	unsigned long seconds = timeout / 1000, milliseconds = timeout % 1000;

	snprintf(sentence, EPITAPH_MOST, "the virtual machine did not %s within %lu %sseconds: " SEE_LOG,
		 connected ? "start its process" : "connect its agent", milliseconds ? timeout : seconds,
		 milliseconds ? "milli" : "");
}

void epitaph_closed(const struct log *kernel, char sentence[EPITAPH_MOST])
{
	char line[LOG_LINE];

	log_last_line(kernel, line);
	snprintf(sentence, EPITAPH_MOST, "the guest's channel was closed: " SEE_LOG "%s%s",
		 line[0] ? ", whose last line is: " : "", line);
}

void epitaph_panicked(const char *whose, const char *panic, char sentence[EPITAPH_MOST])
{
	char words[LOG_LINE];

	sentence_clean(words, sizeof words, (const uint8_t *)panic, strlen(panic));
	snprintf(sentence, EPITAPH_MOST, "the %s's kernel has panicked: %s", whose, words);
}
