/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/hostile_page.h"

#include "hv/mem/mem.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/partition.h"

/* Changes memory behind the reader's back. Not here: whose turn that is (the targets). */

/* The names are the linker's (--wrap). */
bool __real_gpa_read(struct partition *partition, gpa_t address, void *to, size_t bytes);
bool __wrap_gpa_read(struct partition *partition, gpa_t address, void *to, size_t bytes);

static uint8_t change;

void hostile_page_set(uint8_t pattern)
{
    change = pattern;
}

bool __wrap_gpa_read(struct partition *partition, gpa_t address, void *to, size_t bytes)
{
    const uint8_t *copy = to;

    if (!__real_gpa_read(partition, address, to, bytes)) {
        return false;
    }
    for (size_t i = 0; change != 0 && i < bytes; i++) {
        uint8_t other = copy[i] ^ change;

        (void)!gpa_write(partition, gpa(address.value + i), &other, sizeof(other));
    }
    return true;
}
