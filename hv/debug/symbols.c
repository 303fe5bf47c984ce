/* SPDX-License-Identifier: MIT */
/* Looks addresses up in the image's symbol table. */
#include "hv/debug/symbols.h"

#include <stddef.h>

#include "hv/mem/layout.h"
#include "hv/mem/mem.h"

/* Generated; see hv/debug/symbols.py. Addresses are distances from MEM_IMAGE_BASE, ascending. */
extern const uint32_t symbol_count;
extern const uint32_t symbol_addresses[];
extern const uint32_t symbol_name_offsets[];
extern const char symbol_names[];

const char *symbol_find(uint64_t address, uint64_t *offset)
{
    uint64_t distance = address - MEM_IMAGE_BASE;
    uint32_t low = 0;
    uint32_t high = symbol_count;

    if (address < (uint64_t)image_start || address >= (uint64_t)image_text_end) {
        return NULL;
    }
    /* Ends with `low` behind the last symbol that is not above the address. */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (symbol_addresses[middle] <= distance) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) {
        return NULL;
    }
    *offset = distance - symbol_addresses[low - 1];
    return &symbol_names[symbol_name_offsets[low - 1]];
}
