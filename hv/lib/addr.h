/* SPDX-License-Identifier: MIT */
/*
 * Address types that must never be mixed, each a struct with one member, and
 * page arithmetic. A guest physical address (GPA) means something only inside a
 * partition, a system physical address (SPA) is the machine's, a guest virtual
 * address (GVA) belongs to one VP's paging mode.
 */
#ifndef LIB_ADDR_H
#define LIB_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE_SHIFT           12
#define PAGE_SIZE            (UINT64_C(1) << PAGE_SHIFT)
/* Selects the offset inside a page; the page frame is ~PAGE_MASK. */
#define PAGE_MASK            (PAGE_SIZE - 1)
#define LARGE_PAGE_SHIFT     21
#define LARGE_PAGE_SIZE      (UINT64_C(1) << LARGE_PAGE_SHIFT)
#define LARGE_PAGE_MASK      (LARGE_PAGE_SIZE - 1)
#define HUGE_PAGE_SHIFT      30
#define HUGE_PAGE_SIZE       (UINT64_C(1) << HUGE_PAGE_SHIFT)
#define HUGE_PAGE_MASK       (HUGE_PAGE_SIZE - 1)
#define PAGES_PER_LARGE_PAGE (LARGE_PAGE_SIZE / PAGE_SIZE)

#define KIB(count) ((uint64_t)(count) << 10)
#define MIB(count) ((uint64_t)(count) << 20)
#define GIB(count) ((uint64_t)(count) << 30)

/* Guest physical address. */
typedef struct {
    uint64_t value;
} gpa_t;

/* System physical address: what the machine's memory controller sees. */
typedef struct {
    uint64_t value;
} spa_t;

/* Guest virtual (linear) address. */
typedef struct {
    uint64_t value;
} gva_t;

static inline gpa_t gpa(uint64_t value)
{
    return (gpa_t){.value = value};
}

/* The first address of page number `page`. */
static inline gpa_t gpa_from_page(uint64_t page)
{
    return (gpa_t){.value = page << PAGE_SHIFT};
}

/* May wrap; check the range first (range.h). */
static inline gpa_t gpa_add(gpa_t address, uint64_t offset_bytes)
{
    return (gpa_t){.value = address.value + offset_bytes};
}

/* Linear address widths with 4 and 5 levels of tables. */
#define LINEAR_BITS_4_LEVEL 48u
#define LINEAR_BITS_5_LEVEL 57u

/* Bits above the linear-address width are copies of the highest bit below it. */
static inline bool linear_is_canonical(uint64_t address, uint32_t bits)
{
    return (uint64_t)((int64_t)(address << (64 - bits)) >> (64 - bits)) == address;
}

static inline uint64_t gpa_page(gpa_t address)
{
    return address.value >> PAGE_SHIFT;
}

static inline uint64_t gpa_offset(gpa_t address)
{
    return address.value & PAGE_MASK;
}

static inline gpa_t gpa_page_base(gpa_t address)
{
    return (gpa_t){.value = address.value & ~PAGE_MASK};
}

static inline bool gpa_equal(gpa_t a, gpa_t b)
{
    return a.value == b.value;
}

static inline spa_t spa(uint64_t value)
{
    return (spa_t){.value = value};
}

/* The first address of page number `page`. */
static inline spa_t spa_from_page(uint64_t page)
{
    return (spa_t){.value = page << PAGE_SHIFT};
}

/* May wrap; check the range first (range.h). */
static inline spa_t spa_add(spa_t address, uint64_t offset_bytes)
{
    return (spa_t){.value = address.value + offset_bytes};
}

static inline uint64_t spa_page(spa_t address)
{
    return address.value >> PAGE_SHIFT;
}

static inline uint64_t spa_offset(spa_t address)
{
    return address.value & PAGE_MASK;
}

static inline spa_t spa_page_base(spa_t address)
{
    return (spa_t){.value = address.value & ~PAGE_MASK};
}

static inline bool spa_equal(spa_t a, spa_t b)
{
    return a.value == b.value;
}

static inline gva_t gva(uint64_t value)
{
    return (gva_t){.value = value};
}

/* Wraps as the processor's address arithmetic does in 64-bit mode. */
static inline gva_t gva_add(gva_t address, uint64_t offset_bytes)
{
    return (gva_t){.value = address.value + offset_bytes};
}

static inline uint64_t gva_page(gva_t address)
{
    return address.value >> PAGE_SHIFT;
}

static inline uint64_t gva_offset(gva_t address)
{
    return address.value & PAGE_MASK;
}

static inline bool gva_equal(gva_t a, gva_t b)
{
    return a.value == b.value;
}

/* `alignment` is a power of two here and below. */
static inline uint64_t align_down_u64(uint64_t value, uint64_t alignment)
{
    return value & ~(alignment - 1);
}

/* Wraps to 0 when there is no aligned value above; range_align_up_u64 checks. */
static inline uint64_t align_up_u64(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

static inline bool is_aligned_u64(uint64_t value, uint64_t alignment)
{
    return (value & (alignment - 1)) == 0;
}

static inline bool is_power_of_two_u64(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* Pages needed to hold `bytes`; does not overflow. */
static inline uint64_t pages_from_bytes(uint64_t bytes)
{
    return (bytes >> PAGE_SHIFT) + ((bytes & PAGE_MASK) != 0 ? 1 : 0);
}

#endif
