/* What the host gives as it welcomes the guest. False: it breaks the protocol, or the kernel refuses it. */
#ifndef URUNIT_WELCOME_H
#define URUNIT_WELCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "frame.h"

bool welcome_clock(const struct urunc_frame *frame, const uint8_t *payload);

bool welcome_entropy(const struct urunc_frame *frame, const uint8_t *payload);

#endif
