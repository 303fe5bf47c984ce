/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_HOSTILE_PAGE_H
#define FUZZ_HOSTILE_PAGE_H

/*
 * Guest memory that changes as soon as it was looked at. The linker hands each call of gpa_read(), window_read() and
 * window_load_u32() from another file to this one, which changes what was read right after it was copied: code that
 * reads a field twice sees two values.
 */

#include <stdint.h>

/* From now on each byte that is read is combined with `pattern` afterwards by exclusive or; 0: memory keeps still. */
void hostile_page_set(uint8_t pattern);

#endif
