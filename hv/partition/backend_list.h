/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_BACKEND_LIST_H
#define PARTITION_BACKEND_LIST_H

/* The CPU backends of this image; a test program links a list of its own. */

#include <stddef.h>

struct cpu_backend;

extern const struct cpu_backend *const backends[];
extern const size_t backend_count;

#endif
