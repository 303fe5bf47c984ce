/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/hostile_page.h"

#include "hv/mem/mem.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/partition.h"
#include "vmbus/window.h"

/* Changes memory behind the reader's back. Not here: whose turn that is (the targets). */

/* The names are the linker's (--wrap). */
bool __real_gpa_read(struct partition *partition, gpa_t address, void *to, size_t bytes);
bool __wrap_gpa_read(struct partition *partition, gpa_t address, void *to, size_t bytes);
void __real_window_read(void *to, const void GUEST *from, size_t length_bytes);
void __wrap_window_read(void *to, const void GUEST *from, size_t length_bytes);
uint32_t __real_window_load_u32(const uint32_t GUEST *word);
uint32_t __wrap_window_load_u32(const uint32_t GUEST *word);

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

void __wrap_window_read(void *to, const void GUEST *from, size_t length_bytes)
{
    uint8_t *origin = GUEST_CAST(uint8_t *, from);

    __real_window_read(to, from, length_bytes);
    for (size_t i = 0; i < length_bytes; i++) {
        origin[i] ^= change;
    }
}

uint32_t __wrap_window_load_u32(const uint32_t GUEST *word)
{
    uint32_t value = __real_window_load_u32(word);

    /* Each byte of the word alike. */
    *GUEST_CAST(uint32_t *, word) = value ^ change * 0x01010101u;
    return value;
}
