/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_UTF16_H
#define VMBUS_UTF16_H

/* Text of guests, which is UTF-16 in little-endian order, and ours, which is UTF-8. RFC 3629; RFC 2781. */

#include <stddef.h>
#include <stdint.h>

/*
 * Writes the text and a terminator into `size_bytes` bytes. Returns how many were written with the terminator, or 0
 * when they are too few. What is not UTF-8 becomes U+FFFD.
 */
size_t utf16_from_utf8(uint8_t *units, size_t size_bytes, const char *text);

/*
 * Writes what stands before the first zero of `unit_bytes` bytes, with a terminator, into `size` bytes, of which there
 * are at least 1. What does not fit is cut behind a character; halves of surrogate pairs become U+FFFD.
 */
void utf16_to_utf8(char *text, size_t size, const uint8_t *units, size_t unit_bytes);

#endif
