/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_GPADL_H
#define VMBUS_GPADL_H

/*
 * GPADLs (guest physical address descriptor lists): buffers that the guest shares, as lists of page numbers that
 * arrive in one message or several. Each belongs to one channel.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/bitmap.h"
#include "hv/lib/compiler.h"
#include "vmbus/refusal.h"
#include "vmbus/vmbus.h"

struct gpadl_table;
struct host_vm;

#define GPADL_PAGES_PER_BLOCK 128u
#define GPADL_BLOCK_COUNT     (VMBUS_GPADL_PAGES_MAX / GPADL_PAGES_PER_BLOCK)
/* The length of the ranges has 16 bits in the message: 8190 pages and the head of the range. */
#define GPADL_BLOCKS_MAX      64u

/* Where a GPADL is on its way. */
enum gpadl_state {
    GPADL_FREE,
    GPADL_ASSEMBLING,   /* bodies are missing */
    GPADL_READY,        /* the guest was told so */
    GPADL_TEARING_DOWN, /* in use, while the guest wants it back */
};

/* A GPADL of one range. */
struct gpadl {
    struct gpadl_table *table;
    enum gpadl_state state;
    uint32_t id; /* the guest's name for it */
    uint32_t relid;
    uint32_t byte_count;
    uint32_t byte_offset; /* in the first page */
    uint32_t page_count;
    uint32_t pages_received;
    uint32_t use_count;
    uint16_t blocks[GPADL_BLOCKS_MAX]; /* of table->pages, in order */
};

/* All GPADLs of a VM. */
struct gpadl_table {
    struct host_vm *host;
    uint64_t blocks_used[BITMAP_WORDS(GPADL_BLOCK_COUNT)];
    struct gpadl gpadls[VMBUS_GPADLS_MAX];
    uint64_t pages[GPADL_BLOCK_COUNT][GPADL_PAGES_PER_BLOCK];
};

/* No GPADLs. */
void gpadl_table_init(struct gpadl_table *table, struct host_vm *host);

/*
 * Takes the message GPADL_HEADER, of at least the length of its struct. On REFUSE_NONE *gpadl is the new one, whose
 * state says whether it is whole.
 */
MUST_CHECK enum refusal gpadl_begin(struct gpadl_table *table, const void *message, size_t length_bytes,
                                    struct gpadl **gpadl);

/*
 * Takes the message GPADL_BODY, of at least the length of its struct. *gpadl is the one that it belongs to, null if
 * there is none; after another refusal the GPADL is gone, and its ids are in *gpadl to be read at once.
 */
MUST_CHECK enum refusal gpadl_continue(struct gpadl_table *table, const void *message, size_t length_bytes,
                                       struct gpadl **gpadl);

/* The one of a channel with this id that is whole, or null. */
struct gpadl *gpadl_find(struct gpadl_table *table, uint32_t relid, uint32_t id);

/* Makes its place free. Nobody uses it. */
void gpadl_free(struct gpadl *gpadl);

/* Frees all GPADLs of a channel. Nobody uses them. */
void gpadl_free_all(struct gpadl_table *table, uint32_t relid);

/* Number of page `index` of the GPADL, which is below page_count. */
uint64_t gpadl_page(const struct gpadl *gpadl, uint32_t index);

/* Copies between a buffer and the GPADL; the caller has checked that it is inside. */
void gpadl_copy_in(const struct gpadl *gpadl, uint32_t offset_bytes, void *to, uint32_t length_bytes);
void gpadl_copy_out(const struct gpadl *gpadl, uint32_t offset_bytes, const void *from, uint32_t length_bytes);

#endif
