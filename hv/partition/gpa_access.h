/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_GPA_ACCESS_H
#define PARTITION_GPA_ACCESS_H

/*
 * Copies between hypervisor memory and a partition's GPA space. Every access goes through the second-level tables: what
 * the partition cannot reach (holes, no-access pages, hypervisor and deposited pages, devices) is refused, never read.
 * No function may be called with a GPA space lock or a higher-ranked lock held. Ranges may cross pages.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/abi/hv_status.h"
#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"

struct gpa_space;
struct hv_output_translate_virtual_address;
struct partition;
struct vp;
struct vp_code_note;

/* Copies in; reads each byte once. False: part of the range is not readable RAM (the destination is then undefined). */
MUST_CHECK bool gpa_read(struct partition *partition, gpa_t address, void *to, size_t bytes);

/* Copies out. False: part of the range is not writable RAM (what comes before it may have been written). */
MUST_CHECK bool gpa_write(struct partition *partition, gpa_t address, const void *from, size_t bytes);

/* True when gpa_write() of the range would succeed now. */
MUST_CHECK bool gpa_is_writable(struct partition *partition, gpa_t address, size_t bytes);

/*
 * Compare-and-exchange of a naturally aligned 4- or 8-byte value (accessed and dirty bits of guest page tables). False:
 * not writable RAM or not aligned. *exchanged says whether the old value was `expected`.
 */
MUST_CHECK bool gpa_compare_exchange(struct partition *partition, gpa_t address, uint32_t size, uint64_t expected,
                                     uint64_t desired, bool *exchanged);

#define GPA_TRAIL_WORDS 5u /* levels of page tables */

/*
 * The way that was taken through a guest's memory: words that were read one after the other, and the page that they led
 * to. While the space has not changed and the words read the same, the same way leads to the same page; so it can be
 * gone again without a look at the second-level tables. Owned by whoever goes it, one processor at a time.
 */
struct gpa_trail {
    uint64_t generation; /* of the space, when the first step was taken; 0: there is no trail */
    uint32_t count;      /* of words; beyond GPA_TRAIL_WORDS: the trail is lost */
    struct {
        const uint64_t GUEST *place;
        uint64_t value;
    } words[GPA_TRAIL_WORDS];
    const uint8_t GUEST *page; /* null: the end has not been reached */
};

/* Begins a trail in a space, from nothing. */
void gpa_trail_begin(struct gpa_trail *trail, const struct gpa_space *space);

/* gpa_read() of an aligned qword that is the trail's next step. */
MUST_CHECK bool gpa_trail_read_word(struct gpa_trail *trail, struct partition *partition, gpa_t address,
                                    uint64_t *value);

/* gpa_read() within the page that is the trail's end. */
MUST_CHECK bool gpa_trail_read_end(struct gpa_trail *trail, struct partition *partition, gpa_t address, void *to,
                                   size_t bytes);

/* Goes the trail again: true if what is at `offset` of its page is the instruction of the note. */
MUST_CHECK bool gpa_trail_leads_to(const struct gpa_trail *trail, struct gpa_space *space, uint64_t offset,
                                   const struct vp_code_note *note);

/* Goes the trail again and reads from its page. False: it is not complete, or no longer the way (then nothing was read,
 * or part). */
MUST_CHECK bool gpa_trail_follow(const struct gpa_trail *trail, struct gpa_space *space, uint64_t offset, void *to,
                                 size_t bytes);

/* Kinds of access for vp_translate_gva(). */
#define GVA_READ       0x1u
#define GVA_WRITE      0x2u
#define GVA_EXECUTE    0x4u
/* As a supervisor access whatever the privilege level (descriptor tables). */
#define GVA_SUPERVISOR 0x8u

/*
 * Walks the VP's page tables for an access at its current privilege level, setting accessed and dirty bits as the
 * processor does. False: the processor would raise #PF with *error. Says nothing about the second-level rights of
 * *address. Own VP or claimed.
 */
MUST_CHECK bool vp_translate_gva(struct vp *vp, gva_t address, uint32_t access, gpa_t *translated, uint32_t *error);

/*
 * HvCallTranslateVirtualAddress: control flags HV_TRANSLATE_GVA_*, result in *output. INVALID_PARAMETER: unknown flags.
 * Own VP or claimed.
 */
MUST_CHECK hv_status_t vp_translate_for_root(struct vp *vp, uint64_t control_flags, uint64_t gva_page,
                                             struct hv_output_translate_virtual_address *output);

/* The bytes at CS:RIP, at most `size`, as far as they can be reached; returns their number. Own VP or claimed. */
size_t vp_fetch_instruction(struct vp *vp, uint8_t *bytes, size_t size);

/*
 * The length of the instruction at CS:RIP if vp_note_instruction() has said it of the same `op` (the caller's number
 * for what it expects) and the same bytes at the same address in 64-bit mode, and a fetch would bring these bytes now;
 * else 0. Own VP or claimed.
 */
uint32_t vp_recall_instruction(struct vp *vp, uint32_t op);
void vp_note_instruction(struct vp *vp, uint32_t op, const uint8_t *bytes, uint8_t length);

#endif
