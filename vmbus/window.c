/* SPDX-License-Identifier: MIT */
/*
 * The only file of the VMBus side that dereferences pointers to guest memory. What the bytes mean is its callers'
 * business.
 */
#include "vmbus/window.h"

#include "hv/lib/str.h"
#include "vmbus/host.h"

void GUEST *window_bytes(struct host_vm *host, uint64_t gpa, uint64_t length_bytes)
{
    return GUEST_CAST(void GUEST *, host_guest_memory(host, gpa, length_bytes));
}

void GUEST *window_page(struct host_vm *host, uint64_t page_number)
{
    if (page_number >= WINDOW_PAGES_MAX) {
        return NULL;
    }
    return window_bytes(host, page_number << PAGE_SHIFT, PAGE_SIZE);
}

void GUEST *window_map_device(struct host_vm *host, uint64_t gpa, uint64_t length_bytes)
{
    return GUEST_CAST(void GUEST *, host_map_device_memory(host, gpa, length_bytes));
}

void window_read(void *to, const void GUEST *from, size_t length_bytes)
{
    memcpy(to, GUEST_CAST(const void *, from), length_bytes);
    /* Later reads of the copy must not go back to guest memory. */
    COMPILER_BARRIER();
}

void window_write(void GUEST *to, const void *from, size_t length_bytes)
{
    memcpy(GUEST_CAST(void *, to), from, length_bytes);
}

uint32_t window_load_u32(const uint32_t GUEST *word)
{
    return __atomic_load_n(GUEST_CAST(const uint32_t *, word), __ATOMIC_ACQUIRE);
}

void window_store_u32(uint32_t GUEST *word, uint32_t value)
{
    __atomic_store_n(GUEST_CAST(uint32_t *, word), value, __ATOMIC_RELEASE);
}

void window_set_bit(uint8_t GUEST *bits, uint32_t bit)
{
    __atomic_fetch_or(GUEST_CAST(uint8_t *, bits + bit / 8), (uint8_t)(1u << bit % 8), __ATOMIC_SEQ_CST);
}

bool window_take_bit(uint8_t GUEST *bits, uint32_t bit)
{
    uint8_t mask = (uint8_t)(1u << bit % 8);

    return (__atomic_fetch_and(GUEST_CAST(uint8_t *, bits + bit / 8), (uint8_t)~mask, __ATOMIC_SEQ_CST) & mask) != 0;
}

void window_barrier(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
