/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_CALL_STATUS_H
#define FUZZ_CALL_STATUS_H

/* Which statuses each hypercall may return. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_status.h"

/* True when a caller that may make the call can see this status. */
bool call_status_is_expected(uint16_t code, hv_status_t status);

#endif
