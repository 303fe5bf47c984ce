/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_GPA_SPACE_H
#define PARTITION_GPA_SPACE_H

/*
 * A partition's guest-physical address space: the second-level tables. The radix walk is common; a backend supplies
 * only the entry format (NPT or EPT). Each 4 KiB GPA page is unmapped (a hole), mapped without access (a mapping whose
 * touch is a GPA intercept), or mapped with rights; an overlay page may lie over it (overlay.h).
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_status.h"
#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"
#include "hv/sync/spinlock.h"

struct partition;

/* Rights of a mapping. */
#define GPA_READ     0x1u
#define GPA_WRITE    0x2u
#define GPA_EXECUTE  0x4u
#define GPA_UNCACHED 0x8u
#define GPA_ALL      (GPA_READ | GPA_WRITE | GPA_EXECUTE)

/* Mapping sizes, by table level. */
enum gpa_level {
    GPA_LEVEL_4K = 1,
    GPA_LEVEL_2M = 2,
    GPA_LEVEL_1G = 3,
    GPA_LEVEL_512G = 4, /* top table; never a leaf */
};

#define GPA_INDEX_BITS 9u /* of each table */

/* Bytes that one entry of a level covers. */
static inline uint64_t gpa_level_bytes(enum gpa_level level)
{
    return PAGE_SIZE << (GPA_INDEX_BITS * ((uint32_t)level - 1));
}

/* What a lookup found. */
enum gpa_state {
    GPA_UNMAPPED,  /* a hole: touching it is an unmapped-GPA intercept */
    GPA_NO_ACCESS, /* mapped without rights: touching it is a GPA intercept */
    GPA_MAPPED,    /* rights say what is allowed */
};

/* One lookup's answer. */
struct gpa_mapping {
    enum gpa_state state;
    uint32_t rights;      /* GPA_READ ... of a GPA_MAPPED page */
    enum gpa_level level; /* size of the entry that covers the address */
    spa_t address;        /* SPA that the looked-up GPA maps to (with its offset); GPA_MAPPED only */
};

/*
 * Second-level entry format of a backend. Level 1 entries are 4 KiB leaves. An entry with make_absent() != 0 is not
 * present to the processor and survives in the table (used for "mapped without access").
 */
struct gpa_format {
    uint64_t (*make_table)(spa_t table); /* entry that points to a lower table */
    uint64_t (*make_leaf)(spa_t page, uint32_t rights, enum gpa_level level);
    uint64_t no_access_entry; /* nonzero, not present */
    bool (*is_present)(uint64_t entry);
    bool (*is_leaf)(uint64_t entry, enum gpa_level level); /* of a present entry */
    spa_t (*address)(uint64_t entry);                      /* page or table of a present entry */
    uint32_t (*rights)(uint64_t entry);                    /* of a present leaf */
    uint64_t accessed_bit;                                 /* 0: the processor keeps none */
    uint64_t dirty_bit;
    bool has_1g_pages; /* set when the backend starts */
};

/* The tables of one partition. */
struct gpa_space {
    struct spinlock lock;            /* rank LOCK_RANK_GPA_SPACE */
    struct partition *partition;     /* [I] owner: table pages come from its deposit */
    const struct gpa_format *format; /* [I] */
    uint64_t id;                     /* [I] no other space ever has it; not 0 */
    uint64_t *root_table;            /* [I] level-4 table, direct-map address */
    _Atomic uint64_t generation;     /* [a] raised before each flush; a VP entry compares and flushes its own TLB tag */
    uint64_t limit;                  /* [I] first GPA beyond the space */
    uint8_t physical_bits;           /* [I] that the guest's own page tables may use */
    bool is_closed;                  /* [lock] being destroyed: nothing is mapped any more */
    uint64_t table_page_count;       /* [lock] tables in use */
    void *reserve; /* [lock] pages kept so that splitting a mapping never fails, linked by their first 8 bytes */
    uint64_t reserve_count; /* [lock] the root: all it can ever need; a child: one for each 2 MiB mapping */
};

/* Pages whose last mapping is gone, but which a processor may still reach until the flush. */
struct gpa_released {
    spa_t first;
    uint64_t count;
};

#define GPA_BATCH_RELEASED_MAX 32

/*
 * A series of changes to one space with one flush at its end. Whoever starts one (gpa_batch_start) must finish it
 * before it returns to a guest; nothing that was unmapped counts as free before that.
 */
struct gpa_batch {
    struct gpa_space *space;
    bool needs_flush;
    uint32_t work; /* grows by about 1 for each 100 instructions that the changes took */
    uint32_t released_count;
    struct gpa_released released[GPA_BATCH_RELEASED_MAX];
};

/* Builds an empty space; HV_STATUS_INSUFFICIENT_MEMORY when the partition has no page for the top table. */
MUST_CHECK hv_status_t gpa_space_init(struct gpa_space *space, struct partition *partition,
                                      const struct gpa_format *format, uint64_t limit);

/*
 * Drops all mappings and frees tables back to the partition's deposit, for about 100 * `budget` instructions; no VP may
 * use the space any more. True when nothing is left (also for a space that was never initialised).
 */
MUST_CHECK bool gpa_space_destroy(struct gpa_space *space, uint32_t budget);

/* Starts a batch of changes. */
void gpa_batch_start(struct gpa_batch *batch, struct gpa_space *space);

/* Flushes what the batch needs flushed, then lets go of the pages that it unmapped. The batch can be used again. */
void gpa_batch_finish(struct gpa_batch *batch);

/*
 * Maps one page of `level` at `address`; replaces what was there (splitting a larger page, keeping overlays on top).
 * Rights 0 means mapped without access (`page` is ignored). In a child the page must be the root's or outside RAM.
 * INSUFFICIENT_MEMORY: a table page is missing; INVALID_PARAMETER: not such a page, or beyond the space;
 * INVALID_PARTITION_STATE: the space is being destroyed. Nothing changed then.
 */
MUST_CHECK hv_status_t gpa_map(struct gpa_batch *batch, gpa_t address, enum gpa_level level, spa_t page,
                               uint32_t rights);

/* Unmaps one page of `level`; harmless where nothing is mapped. Same statuses as gpa_map(). */
MUST_CHECK hv_status_t gpa_unmap(struct gpa_batch *batch, gpa_t address, enum gpa_level level);

/* What lies at an address (overlays included). The answer may be old at once: to touch memory use gpa_access.h. */
struct gpa_mapping gpa_lookup(struct gpa_space *space, gpa_t address);

/* The same with the space's lock held. */
struct gpa_mapping gpa_lookup_locked(struct gpa_space *space, gpa_t address);

/*
 * Reads and changes the accessed and dirty state of one 4 KiB page: *state gets HV_GPA_PAGE_ACCESSED |
 * HV_GPA_PAGE_DIRTY as they were, then the bits of `flags` (HV_GPA_ACCESS_STATE_*) are applied, splitting a larger page
 * where that is needed. Pages that are not mapped have neither. INVALID_PARAMETER: beyond the space.
 */
MUST_CHECK hv_status_t gpa_access_state(struct gpa_batch *batch, gpa_t address, uint64_t flags, uint8_t *state);

/* Returns when no processor uses an older translation of this space. */
void gpa_flush(struct gpa_space *space);

/* Gives the space one page for later splits; the root's at boot. */
void gpa_space_add_reserve(struct gpa_space *space, void *page);

/*
 * For overlay.c, space lock held. Makes the tables down to the 4 KiB entry of `address`, taking pages that are missing
 * from `spare` (three pointers, null once used), and returns that entry; null when a page is missing.
 */
uint64_t *gpa_entry_prepare_locked(struct gpa_space *space, gpa_t address, void *spare[3]);

/* For overlay.c, space lock held, after the 4 KiB entry of `address` was restored: gives tables that say nothing back
 * to `spare`. They are out of reach only after the next flush. */
void gpa_entry_collapse_locked(struct gpa_space *space, gpa_t address, void *spare[3]);

#endif
