/* SPDX-License-Identifier: MIT */
/*
 * Our own judge of a VMCB: the rules of APM vol. 2, "Canonicalization and Consistency Checks" (VMRUN Instruction), in
 * that order, in words. Emulators check less than processors do; this finds a bad state on both.
 */
#include "svm/svm.h"

#include "hv/lib/x86/x86_regs.h"

#define HIGH_HALF         0xffffffff00000000ull
#define CR3_RESERVED_LONG 0xfff0000000000000ull
#define EFER_DEFINED                                                                                                   \
    (X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE | X86_EFER_SVME | X86_EFER_LMSLE | X86_EFER_FFXSR |     \
     X86_EFER_TCE | (1ull << 17) | (1ull << 18) | (1ull << 20) | (1ull << 21))

/* One rule and the answer whether a VMCB breaks it. */
struct rule {
    bool (*is_broken)(const struct vmcb *vmcb);
    const char *text;
};

static bool svme_clear(const struct vmcb *v)
{
    return !(v->efer & X86_EFER_SVME);
}

static bool cd_nw(const struct vmcb *v)
{
    return !(v->cr0 & X86_CR0_CD) && (v->cr0 & X86_CR0_NW);
}

static bool cr0_high(const struct vmcb *v)
{
    return (v->cr0 & HIGH_HALF) != 0;
}

static bool cr3_reserved(const struct vmcb *v)
{
    return (v->efer & X86_EFER_LMA) && (v->cr3 & CR3_RESERVED_LONG);
}

static bool cr4_reserved(const struct vmcb *v)
{
    return (v->cr4 & HIGH_HALF) != 0;
}

static bool dr_high(const struct vmcb *v)
{
    return ((v->dr6 | v->dr7) & HIGH_HALF) != 0;
}

static bool efer_reserved(const struct vmcb *v)
{
    return (v->efer & ~EFER_DEFINED) != 0;
}

static bool is_long_paging(const struct vmcb *v)
{
    return (v->efer & X86_EFER_LME) && (v->cr0 & X86_CR0_PG);
}

static bool long_without_pae(const struct vmcb *v)
{
    return is_long_paging(v) && !(v->cr4 & X86_CR4_PAE);
}

static bool long_without_pe(const struct vmcb *v)
{
    return is_long_paging(v) && !(v->cr0 & X86_CR0_PE);
}

static bool long_and_16(const struct vmcb *v)
{
    return is_long_paging(v) && (v->cr4 & X86_CR4_PAE) && (v->cs.attributes & VMCB_SEGMENT_L) &&
           (v->cs.attributes & VMCB_SEGMENT_DB);
}

static bool vmrun_not_intercepted(const struct vmcb *v)
{
    return !(v->intercept_misc2 & VMCB_MISC2_VMRUN);
}

/* It is chosen after the check before an entry, so it counts only once an entry was refused. */
static bool asid_zero(const struct vmcb *v)
{
    return v->asid == 0 && (uint32_t)v->exit_code == VMCB_EXIT_INVALID;
}

static bool paging_without_pe(const struct vmcb *v)
{
    return (v->cr0 & X86_CR0_PG) && !(v->cr0 & X86_CR0_PE);
}

static bool bad_event(const struct vmcb *v)
{
    uint64_t type = (v->event_injection & VMCB_EVENT_TYPE_MASK) >> VMCB_EVENT_TYPE_SHIFT;
    uint64_t vector = v->event_injection & VMCB_EVENT_VECTOR_MASK;

    if (!(v->event_injection & VMCB_EVENT_VALID)) {
        return false;
    }
    return type == 1 || type > VMCB_EVENT_SOFTWARE ||
           (type == VMCB_EVENT_EXCEPTION && (vector == X86_VECTOR_NMI || vector > 31));
}

static const struct rule rules[] = {
    {svme_clear, "EFER.SVME is clear"},
    {cd_nw, "CR0.CD is clear while CR0.NW is set"},
    {cr0_high, "CR0 bits 63:32 are not zero"},
    {cr3_reserved, "CR3 has reserved bits set"},
    {cr4_reserved, "CR4 has reserved bits set"},
    {dr_high, "DR6 or DR7 bits 63:32 are not zero"},
    {efer_reserved, "EFER has reserved bits set"},
    {long_without_pae, "EFER.LME and CR0.PG are set but CR4.PAE is clear"},
    {long_without_pe, "EFER.LME and CR0.PG are set but CR0.PE is clear"},
    {long_and_16, "CS has both L and D set in long mode"},
    {vmrun_not_intercepted, "VMRUN is not intercepted"},
    {asid_zero, "the ASID is zero"},
    {paging_without_pe, "CR0.PG is set but CR0.PE is clear"},
    {bad_event, "the injected event has a reserved type or an impossible vector"},
};

const char *vmcb_check(const struct vmcb *vmcb)
{
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        if (rules[i].is_broken(vmcb)) {
            return rules[i].text;
        }
    }
    return NULL;
}
