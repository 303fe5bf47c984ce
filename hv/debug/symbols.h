/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_SYMBOLS_H
#define DEBUG_SYMBOLS_H

/* Names of the image's functions, from the table that symbols.py put into it. */

#include <stdint.h>

/* The function that holds `address` and the distance from its start; null if it is no code of the image. */
const char *symbol_find(uint64_t address, uint64_t *offset);

#endif
