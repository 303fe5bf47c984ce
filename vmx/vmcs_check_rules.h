/* SPDX-License-Identifier: MIT */
#ifndef VMX_VMCS_CHECK_RULES_H
#define VMX_VMCS_CHECK_RULES_H

/* The rules behind vmcs_check(), for the files they are in and for their test. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/addr.h"
#include "hv/lib/x86/x86_regs.h"
#include "vmx/vmcs_check.h"

/* Segment registers in the order of their fields; the first six are X86_SEG_. */
#define VMCS_SEGMENT_LDTR  6u
#define VMCS_SEGMENT_TR    7u
#define VMCS_SEGMENT_COUNT 8u

/* Entries and exits leave these bits of CR0 alone. */
#define VMCS_CR0_UNCHECKED (X86_CR0_NW | X86_CR0_CD)
#define VMCS_EFER_DEFINED  (X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE)

/* A guest segment register. */
struct vmcs_segment {
    uint64_t base;
    uint32_t limit;
    uint32_t access;
    uint16_t selector;
};

/* What is judged: the values that several rules need, and the way to all others. */
struct vmcs_state {
    uint64_t (*read)(enum vmcs_field field);
    const struct vmx_limits *limits;
    const uint32_t *apic_page;
    uint32_t pin, cpu, exit, entry;
    uint32_t cpu2;  /* 0 while it is not activated */
    uint32_t event; /* the entry event, 0 unless it is valid */
    uint32_t blocked, activity;
    uint64_t cr0, cr4, rflags;
    bool is_unrestricted, is_ia32e, is_virtual_8086;
    uint32_t linear_bits; /* that the processor has at most */
    uint32_t about;       /* of the rule that is being asked */
    struct vmcs_segment segments[VMCS_SEGMENT_COUNT];
};

/* One rule: the answer whether a state breaks it, about which field, bit or segment if it is about one, and in words.
 */
struct vmcs_rule {
    bool (*is_broken)(const struct vmcs_state *state);
    uint32_t about;
    const char *text;
};

/* The rules of one area, in the manual's order. */
struct vmcs_rule_table {
    const struct vmcs_rule *rules;
    size_t count;
};

extern const struct vmcs_rule_table vmcs_control_rules;  /* VMX controls */
extern const struct vmcs_rule_table vmcs_host_rules;     /* host state */
extern const struct vmcs_rule_table vmcs_register_rules; /* guest control registers, debug registers and MSRs */
extern const struct vmcs_rule_table vmcs_segment_rules;  /* guest segment registers */
extern const struct vmcs_rule_table vmcs_rest_rules;     /* all other guest state */

/* All of them, in the order in which a VM entry checks. */
#define VMCS_RULE_TABLE_COUNT 5u
extern const struct vmcs_rule_table *const vmcs_rule_tables[VMCS_RULE_TABLE_COUNT];

/* What vmcs_check() asks its rules about; all but `about`. */
void vmcs_read_state(struct vmcs_state *state, uint64_t (*read)(enum vmcs_field field), const struct vmx_limits *limits,
                     const uint32_t *apic_page);

/* For rules of more than one area: the field `about` does not hold a canonical address. */
bool vmcs_not_canonical(const struct vmcs_state *state);

static inline bool vmcs_is_too_wide(const struct vmcs_state *state, uint64_t address)
{
    return address >> state->limits->physical_bits != 0;
}

/* The bits that must be one are not, or others are that may not. */
static inline bool vmcs_is_forbidden(uint64_t value, uint64_t must, uint64_t may)
{
    return (value & must) != must || (value & ~may) != 0;
}

/* One of the eight types in a PAT does not exist. */
static inline bool vmcs_is_bad_pat(uint64_t pat)
{
    for (uint32_t i = 0; i < sizeof(pat); i++, pat >>= 8) {
        if ((pat & 0xff) > 7 || (pat & 0xff) == 2 || (pat & 0xff) == 3) {
            return true;
        }
    }
    return false;
}

static inline bool vmcs_has_event(const struct vmcs_state *state, enum vmx_event_type type)
{
    return state->event != 0 && (state->event & VMX_EVENT_TYPE_MASK) >> VMX_EVENT_TYPE_SHIFT == (uint32_t)type;
}

static inline uint32_t vmcs_event_vector(const struct vmcs_state *state)
{
    return state->event & VMX_EVENT_VECTOR_MASK;
}

#endif
