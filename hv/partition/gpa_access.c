/* SPDX-License-Identifier: MIT */
#include "hv/partition/gpa_access.h"

#include <stdatomic.h>

#include "hv/cpu/cpu.h"
#include "hv/lib/range.h"
#include "hv/mem/mem.h"
#include "hv/partition/gpa_space.h"
#include "hv/partition/page_owner.h"
#include "hv/partition/partition.h"
#include "hv/partition/vp_code.h"

/*
 * The hypervisor's copies to and from guest memory, page by page. Not here: guest page tables (hv/lib/x86) and overlay
 * contents.
 *
 * While a page is being touched, this processor counts as being in guest mode on the space: whoever unmaps the page
 * meanwhile waits in cpu_quiesce_space() until the copy is over, exactly as for a guest that still has the translation.
 * No lock is held during the copy. What was found is kept like a translation in a TLB: until the space's generation
 * changes, which it does before anybody counts as having unmapped a page.
 */

struct access {
    struct cpu *cpu;
    const void *former_space;
    uint8_t GUEST *bytes;
};

#define FOUND_COUNT 8u

/* Where a page was found. Holds as long as the space has that generation. */
struct found {
    uint64_t space_id; /* 0: nothing was found */
    uint64_t generation;
    uint64_t gpa_page;
    uint8_t GUEST *bytes;
    uint32_t rights;
};

/* What a processor has found before: most of what is touched is touched again. [C] */
struct ALIGNED(64) found_pages {
    struct found pages[FOUND_COUNT];
};

static struct found_pages found[CPU_MAX];

static void publish(struct access *access, const struct gpa_space *space)
{
    access->former_space = atomic_load_explicit(&access->cpu->guest_space, memory_order_relaxed);
    atomic_store_explicit(&access->cpu->guest_space, space, memory_order_seq_cst);
}

static void access_end(const struct access *access)
{
    atomic_store_explicit(&access->cpu->guest_space, access->former_space, memory_order_release);
}

/*
 * Begins an access to a page that has to be looked up, and keeps what was found. Published under the lock, so that the
 * translation cannot be older than the change that is waited for; not before, since whoever holds the lock may be
 * waiting.
 */
static bool begin_by_tables(struct access *access, struct found *entry, struct gpa_space *space, gpa_t address,
                            uint32_t rights)
{
    uint64_t generation = atomic_load_explicit(&space->generation, memory_order_seq_cst);
    struct gpa_mapping mapping;
    bool is_allowed;

    spin_lock(&space->lock);
    mapping = gpa_lookup_locked(space, address);
    is_allowed = mapping.state == GPA_MAPPED && (mapping.rights & rights) == rights &&
                 page_owner_of(mapping.address) != PAGE_OWNER_NOT_RAM;
    if (is_allowed) {
        publish(access, space);
    }
    spin_unlock(&space->lock);
    if (is_allowed) {
        *entry =
            (struct found){.space_id = space->id,
                           .generation = generation,
                           .gpa_page = gpa_page(address),
                           .bytes = GUEST_CAST(uint8_t GUEST *, mem_from_spa(mapping.address)) - gpa_offset(address),
                           .rights = mapping.rights};
        access->bytes = entry->bytes + gpa_offset(address);
    }
    return is_allowed;
}

static bool access_begin(struct access *access, struct partition *partition, gpa_t address, uint32_t rights)
{
    struct gpa_space *space = &partition->space;
    struct found *entry;

    access->cpu = cpu_this();
    entry = &found[access->cpu->index].pages[(gpa_page(address) ^ space->id) % FOUND_COUNT];
    if (entry->space_id == space->id && entry->gpa_page == gpa_page(address) && (entry->rights & rights) == rights) {
        /* Published before the generation is read: pairs with gpa_flush(), which raises it and then looks for us. */
        publish(access, space);
        if (atomic_load_explicit(&space->generation, memory_order_seq_cst) == entry->generation) {
            access->bytes = entry->bytes + gpa_offset(address);
            return true;
        }
        access_end(access);
    }
    return begin_by_tables(access, entry, space, address, rights);
}

/* Words at any address. */
struct PACKED any_qword {
    uint64_t value;
};

struct PACKED any_dword {
    uint32_t value;
};

/*
 * The copies are volatile and of whole qwords as far as they go: the compiler can neither read a byte twice nor tear a
 * value that the guest writes in one piece.
 */
static void copy_volatile(volatile uint8_t *to, const volatile uint8_t *from, size_t bytes)
{
    size_t done = 0;

    for (; bytes - done >= 8; done += 8) {
        ((volatile struct any_qword *)(volatile void *)(to + done))->value =
            ((const volatile struct any_qword *)(const volatile void *)(from + done))->value;
    }
    if (bytes - done >= 4) {
        ((volatile struct any_dword *)(volatile void *)(to + done))->value =
            ((const volatile struct any_dword *)(const volatile void *)(from + done))->value;
        done += 4;
    }
    for (; done < bytes; done++) {
        to[done] = from[done];
    }
}

static size_t bytes_in_page(gpa_t address, size_t bytes)
{
    return min_size(bytes, (size_t)(PAGE_SIZE - gpa_offset(address)));
}

bool gpa_read(struct partition *partition, gpa_t address, void *to, size_t bytes)
{
    if (!range_is_valid(address.value, bytes)) {
        return false;
    }
    for (size_t done = 0; done < bytes;) {
        gpa_t at = gpa_add(address, done);
        size_t piece = bytes_in_page(at, bytes - done);
        struct access access;

        if (!access_begin(&access, partition, at, GPA_READ)) {
            return false;
        }
        copy_volatile((uint8_t *)to + done, GUEST_CAST(uint8_t *, access.bytes), piece);
        access_end(&access);
        done += piece;
    }
    return true;
}

bool gpa_write(struct partition *partition, gpa_t address, const void *from, size_t bytes)
{
    if (!range_is_valid(address.value, bytes)) {
        return false;
    }
    for (size_t done = 0; done < bytes;) {
        gpa_t at = gpa_add(address, done);
        size_t piece = bytes_in_page(at, bytes - done);
        struct access access;

        if (!access_begin(&access, partition, at, GPA_READ | GPA_WRITE)) {
            return false;
        }
        copy_volatile(GUEST_CAST(uint8_t *, access.bytes), (const uint8_t *)from + done, piece);
        access_end(&access);
        done += piece;
    }
    return true;
}

bool gpa_is_writable(struct partition *partition, gpa_t address, size_t bytes)
{
    if (!range_is_valid(address.value, bytes)) {
        return false;
    }
    for (size_t done = 0; done < bytes;) {
        gpa_t at = gpa_add(address, done);
        struct access access;

        if (!access_begin(&access, partition, at, GPA_READ | GPA_WRITE)) {
            return false;
        }
        access_end(&access);
        done += bytes_in_page(at, bytes - done);
    }
    return true;
}

bool gpa_compare_exchange(struct partition *partition, gpa_t address, uint32_t size, uint64_t expected,
                          uint64_t desired, bool *exchanged)
{
    struct access access;

    if ((size != 4 && size != 8) || !is_aligned_u64(address.value, size)) {
        return false;
    }
    if (!access_begin(&access, partition, address, GPA_READ | GPA_WRITE)) {
        return false;
    }
    if (size == 8) {
        uint64_t old = expected;

        *exchanged = __atomic_compare_exchange_n(GUEST_CAST(uint64_t *, access.bytes), &old, desired, false,
                                                 __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    } else {
        uint32_t old = (uint32_t)expected;

        *exchanged = __atomic_compare_exchange_n(GUEST_CAST(uint32_t *, access.bytes), &old, (uint32_t)desired, false,
                                                 __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    }
    access_end(&access);
    return true;
}

void gpa_trail_begin(struct gpa_trail *trail, const struct gpa_space *space)
{
    /* Before the first look at the tables: what changes them later raises it. */
    trail->generation = atomic_load_explicit(&space->generation, memory_order_seq_cst);
    trail->count = 0;
    trail->page = NULL;
}

bool gpa_trail_read_word(struct gpa_trail *trail, struct partition *partition, gpa_t address, uint64_t *value)
{
    struct access access;

    if (!is_aligned_u64(address.value, sizeof(*value)) || !access_begin(&access, partition, address, GPA_READ)) {
        return false;
    }
    *value = *(const volatile uint64_t *)GUEST_CAST(uint64_t *, access.bytes);
    access_end(&access);
    if (trail->count < GPA_TRAIL_WORDS) {
        trail->words[trail->count].place = (const uint64_t GUEST *)access.bytes;
        trail->words[trail->count].value = *value;
    }
    trail->count++;
    return true;
}

bool gpa_trail_read_end(struct gpa_trail *trail, struct partition *partition, gpa_t address, void *to, size_t bytes)
{
    struct access access;

    if (gpa_offset(address) + bytes > PAGE_SIZE || !access_begin(&access, partition, address, GPA_READ)) {
        return false;
    }
    copy_volatile(to, GUEST_CAST(uint8_t *, access.bytes), bytes);
    access_end(&access);
    trail->page = access.bytes - gpa_offset(address);
    return true;
}

/* What was published for `access` is a trail that is complete and still the way. */
static bool is_way(const struct gpa_trail *trail, const struct gpa_space *space)
{
    return atomic_load_explicit(&space->generation, memory_order_seq_cst) == trail->generation &&
           gpa_trail_holds(trail);
}

static bool is_complete(const struct gpa_trail *trail)
{
    return trail->page != NULL && trail->count <= GPA_TRAIL_WORDS;
}

bool gpa_trail_leads_to(const struct gpa_trail *trail, struct gpa_space *space, uint64_t offset,
                        const struct vp_code_note *note)
{
    struct access access = {.cpu = cpu_this()};
    bool is_there;

    publish(&access, space);
    is_there = atomic_load_explicit(&space->generation, memory_order_seq_cst) == trail->generation &&
               gpa_trail_shows(trail, offset, note);
    access_end(&access);
    return is_there;
}

bool gpa_trail_follow(const struct gpa_trail *trail, struct gpa_space *space, uint64_t offset, void *to, size_t bytes)
{
    struct access access = {.cpu = cpu_this()};
    bool is_good;

    if (!is_complete(trail) || offset + bytes > PAGE_SIZE) {
        return false;
    }
    publish(&access, space);
    is_good = is_way(trail, space);
    if (is_good) {
        copy_volatile(to, GUEST_CAST(const uint8_t *, trail->page + offset), bytes);
    }
    access_end(&access);
    return is_good;
}
