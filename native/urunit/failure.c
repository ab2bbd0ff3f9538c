#include "failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void put(struct failure *failure, uint32_t status, const char *format, va_list arguments)
{
	failure->status = status;
	(void)vsnprintf(failure->sentence, sizeof(failure->sentence), format, arguments);
}

bool fail(struct failure *failure, uint32_t status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	put(failure, status, format, arguments);
	va_end(arguments);
	return false;
}

/* In lower case, as runc's sentences have it. */
bool fail_errno(struct failure *failure, uint32_t status, const char *format, ...)
{
	char text[128];
	va_list arguments;
	size_t length;

	(void)snprintf(text, sizeof(text), "%s", strerror(errno));
	if (text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'a' && text[1] <= 'z')
		text[0] = (char)(text[0] - 'A' + 'a');
	va_start(arguments, format);
	put(failure, status, format, arguments);
	va_end(arguments);
	length = strlen(failure->sentence);
	(void)snprintf(failure->sentence + length, sizeof(failure->sentence) - length, ": %s", text);
	return false;
}
