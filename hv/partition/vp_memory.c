/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_partition.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_execute.h"
#include "hv/lib/x86/x86_walk.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/gpa_space.h"
#include "hv/partition/overlay.h"
#include "hv/partition/partition.h"
#include "hv/partition/vp.h"
#include "hv/partition/vp_code.h"

/*
 * A VP's virtual memory as the hypervisor sees it: translations and instruction bytes. Not here: the walk itself
 * (hv/lib/x86/x86_walk.c) and the second-level tables (gpa_space.c).
 */

#define WALK_ATTEMPTS  8u
#define LINEAR_MASK_32 UINT64_C(0xffffffff)
/* SDM vol. 3, PAE Paging: CR3 bits 31:5 point to four entries. */
#define PDPT_ADDRESS   UINT64_C(0xffffffe0)
#define PDPT_BYTES     (4 * sizeof(uint64_t))

/* Whose tables are walked, and the trail that the walk leaves, or null. */
struct walker {
    struct vp *vp;
    struct gpa_trail *trail;
};

static bool read_entry(void *context, uint64_t address, unsigned size, uint64_t *entry)
{
    struct walker *walker = context;
    struct vp *vp = walker->vp;
    uint32_t entry32 = 0;
    bool is_read;

    if (walker->trail != NULL) {
        return gpa_trail_read_word(walker->trail, vp->partition, gpa(address), entry);
    }
    if (size == sizeof(*entry)) {
        return gpa_read(vp->partition, gpa(address), entry, sizeof(*entry));
    }
    is_read = gpa_read(vp->partition, gpa(address), &entry32, sizeof(entry32));
    *entry = entry32;
    return is_read;
}

static enum x86_walk_exchange exchange_entry(void *context, uint64_t address, unsigned size, uint64_t old_entry,
                                             uint64_t new_entry)
{
    struct vp *vp = ((struct walker *)context)->vp;
    bool is_exchanged;

    if (!gpa_compare_exchange(vp->partition, gpa(address), size, old_entry, new_entry, &is_exchanged)) {
        return X86_WALK_EXCHANGE_FAILED;
    }
    return is_exchanged ? X86_WALK_EXCHANGE_DONE : X86_WALK_EXCHANGE_CHANGED;
}

static void prepare_walk(struct walker *walker, const struct vp_paging_state *paging, struct x86_walk_context *walk)
{
    *walk = (struct x86_walk_context){
        .cr0 = paging->cr0,
        .cr3 = paging->cr3,
        .cr4 = paging->cr4,
        .efer = paging->efer,
        .rflags = paging->rflags,
        .cpl = paging->cpl,
        .physical_bits = walker->vp->space->physical_bits,
        .has_1g_pages = true,
        .pdptes = paging->has_pdptes ? paging->pae_pdpte : NULL,
        .callback_context = walker,
        .read = read_entry,
        .exchange = exchange_entry,
    };
}

/* Walks; again when another VP changes the entries meanwhile, but not for ever: then the guest's instruction is
 * executed anew. */
static enum x86_walk_status walk_until_stable(const struct x86_walk_context *walk, uint64_t address, unsigned access,
                                              struct x86_walk_result *result)
{
    enum x86_walk_status status = X86_WALK_RETRY;

    for (uint32_t i = 0; i < WALK_ATTEMPTS && status == X86_WALK_RETRY; i++) {
        status = x86_walk(walk, address, access, result);
    }
    return status;
}

bool vp_translate_gva(struct vp *vp, gva_t address, uint32_t access, gpa_t *translated, uint32_t *error)
{
    struct walker walker = {.vp = vp};
    struct vp_paging_state paging;
    struct x86_walk_context walk;
    struct x86_walk_result result = {0};
    unsigned kind = ((access & GVA_WRITE) != 0 ? X86_WALK_WRITE : 0) |
                    ((access & GVA_EXECUTE) != 0 ? X86_WALK_EXECUTE : 0) |
                    ((access & GVA_SUPERVISOR) != 0 ? X86_WALK_IMPLICIT : 0);

    backend->get_paging(vp, &paging);
    prepare_walk(&walker, &paging, &walk);
    if (walk_until_stable(&walk, address.value, kind, &result) == X86_WALK_OK) {
        *translated = gpa(result.gpa);
        return true;
    }
    *error = result.error_code;
    return false;
}

void vp_read_pdptes(struct vp *vp, uint64_t cr3, uint64_t pdptes[4])
{
    if (!gpa_read(vp->partition, gpa(cr3 & PDPT_ADDRESS), pdptes, PDPT_BYTES)) {
        memset(pdptes, 0, PDPT_BYTES);
    }
}

static uint32_t result_code(enum x86_walk_status status, uint32_t error)
{
    if (status == X86_WALK_NO_TABLE) {
        return HvTranslateGvaGpaUnmapped;
    }
    if (status != X86_WALK_PAGE_FAULT || (error & X86_PF_PRESENT) == 0) {
        return HvTranslateGvaPageNotPresent;
    }
    return (error & X86_PF_RESERVED) != 0 ? HvTranslateGvaInvalidPageTableFlags : HvTranslateGvaPrivilegeViolation;
}

/* The kind of walk that control flags ask for. */
static unsigned walk_kind(uint64_t flags)
{
    const uint64_t validate =
        HV_TRANSLATE_GVA_VALIDATE_READ | HV_TRANSLATE_GVA_VALIDATE_WRITE | HV_TRANSLATE_GVA_VALIDATE_EXECUTE;
    unsigned kind = 0;

    if ((flags & validate) == 0) {
        return X86_WALK_NO_RIGHTS;
    }
    if ((flags & HV_TRANSLATE_GVA_VALIDATE_WRITE) != 0) {
        kind |= X86_WALK_WRITE;
    }
    if ((flags & HV_TRANSLATE_GVA_VALIDATE_EXECUTE) != 0) {
        kind |= X86_WALK_EXECUTE;
    }
    if ((flags & HV_TRANSLATE_GVA_PRIVILEGE_EXEMPT) != 0) {
        kind |= X86_WALK_IMPLICIT;
    }
    return kind;
}

hv_status_t vp_translate_for_root(struct vp *vp, uint64_t control_flags, uint64_t gva_page,
                                  struct hv_output_translate_virtual_address *output)
{
    uint64_t unsupported = HV_TRANSLATE_GVA_SHADOW_STACK | HV_TRANSLATE_GVA_TLB_FLUSH_INHIBIT;
    uint8_t input_vtl = (uint8_t)(control_flags >> HV_TRANSLATE_GVA_INPUT_VTL_SHIFT);
    struct walker walker = {.vp = vp};
    struct vp_paging_state paging;
    struct x86_walk_context walk;
    struct x86_walk_result result = {0};
    enum x86_walk_status status;

    *output = (struct hv_output_translate_virtual_address){0};
    if ((control_flags & ~HV_TRANSLATE_GVA_VALID_MASK) != 0 || (control_flags & unsupported) != 0 ||
        (input_vtl & ~HV_INPUT_VTL_USE_TARGET) != 0) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    backend->get_paging(vp, &paging);
    prepare_walk(&walker, &paging, &walk);
    if ((control_flags & HV_TRANSLATE_GVA_SET_PAGE_TABLE_BITS) == 0) {
        walk.exchange = NULL;
    }
    if ((control_flags & HV_TRANSLATE_GVA_SUPERVISOR_ACCESS) != 0) {
        walk.cpl = 0;
    } else if ((control_flags & HV_TRANSLATE_GVA_USER_ACCESS) != 0) {
        walk.cpl = 3;
    }
    if ((control_flags & HV_TRANSLATE_GVA_OVERRIDE_SMAP) != 0) {
        walk.cr4 &= ~X86_CR4_SMAP;
    }
    status = walk_until_stable(&walk, gva_page << PAGE_SHIFT, walk_kind(control_flags), &result);
    if (status != X86_WALK_OK) {
        output->result_code = result_code(status, result.error_code);
        return HV_STATUS_SUCCESS;
    }
    /* What lies at the GPA is the root's to know: addresses of devices are translated like any other. */
    output->result_code = HvTranslateGvaSuccess;
    output->gpa_page = result.gpa >> PAGE_SHIFT;
    output->cache_type =
        gpa_lookup(vp->space, gpa(result.gpa)).state == GPA_MAPPED ? HvCacheTypeX64WriteBack : HvCacheTypeX64Uncached;
    if (overlay_covers(vp->partition, gpa(result.gpa))) {
        output->result_flags = HV_TRANSLATE_GVA_RESULT_OVERLAY_PAGE;
    }
    return HV_STATUS_SUCCESS;
}

/*
 * Code that exits again, within a page and in 64-bit mode: the walk need not be made anew as long as it would read the
 * same entries in the same places. False: not such code, or it cannot be reached.
 */
static bool fetch_by_trail(struct vp *vp, uint8_t *bytes, size_t size)
{
    uint64_t page = vp->regs.rip >> PAGE_SHIFT;
    struct vp_code_trail *code = vp_code_trail(vp);
    struct walker walker = {.vp = vp, .trail = &code->trail};
    struct vp_paging_state paging;
    struct x86_walk_context walk;
    struct x86_walk_result result;

    if (code->page == page && backend->is_code_state(vp, &code->state) &&
        gpa_trail_follow(&code->trail, vp->space, vp->regs.rip & PAGE_MASK, bytes, size)) {
        return true;
    }
    backend->get_paging(vp, &paging);
    code->page = page;
    code->state = (struct vp_code_state){
        .cr0 = paging.cr0, .cr3 = paging.cr3, .cr4 = paging.cr4, .efer = paging.efer, .cpl = paging.cpl};
    gpa_trail_begin(&code->trail, vp->space);
    prepare_walk(&walker, &paging, &walk);
    return x86_walk(&walk, vp->regs.rip, X86_WALK_EXECUTE, &result) == X86_WALK_OK &&
           gpa_trail_read_end(&code->trail, vp->partition, gpa(result.gpa), bytes, size);
}

uint32_t vp_recall_instruction(struct vp *vp, uint32_t op)
{
    const struct vp_code_note *note = vp_code_note(vp);
    const struct vp_code_trail *code = vp_code_trail(vp);

    return vp_code_is_known(vp, op, note, code) && backend->is_code_state(vp, &code->state) &&
                   gpa_trail_leads_to(&code->trail, vp->space, vp->regs.rip & PAGE_MASK, note)
               ? note->length
               : 0;
}

void vp_note_instruction(struct vp *vp, uint32_t op, const uint8_t *bytes, uint8_t length)
{
    struct vp_code_note *note = vp_code_note(vp);

    if (length <= sizeof(note->code)) {
        *note = (struct vp_code_note){.rip = vp->regs.rip, .op = op, .length = length};
        memcpy(&note->code, bytes, length);
    }
}

size_t vp_fetch_instruction(struct vp *vp, uint8_t *bytes, size_t size)
{
    union hv_register_value cs = {0};
    bool is_long = vp_is_long_mode(vp);
    uint64_t linear;
    size_t done = 0;

    if (is_long && (vp->regs.rip & PAGE_MASK) + size <= PAGE_SIZE && fetch_by_trail(vp, bytes, size)) {
        return size;
    }
    if (backend->get_register(vp, HvX64RegisterCs, &cs) != HV_STATUS_SUCCESS) {
        return 0;
    }
    linear = vp->regs.rip + (is_long ? 0 : cs.segment.base);
    while (done < size) {
        gva_t at = gva(is_long ? linear + done : (linear + done) & LINEAR_MASK_32);
        size_t piece = min_size(size - done, (size_t)(PAGE_SIZE - gva_offset(at)));
        gpa_t address;
        uint32_t error;

        if (!vp_translate_gva(vp, at, GVA_EXECUTE, &address, &error) ||
            !gpa_read(vp->partition, address, bytes + done, piece)) {
            break;
        }
        done += piece;
    }
    return done;
}

static void get_segment(struct vp *vp, uint32_t name, struct x86_segment *segment)
{
    union hv_register_value value = {0};

    if (backend->get_register(vp, name, &value) == HV_STATUS_SUCCESS) {
        segment->base = value.segment.base;
        segment->limit = value.segment.limit;
        segment->selector = value.segment.selector;
        segment->attributes = value.segment.attributes;
    }
}

void vp_get_x86_cpu(struct vp *vp, struct x86_cpu *cpu)
{
    struct vp_paging_state paging;

    *cpu = (struct x86_cpu){0};
    vp_read_state(vp, VP_UNREAD_RSP);
    for (uint32_t i = 0; i < ARRAY_SIZE(cpu->gpr); i++) {
        cpu->gpr[i] = vp->regs.gpr[i];
    }
    cpu->rip = vp->regs.rip;
    cpu->rflags = vp->regs.rflags;
    for (uint32_t i = 0; i < ARRAY_SIZE(cpu->segments); i++) {
        /* Both number the segments in the order of their encoding. */
        get_segment(vp, HvX64RegisterEs + i, &cpu->segments[i]);
    }
    backend->get_paging(vp, &paging);
    cpu->cr0 = paging.cr0;
    cpu->cr3 = paging.cr3;
    cpu->cr4 = paging.cr4;
    cpu->efer = paging.efer;
    cpu->cpl = paging.cpl;
}
