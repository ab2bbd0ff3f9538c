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

/* As Go has it, whose texts runc's users know: the C library's in lower case, but for these. */
static const char *text_of(int error)
{
	switch (error) {
	case ELOOP:
		return "too many levels of symbolic links";
	case ENAMETOOLONG:
		return "file name too long";
	case ENOMEM:
		return "cannot allocate memory";
	case EBUSY:
		return "device or resource busy";
	case EIO:
		return "input/output error";
	case EMFILE:
		return "too many open files";
	default:
		return strerror(error);
	}
}

bool fail_errno(struct failure *failure, uint32_t status, const char *format, ...)
{
	char text[128];
	va_list arguments;
	size_t length;

	(void)snprintf(text, sizeof(text), "%s", text_of(errno));
	if (text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'a' && text[1] <= 'z')
		text[0] = (char)(text[0] - 'A' + 'a');
	va_start(arguments, format);
	put(failure, status, format, arguments);
	va_end(arguments);
	length = strlen(failure->sentence);
	(void)snprintf(failure->sentence + length, sizeof(failure->sentence) - length, ": %s", text);
	return false;
}

void fail_during(struct failure *failure, const char *what)
{
	size_t length = strlen(what);
	size_t kept = strnlen(failure->sentence, sizeof(failure->sentence) - 1);

	if (length >= sizeof(failure->sentence))
		return;
	if (kept > sizeof(failure->sentence) - 1 - length)
		kept = sizeof(failure->sentence) - 1 - length;
	memmove(failure->sentence + length, failure->sentence, kept);
	memcpy(failure->sentence, what, length);
	failure->sentence[length + kept] = 0;
}
