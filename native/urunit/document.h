/* A document while it arrives. */
#ifndef URUNIT_DOCUMENT_H
#define URUNIT_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record.h"

struct document {
	uint8_t *bytes; /* mapped; NULL: none was announced */
	size_t size;
	size_t length;
};

/* DOCUMENT: `size` bytes will follow. False: too many, a second announcement, or no memory. */
bool document_announce(struct document *document, uint32_t size);
/* CHUNK. False: more than announced. */
bool document_append(struct document *document, const uint8_t *bytes, size_t length);
bool document_complete(const struct document *document);
struct urunc_records document_records(const struct document *document);
void document_free(struct document *document);

#endif
