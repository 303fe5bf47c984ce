/* SPDX-License-Identifier: MIT */
/*
 * Rules about the guest's segment registers: SDM vol. 3, "Checks on Guest Segment Registers". The null selector is not
 * special there; what counts is whether a register is marked unusable.
 */
#include "vmx/vmcs_check_rules.h"

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_regs.h"

#define SELECTOR_RPL           3u
#define SELECTOR_TI            4u
#define HIGH_HALF              0xffffffff00000000ull
#define VIRTUAL_8086_LIMIT     0xffffu
#define VIRTUAL_8086_ACCESS    0xf3u
#define VIRTUAL_8086_SHIFT     4
#define ACCESS_RESERVED_MIDDLE 0x00f00u
#define ACCESS_RESERVED_HIGH   0xfffe0000u
#define LIMIT_LOW              0xfffu
#define LIMIT_HIGH             0xfff00000u
#define TYPE_DATA              (X86_SEG_TYPE_ACCESSED | X86_SEG_TYPE_WRITABLE)
#define TYPE_CODE              (X86_SEG_TYPE_ACCESSED | X86_SEG_TYPE_CODE)

static const struct vmcs_segment *segment(const struct vmcs_state *s)
{
    return &s->segments[s->about];
}

static uint32_t type_of(const struct vmcs_segment *segment)
{
    return segment->access & X86_SEG_ATTR_TYPE;
}

static uint32_t dpl_of(const struct vmcs_segment *segment)
{
    return (segment->access & X86_SEG_ATTR_DPL) >> X86_SEG_ATTR_DPL_SHIFT;
}

static uint32_t rpl_of(const struct vmcs_segment *segment)
{
    return segment->selector & SELECTOR_RPL;
}

/* CS and TR are used whatever their mark says. */
static bool is_used(const struct vmcs_state *s)
{
    return s->about == X86_SEG_CS || s->about == VMCS_SEGMENT_TR || (segment(s)->access & VMX_SEGMENT_UNUSABLE) == 0;
}

/* Access rights are looked at bit by bit; in virtual-8086 mode those of CS to GS are fixed instead. */
static bool has_rights(const struct vmcs_state *s)
{
    return is_used(s) && (!s->is_virtual_8086 || s->about >= X86_SEG_COUNT);
}

/* Selectors, bases and limits. */

static bool selector_local(const struct vmcs_state *s)
{
    return is_used(s) && (segment(s)->selector & SELECTOR_TI);
}

static bool ss_rpl(const struct vmcs_state *s)
{
    return !s->is_virtual_8086 && !s->is_unrestricted &&
           rpl_of(&s->segments[X86_SEG_SS]) != rpl_of(&s->segments[X86_SEG_CS]);
}

static bool base_8086(const struct vmcs_state *s)
{
    return s->is_virtual_8086 && segment(s)->base != (uint64_t)segment(s)->selector << VIRTUAL_8086_SHIFT;
}

static bool base_not_canonical(const struct vmcs_state *s)
{
    bool is_always_used = s->about == X86_SEG_FS || s->about == X86_SEG_GS;

    return (is_always_used || is_used(s)) && !linear_is_canonical(segment(s)->base, s->linear_bits);
}

static bool base_high(const struct vmcs_state *s)
{
    return is_used(s) && (segment(s)->base & HIGH_HALF);
}

static bool limit_8086(const struct vmcs_state *s)
{
    return s->is_virtual_8086 && segment(s)->limit != VIRTUAL_8086_LIMIT;
}

static bool access_8086(const struct vmcs_state *s)
{
    return s->is_virtual_8086 && segment(s)->access != VIRTUAL_8086_ACCESS;
}

/* Access rights. */

static bool cs_type(const struct vmcs_state *s)
{
    uint32_t type = type_of(segment(s));

    return has_rights(s) && (type & TYPE_CODE) != TYPE_CODE && !(s->is_unrestricted && type == TYPE_DATA);
}

static bool ss_type(const struct vmcs_state *s)
{
    return has_rights(s) && (type_of(segment(s)) & ~X86_SEG_TYPE_EXPAND_DOWN) != TYPE_DATA;
}

static bool not_accessed(const struct vmcs_state *s)
{
    return has_rights(s) && !(type_of(segment(s)) & X86_SEG_TYPE_ACCESSED);
}

static bool not_readable(const struct vmcs_state *s)
{
    return has_rights(s) && (type_of(segment(s)) & X86_SEG_TYPE_CODE) && !(type_of(segment(s)) & X86_SEG_TYPE_READABLE);
}

static bool is_system(const struct vmcs_state *s)
{
    return has_rights(s) && !(segment(s)->access & X86_SEG_ATTR_S);
}

static bool cs_data_dpl(const struct vmcs_state *s)
{
    return has_rights(s) && type_of(segment(s)) == TYPE_DATA && dpl_of(segment(s)) != 0;
}

static bool cs_dpl(const struct vmcs_state *s)
{
    uint32_t kind = X86_SEG_TYPE_CODE | X86_SEG_TYPE_CONFORMING;

    return has_rights(s) && (type_of(segment(s)) & kind) == X86_SEG_TYPE_CODE &&
           dpl_of(segment(s)) != dpl_of(&s->segments[X86_SEG_SS]);
}

static bool cs_conforming_dpl(const struct vmcs_state *s)
{
    uint32_t kind = X86_SEG_TYPE_CODE | X86_SEG_TYPE_CONFORMING;

    return has_rights(s) && (type_of(segment(s)) & kind) == kind &&
           dpl_of(segment(s)) > dpl_of(&s->segments[X86_SEG_SS]);
}

/* The two rules about the DPL of SS hold for an unusable one as well. */
static bool ss_dpl(const struct vmcs_state *s)
{
    return !s->is_virtual_8086 && !s->is_unrestricted && dpl_of(segment(s)) != rpl_of(segment(s));
}

static bool ss_dpl_real(const struct vmcs_state *s)
{
    return !s->is_virtual_8086 && dpl_of(segment(s)) != 0 &&
           (!(s->cr0 & X86_CR0_PE) || type_of(&s->segments[X86_SEG_CS]) == TYPE_DATA);
}

static bool data_dpl(const struct vmcs_state *s)
{
    uint32_t kind = X86_SEG_TYPE_CODE | X86_SEG_TYPE_CONFORMING;

    return has_rights(s) && !s->is_unrestricted && (type_of(segment(s)) & kind) != kind &&
           dpl_of(segment(s)) < rpl_of(segment(s));
}

static bool not_present(const struct vmcs_state *s)
{
    return has_rights(s) && !(segment(s)->access & X86_SEG_ATTR_P);
}

static bool reserved_middle(const struct vmcs_state *s)
{
    return has_rights(s) && (segment(s)->access & ACCESS_RESERVED_MIDDLE);
}

static bool cs_both_sizes(const struct vmcs_state *s)
{
    return has_rights(s) && s->is_ia32e && (segment(s)->access & X86_SEG_ATTR_L) &&
           (segment(s)->access & X86_SEG_ATTR_DB);
}

static bool limit_in_bytes(const struct vmcs_state *s)
{
    return has_rights(s) && (segment(s)->limit & LIMIT_LOW) != LIMIT_LOW && (segment(s)->access & X86_SEG_ATTR_G);
}

static bool limit_in_pages(const struct vmcs_state *s)
{
    return has_rights(s) && (segment(s)->limit & LIMIT_HIGH) && !(segment(s)->access & X86_SEG_ATTR_G);
}

static bool reserved_high(const struct vmcs_state *s)
{
    return has_rights(s) && (segment(s)->access & ACCESS_RESERVED_HIGH);
}

static bool tr_type(const struct vmcs_state *s)
{
    uint32_t type = type_of(segment(s));

    return type != X86_SEG_TYPE_TSS_BUSY && !(!s->is_ia32e && type == X86_SEG_TYPE_TSS16_BUSY);
}

static bool tr_unusable(const struct vmcs_state *s)
{
    return (segment(s)->access & VMX_SEGMENT_UNUSABLE) != 0;
}

static bool ldtr_type(const struct vmcs_state *s)
{
    return is_used(s) && type_of(segment(s)) != X86_SEG_TYPE_LDT;
}

static bool not_system(const struct vmcs_state *s)
{
    return is_used(s) && (segment(s)->access & X86_SEG_ATTR_S);
}

/* One rule for each of several registers. */
#define FOR_DATA(predicate, words)                                                                                     \
    {predicate, X86_SEG_DS, "guest DS: " words}, {predicate, X86_SEG_ES, "guest ES: " words},                          \
        {predicate, X86_SEG_FS, "guest FS: " words},                                                                   \
    {                                                                                                                  \
        predicate, X86_SEG_GS, "guest GS: " words                                                                      \
    }
#define FOR_ALL(predicate, words)                                                                                      \
    {predicate, X86_SEG_CS, "guest CS: " words}, {predicate, X86_SEG_SS, "guest SS: " words}, FOR_DATA(predicate, words)

static const struct vmcs_rule segment_rules[] = {
    {selector_local, VMCS_SEGMENT_TR, "guest TR: TI is set"},
    {selector_local, VMCS_SEGMENT_LDTR, "guest LDTR: TI is set"},
    {ss_rpl, 0, "guest SS: the RPL is not the CS RPL"},

    FOR_ALL(base_8086, "the base is not the selector times 16 in virtual-8086 mode"),
    {base_not_canonical, VMCS_SEGMENT_TR, "guest TR: the base is not canonical"},
    {base_not_canonical, X86_SEG_FS, "guest FS: the base is not canonical"},
    {base_not_canonical, X86_SEG_GS, "guest GS: the base is not canonical"},
    {base_not_canonical, VMCS_SEGMENT_LDTR, "guest LDTR: the base is not canonical"},
    {base_high, X86_SEG_CS, "guest CS: base bits 63:32 are not zero"},
    {base_high, X86_SEG_SS, "guest SS: base bits 63:32 are not zero"},
    {base_high, X86_SEG_DS, "guest DS: base bits 63:32 are not zero"},
    {base_high, X86_SEG_ES, "guest ES: base bits 63:32 are not zero"},

    FOR_ALL(limit_8086, "the limit is not 0xffff in virtual-8086 mode"),
    FOR_ALL(access_8086, "the access rights are not 0xf3 in virtual-8086 mode"),

    {cs_type, X86_SEG_CS, "guest CS: the type is not accessed code"},
    {ss_type, X86_SEG_SS, "guest SS: the type is not accessed and writable data"},
    FOR_DATA(not_accessed, "the type is not accessed"),
    FOR_DATA(not_readable, "the type is code that cannot be read"),
    FOR_ALL(is_system, "S is clear"),
    {cs_data_dpl, X86_SEG_CS, "guest CS: the DPL of data is not zero"},
    {cs_dpl, X86_SEG_CS, "guest CS: the DPL is not the SS DPL"},
    {cs_conforming_dpl, X86_SEG_CS, "guest CS: the DPL of conforming code is above the SS DPL"},
    {ss_dpl, X86_SEG_SS, "guest SS: the DPL is not the RPL"},
    {ss_dpl_real, X86_SEG_SS, "guest SS: the DPL is not zero in real mode or beside data in CS"},
    FOR_DATA(data_dpl, "the DPL is below the RPL"),
    FOR_ALL(not_present, "not present"),
    FOR_ALL(reserved_middle, "access-rights bits 11:8 are not zero"),
    {cs_both_sizes, X86_SEG_CS, "guest CS: L and D/B are both set"},
    FOR_ALL(limit_in_bytes, "G is set but the limit does not end a page"),
    FOR_ALL(limit_in_pages, "G is clear but the limit is above 1 MiB"),
    FOR_ALL(reserved_high, "access-rights bits 31:17 are not zero"),

    {tr_type, VMCS_SEGMENT_TR, "guest TR: the type is not a busy TSS"},
    {not_system, VMCS_SEGMENT_TR, "guest TR: S is set"},
    {not_present, VMCS_SEGMENT_TR, "guest TR: not present"},
    {reserved_middle, VMCS_SEGMENT_TR, "guest TR: access-rights bits 11:8 are not zero"},
    {limit_in_bytes, VMCS_SEGMENT_TR, "guest TR: G is set but the limit does not end a page"},
    {limit_in_pages, VMCS_SEGMENT_TR, "guest TR: G is clear but the limit is above 1 MiB"},
    {tr_unusable, VMCS_SEGMENT_TR, "guest TR: unusable"},
    {reserved_high, VMCS_SEGMENT_TR, "guest TR: access-rights bits 31:17 are not zero"},

    {ldtr_type, VMCS_SEGMENT_LDTR, "guest LDTR: the type is not an LDT"},
    {not_system, VMCS_SEGMENT_LDTR, "guest LDTR: S is set"},
    {not_present, VMCS_SEGMENT_LDTR, "guest LDTR: not present"},
    {reserved_middle, VMCS_SEGMENT_LDTR, "guest LDTR: access-rights bits 11:8 are not zero"},
    {limit_in_bytes, VMCS_SEGMENT_LDTR, "guest LDTR: G is set but the limit does not end a page"},
    {limit_in_pages, VMCS_SEGMENT_LDTR, "guest LDTR: G is clear but the limit is above 1 MiB"},
    {reserved_high, VMCS_SEGMENT_LDTR, "guest LDTR: access-rights bits 31:17 are not zero"},
};

const struct vmcs_rule_table vmcs_segment_rules = {segment_rules, ARRAY_SIZE(segment_rules)};
