#include "document.h"

#include <string.h>
#include <sys/mman.h>

bool document_announce(struct document *document, uint32_t size)
{
	void *bytes;

	if (document->bytes || size > URUNC_DOCUMENT_MAX)
		return false;
	/* A page more, so that an empty document is one as well. */
	bytes = mmap(NULL, (size_t)size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bytes == MAP_FAILED)
		return false;
	document->bytes = bytes;
	document->size = size;
	document->length = 0;
	return true;
}

bool document_append(struct document *document, const uint8_t *bytes, size_t length)
{
	if (!document->bytes || length > document->size - document->length)
		return false;
	memcpy(document->bytes + document->length, bytes, length);
	document->length += length;
	return true;
}

bool document_complete(const struct document *document)
{
	return document->bytes && document->length == document->size;
}

struct urunc_records document_records(const struct document *document)
{
	return (struct urunc_records){ .at = document->bytes, .end = document->bytes + document->size };
}

void document_free(struct document *document)
{
	if (document->bytes)
		(void)munmap(document->bytes, document->size + 1);
	*document = (struct document){ 0 };
}
