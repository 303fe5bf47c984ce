/* SPDX-License-Identifier: MIT */
/* links: vmx/vmcs_check.c vmx/vmcs_check_guest.c vmx/vmcs_check_segment.c */
/* The rules that name what is wrong with a VMCS: good states break none, each rule is broken alone and together with
 * later ones. SDM vol. 3, VM Entries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_regs.h"
#include "vmx/vmcs_check.h"
#include "vmx/vmcs_check_rules.h"

#define FIELD_LAST          VMCS_HOST_RIP
#define BROKEN_MAX          400u
#define TEXT_BYTES          100u
#define CHANGES_MAX         6
#define NOT_CANONICAL       0x0000800000000000ull
#define PHYSICAL_BITS       39
#define TOO_WIDE            (1ull << PHYSICAL_BITS)
#define UNUSABLE            VMX_SEGMENT_UNUSABLE
#define PIN_DEFAULT         0x16u
#define CPU_DEFAULT         0x04006172u
#define EXIT_DEFAULT        0x00036dfbu
#define ENTRY_DEFAULT       0x000011fbu
#define CR0_LONG            (X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_PG)
#define CR4_LONG            (X86_CR4_PAE | X86_CR4_VMXE | X86_CR4_OSFXSR)
#define EFER_LONG           (X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE)
/* What a text begins with instead of one register's name. */
#define FOR_DATA            "guest DS, ES, FS, GS: "
#define FOR_ALL             "guest CS to GS: "
#define EVENT(type, vector) (VMX_EVENT_VALID | (uint32_t)(type) << VMX_EVENT_TYPE_SHIFT | (vector))

/* What a change does to a field. */
enum action {
    NOTHING,
    SET,   /* the value replaces the old one */
    ADD,   /* its bits are set */
    CLEAR, /* its bits are cleared */
};

/* One step from a good state to a bad one. */
struct change {
    enum action action;
    enum vmcs_field field;
    uint64_t value;
};

/* A way to break one rule. If the text begins with FOR_DATA or FOR_ALL, of each of these segment registers: the fields
 * are those of ES. */
struct provocation {
    const char *text;
    void (*start)(void);
    struct change changes[CHANGES_MAX];
};

/* A provocation, of one register. */
struct broken {
    const struct provocation *how;
    uint32_t field_offset;
    char text[TEXT_BYTES];
    size_t rank; /* of the rule, by the manual */
};

static uint64_t fields[FIELD_LAST + 1];
static uint32_t apic_page[PAGE_SIZE / sizeof(uint32_t)];
static struct vmx_limits limits;
static struct broken broken[BROKEN_MAX];
static size_t broken_count;

/* The field exists on a processor with these limits. */
static bool exists(enum vmcs_field field)
{
    uint32_t cpu2 = (limits.cpu.may & VMX_CPU_SECONDARY) ? limits.cpu2.may : 0;

    switch ((uint32_t)field) {
    case VMCS_POSTED_VECTOR:
    case VMCS_POSTED_DESCRIPTOR:
        return (limits.pin.may & VMX_PIN_POSTED) != 0;
    case VMCS_PML_ADDRESS:
        return (cpu2 & VMX_CPU2_PML) != 0;
    case VMCS_VPID:
        return (cpu2 & VMX_CPU2_VPID) != 0;
    case VMCS_CPU2_CONTROLS:
        return (limits.cpu.may & VMX_CPU_SECONDARY) != 0;
    case VMCS_IO_BITMAP_A:
    case VMCS_IO_BITMAP_B:
        return true;
    case VMCS_MSR_BITMAP:
        return (limits.cpu.may & VMX_CPU_MSR_BITMAPS) != 0;
    case VMCS_VIRTUAL_APIC:
    case VMCS_TPR_THRESHOLD:
        return (limits.cpu.may & VMX_CPU_TPR_SHADOW) != 0;
    case VMCS_APIC_ACCESS:
        return (cpu2 & VMX_CPU2_APIC_ACCESS) != 0;
    case VMCS_EPT_POINTER:
    case VMCS_GUEST_PDPTE0:
    case VMCS_GUEST_PDPTE0 + 2:
    case VMCS_GUEST_PDPTE0 + 4:
    case VMCS_GUEST_PDPTE0 + 6:
        return (cpu2 & VMX_CPU2_EPT) != 0;
    case VMCS_GUEST_PAT:
        return (limits.entry.may & VMX_ENTRY_LOAD_PAT) != 0;
    case VMCS_GUEST_EFER:
        return (limits.entry.may & VMX_ENTRY_LOAD_EFER) != 0;
    case VMCS_HOST_PAT:
        return (limits.exit.may & VMX_EXIT_LOAD_PAT) != 0;
    case VMCS_HOST_EFER:
        return (limits.exit.may & VMX_EXIT_LOAD_EFER) != 0;
    default:
        return true;
    }
}

static uint64_t fake_read(enum vmcs_field field)
{
    assert_true(field <= FIELD_LAST);
    assert_true(exists(field));
    return fields[field];
}

static void set_segment(uint32_t index, uint16_t selector, uint64_t base, uint32_t limit, uint32_t access)
{
    uint32_t offset = index * VMCS_SEGMENT_STRIDE;

    fields[VMCS_GUEST_ES_SELECTOR + offset] = selector;
    fields[VMCS_GUEST_ES_BASE + offset] = base;
    fields[VMCS_GUEST_ES_LIMIT + offset] = limit;
    fields[VMCS_GUEST_ES_ACCESS + offset] = access;
}

static void set_limits(void)
{
    limits = (struct vmx_limits){
        .pin = {PIN_DEFAULT, 0xff},
        .cpu = {CPU_DEFAULT, 0xfff9fffe},
        .cpu2 = {0, 0x00127fff},
        .exit = {EXIT_DEFAULT, 0x007fffff},
        .entry = {ENTRY_DEFAULT, 0x0000ffff},
        .cr0_must = 0x80000021,
        .cr0_may = 0xffffffff,
        .cr4_must = X86_CR4_VMXE,
        .cr4_may = 0x00f767ff,
        .ept_vpid = VMX_CAP_EPT_WALK_4 | VMX_CAP_EPT_WB,
        .misc = VMX_MISC_HLT | VMX_MISC_HLT << 1 | VMX_MISC_HLT << 2,
        .physical_bits = PHYSICAL_BITS,
        .has_sgx = true,
        .has_rtm = true,
    };
}

static void set_host(void)
{
    fields[VMCS_HOST_CR0] = X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_ET | X86_CR0_MP | X86_CR0_PE;
    fields[VMCS_HOST_CR3] = 0x01234000;
    fields[VMCS_HOST_CR4] = CR4_LONG;
    fields[VMCS_HOST_EFER] = EFER_LONG;
    fields[VMCS_HOST_PAT] = X86_PAT_RESET;
    fields[VMCS_HOST_CS_SELECTOR] = 0x08;
    fields[VMCS_HOST_SS_SELECTOR] = 0x10;
    fields[VMCS_HOST_TR_SELECTOR] = 0x18;
    fields[VMCS_HOST_GS_BASE] = 0xffff800000001000;
    fields[VMCS_HOST_GDTR_BASE] = 0xffff800000002000;
    fields[VMCS_HOST_IDTR_BASE] = 0xffff800000003000;
    fields[VMCS_HOST_TR_BASE] = 0xffff800000004000;
    fields[VMCS_HOST_RIP] = 0xffffffff80000000;
    fields[VMCS_HOST_SYSENTER_ESP] = 0x00007ffffffff000;
}

/* A 64-bit kernel, interrupts on, with all that we use turned on. */
static void good_long(void)
{
    memset(fields, 0, sizeof(fields));
    set_limits();
    set_host();
    fields[VMCS_PIN_CONTROLS] = PIN_DEFAULT | VMX_PIN_INTERRUPT | VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMI | VMX_PIN_TIMER;
    fields[VMCS_CPU_CONTROLS] =
        CPU_DEFAULT | VMX_CPU_HLT | VMX_CPU_TPR_SHADOW | VMX_CPU_IO_BITMAPS | VMX_CPU_MSR_BITMAPS | VMX_CPU_SECONDARY;
    fields[VMCS_CPU2_CONTROLS] = VMX_CPU2_EPT | VMX_CPU2_VPID | VMX_CPU2_RDTSCP;
    fields[VMCS_EXIT_CONTROLS] = EXIT_DEFAULT | VMX_EXIT_HOST_64 | VMX_EXIT_SAVE_PAT | VMX_EXIT_LOAD_PAT |
                                 VMX_EXIT_SAVE_EFER | VMX_EXIT_LOAD_EFER | VMX_EXIT_SAVE_TIMER;
    fields[VMCS_ENTRY_CONTROLS] =
        ENTRY_DEFAULT | VMX_ENTRY_GUEST_64 | VMX_ENTRY_LOAD_DEBUG | VMX_ENTRY_LOAD_PAT | VMX_ENTRY_LOAD_EFER;
    fields[VMCS_IO_BITMAP_A] = 0x10000;
    fields[VMCS_IO_BITMAP_B] = 0x11000;
    fields[VMCS_MSR_BITMAP] = 0x12000;
    fields[VMCS_VIRTUAL_APIC] = 0x13000;
    apic_page[VMX_VTPR_INDEX] = 0x4f;
    fields[VMCS_APIC_ACCESS] = 0x14000;
    fields[VMCS_EPT_POINTER] = 0x15000 | VMX_EPTP_LEVELS_4 | VMX_EPTP_WB;
    fields[VMCS_VPID] = 1;
    fields[VMCS_GUEST_CR0] = CR0_LONG;
    fields[VMCS_GUEST_CR3] = 0x00789000;
    fields[VMCS_GUEST_CR4] = CR4_LONG;
    fields[VMCS_GUEST_EFER] = EFER_LONG;
    fields[VMCS_GUEST_PAT] = X86_PAT_RESET;
    fields[VMCS_GUEST_DR7] = X86_DR7_RESET;
    fields[VMCS_GUEST_RIP] = 0xffffffff81000000;
    fields[VMCS_GUEST_RFLAGS] = X86_RFLAGS_FIXED | X86_RFLAGS_IF;
    fields[VMCS_GUEST_GDTR_BASE] = 0xfffffe0000001000;
    fields[VMCS_GUEST_GDTR_LIMIT] = 0x7f;
    fields[VMCS_GUEST_IDTR_BASE] = 0xfffffe0000000000;
    fields[VMCS_GUEST_IDTR_LIMIT] = 0xfff;
    fields[VMCS_GUEST_LINK] = UINT64_MAX;
    set_segment(X86_SEG_CS, 0x10, 0, 0xffffffff, 0xa09b);
    set_segment(X86_SEG_SS, 0x18, 0, 0xffffffff, 0xc093);
    set_segment(X86_SEG_DS, 0, 0, 0xffffffff, UNUSABLE);
    set_segment(X86_SEG_ES, 0, 0, 0xffffffff, UNUSABLE);
    set_segment(X86_SEG_FS, 0, 0, 0xffffffff, UNUSABLE);
    set_segment(X86_SEG_GS, 0, 0xffff888000000000, 0xffffffff, UNUSABLE);
    set_segment(VMCS_SEGMENT_LDTR, 0, 0, 0, UNUSABLE);
    set_segment(VMCS_SEGMENT_TR, 0x40, 0xfffffe0000003000, 0x4087, 0x8b);
}

/* An unrestricted guest as after reset. */
static void good_real(void)
{
    good_long();
    fields[VMCS_CPU2_CONTROLS] |= VMX_CPU2_UNRESTRICTED;
    fields[VMCS_ENTRY_CONTROLS] &= ~(uint64_t)VMX_ENTRY_GUEST_64;
    fields[VMCS_GUEST_CR0] = X86_CR0_RESET | X86_CR0_NE;
    fields[VMCS_GUEST_CR3] = 0;
    fields[VMCS_GUEST_CR4] = X86_CR4_VMXE;
    fields[VMCS_GUEST_EFER] = 0;
    fields[VMCS_GUEST_RIP] = 0xfff0;
    fields[VMCS_GUEST_RFLAGS] = X86_RFLAGS_FIXED;
    fields[VMCS_GUEST_GDTR_BASE] = 0;
    fields[VMCS_GUEST_GDTR_LIMIT] = 0xffff;
    fields[VMCS_GUEST_IDTR_BASE] = 0;
    fields[VMCS_GUEST_IDTR_LIMIT] = 0xffff;
    for (uint32_t i = 0; i < X86_SEG_COUNT; i++) {
        set_segment(i, 0, 0, 0xffff, 0x93);
    }
    set_segment(X86_SEG_CS, 0xf000, 0xffff0000, 0xffff, 0x9b);
    set_segment(VMCS_SEGMENT_LDTR, 0, 0, 0xffff, 0x82);
    set_segment(VMCS_SEGMENT_TR, 0, 0, 0xffff, 0x8b);
}

/* A 32-bit process in PAE paging, all segments usable. */
static void good_pae(void)
{
    good_long();
    fields[VMCS_ENTRY_CONTROLS] &= ~(uint64_t)VMX_ENTRY_GUEST_64;
    fields[VMCS_GUEST_EFER] = X86_EFER_NXE;
    fields[VMCS_GUEST_CR3] = 0x00789020;
    fields[VMCS_GUEST_RIP] = 0x08048000;
    fields[VMCS_GUEST_GDTR_BASE] = 0xc1000000;
    fields[VMCS_GUEST_IDTR_BASE] = 0xc1001000;
    for (uint32_t i = 0; i < 4; i++) {
        fields[VMCS_GUEST_PDPTE0 + 2 * i] = 0x00800e19 + i * 0x1000;
    }
    fields[VMCS_GUEST_PDPTE0 + 6] = 0x00800006; /* not present: the rest does not count */
    for (uint32_t i = 0; i < X86_SEG_COUNT; i++) {
        set_segment(i, 0x2b, 0, 0xffffffff, 0xc0f3);
    }
    set_segment(X86_SEG_CS, 0x23, 0, 0xffffffff, 0xc0fb);
    set_segment(VMCS_SEGMENT_LDTR, 0x48, 0xc1002000, 0xfff, 0x82);
    set_segment(VMCS_SEGMENT_TR, 0x40, 0xc1003000, 0x67, 0x8b);
}

/* The same in virtual-8086 mode. */
static void good_8086(void)
{
    good_pae();
    fields[VMCS_GUEST_RFLAGS] |= X86_RFLAGS_VM;
    for (uint32_t i = 0; i < X86_SEG_COUNT; i++) {
        set_segment(i, (uint16_t)(0x1001 + i), (0x1001 + i) << 4, 0xffff, 0xf3);
    }
}

static void long_flags_supported(void)
{
    good_long();
    limits.ept_vpid |= VMX_CAP_EPT_UC | VMX_CAP_EPT_ACCESSED_DIRTY;
}

/* With the APIC lent to the processor. */
static void long_with_apic(void)
{
    good_long();
    fields[VMCS_CPU2_CONTROLS] |= VMX_CPU2_X2APIC | VMX_CPU2_APIC_REGISTERS | VMX_CPU2_INTERRUPTS;
}

static void long_with_posted_interrupts(void)
{
    long_with_apic();
    fields[VMCS_PIN_CONTROLS] |= VMX_PIN_POSTED;
    fields[VMCS_EXIT_CONTROLS] |= VMX_EXIT_ACKNOWLEDGE;
    fields[VMCS_POSTED_VECTOR] = 0xff;
    fields[VMCS_POSTED_DESCRIPTOR] = 0x16040;
}

static void long_with_pml(void)
{
    good_long();
    fields[VMCS_CPU2_CONTROLS] |= VMX_CPU2_PML;
    fields[VMCS_PML_ADDRESS] = 0x17000;
}

static void long_without_sgx(void)
{
    good_long();
    limits.has_sgx = false;
}

static void long_without_rtm(void)
{
    good_long();
    limits.has_rtm = false;
}

static void long_without_walk_4(void)
{
    good_long();
    limits.ept_vpid &= ~VMX_CAP_EPT_WALK_4;
}

static void long_without_trap_flag(void)
{
    good_long();
    limits.cpu.may &= ~VMX_CPU_MONITOR_TRAP;
}

static void long_without_shutdown(void)
{
    good_long();
    limits.misc &= ~(VMX_MISC_HLT << 1);
}

/* In protected mode, as yet without paging. */
static void unrestricted_protected(void)
{
    good_real();
    fields[VMCS_GUEST_CR0] |= X86_CR0_PE;
}

/* All six segments usable in a kernel of 64 bits, unrestricted. */
static void unrestricted_long(void)
{
    good_long();
    fields[VMCS_CPU2_CONTROLS] |= VMX_CPU2_UNRESTRICTED;
}

/* What single-register rules are provoked in. */
static void good_pae_unrestricted(void)
{
    good_pae();
    fields[VMCS_CPU2_CONTROLS] |= VMX_CPU2_UNRESTRICTED;
}

static void (*const good_states[])(void) = {
    good_long,
    good_real,
    good_pae,
    good_8086,
    long_flags_supported,
    long_with_apic,
    long_with_posted_interrupts,
    long_with_pml,
    long_without_sgx,
    long_without_rtm,
    unrestricted_long,
    unrestricted_protected,
    good_pae_unrestricted,
};

/* In the order in which the manual has the rules. */
static const struct provocation provocations[] = {
    {"pin-based controls: reserved bits", good_long, {{CLEAR, VMCS_PIN_CONTROLS, 2}}},
    {"pin-based controls: reserved bits", good_long, {{ADD, VMCS_PIN_CONTROLS, 0x100}}},
    {"primary processor-based controls: reserved bits", good_long, {{CLEAR, VMCS_CPU_CONTROLS, 2}}},
    {"primary processor-based controls: reserved bits", good_long, {{ADD, VMCS_CPU_CONTROLS, 1}}},
    {"secondary processor-based controls: reserved bits", good_long, {{ADD, VMCS_CPU2_CONTROLS, 1u << 31}}},
    {"CR3-target count: more than four", good_long, {{SET, VMCS_CR3_TARGET_COUNT, 5}}},
    {"I/O bitmap A: not the address of a page", good_long, {{ADD, VMCS_IO_BITMAP_A, 0x800}}},
    {"I/O bitmap A: not the address of a page", good_long, {{ADD, VMCS_IO_BITMAP_A, TOO_WIDE}}},
    {"I/O bitmap B: not the address of a page", good_long, {{ADD, VMCS_IO_BITMAP_B, 1}}},
    {"MSR bitmap: not the address of a page", good_long, {{ADD, VMCS_MSR_BITMAP, 1}}},
    {"virtual APIC: not the address of a page", good_long, {{ADD, VMCS_VIRTUAL_APIC, TOO_WIDE}}},
    {"TPR threshold: bits 31:4 are not zero", good_long, {{SET, VMCS_TPR_THRESHOLD, 0x10}}},
    {"TPR threshold: above the class of the task priority", good_long, {{SET, VMCS_TPR_THRESHOLD, 5}}},
    {"pin-based controls: virtual NMIs without NMI exiting", good_long, {{CLEAR, VMCS_PIN_CONTROLS, VMX_PIN_NMI}}},
    {"primary processor-based controls: NMI-window exiting without virtual NMIs",
     good_long,
     {{CLEAR, VMCS_PIN_CONTROLS, VMX_PIN_VIRTUAL_NMI}, {ADD, VMCS_CPU_CONTROLS, VMX_CPU_NMI_WINDOW}}},
    {"APIC-access address: not the address of a page",
     good_long,
     {{ADD, VMCS_CPU2_CONTROLS, VMX_CPU2_APIC_ACCESS}, {ADD, VMCS_APIC_ACCESS, 1}}},
    {"secondary processor-based controls: x2APIC mode without a TPR shadow",
     good_long,
     {{CLEAR, VMCS_CPU_CONTROLS, VMX_CPU_TPR_SHADOW}, {ADD, VMCS_CPU2_CONTROLS, VMX_CPU2_X2APIC}}},
    {"secondary processor-based controls: APIC-register virtualization without a TPR shadow",
     good_long,
     {{CLEAR, VMCS_CPU_CONTROLS, VMX_CPU_TPR_SHADOW}, {ADD, VMCS_CPU2_CONTROLS, VMX_CPU2_APIC_REGISTERS}}},
    {"secondary processor-based controls: virtual-interrupt delivery without a TPR shadow",
     good_long,
     {{CLEAR, VMCS_CPU_CONTROLS, VMX_CPU_TPR_SHADOW}, {ADD, VMCS_CPU2_CONTROLS, VMX_CPU2_INTERRUPTS}}},
    {"secondary processor-based controls: x2APIC mode together with APIC accesses",
     good_long,
     {{ADD, VMCS_CPU2_CONTROLS, VMX_CPU2_X2APIC | VMX_CPU2_APIC_ACCESS}}},
    {"secondary processor-based controls: virtual-interrupt delivery without interrupt exiting",
     good_long,
     {{ADD, VMCS_CPU2_CONTROLS, VMX_CPU2_INTERRUPTS}, {CLEAR, VMCS_PIN_CONTROLS, VMX_PIN_INTERRUPT}}},
    {"pin-based controls: posted interrupts without virtual-interrupt delivery",
     good_long,
     {{ADD, VMCS_PIN_CONTROLS, VMX_PIN_POSTED}, {ADD, VMCS_EXIT_CONTROLS, VMX_EXIT_ACKNOWLEDGE}}},
    {"pin-based controls: posted interrupts without acknowledging on exit",
     good_long,
     {{ADD, VMCS_PIN_CONTROLS, VMX_PIN_POSTED}, {ADD, VMCS_CPU2_CONTROLS, VMX_CPU2_INTERRUPTS}}},
    {"posted-interrupt notification vector: above 255",
     long_with_posted_interrupts,
     {{SET, VMCS_POSTED_VECTOR, 0x100}}},
    {"posted-interrupt descriptor: misplaced", long_with_posted_interrupts, {{ADD, VMCS_POSTED_DESCRIPTOR, 0x20}}},
    {"posted-interrupt descriptor: misplaced", long_with_posted_interrupts, {{ADD, VMCS_POSTED_DESCRIPTOR, TOO_WIDE}}},
    {"VPID: zero", good_long, {{SET, VMCS_VPID, 0}}},
    {"EPT pointer: the memory type is not supported", good_long, {{CLEAR, VMCS_EPT_POINTER, VMX_EPTP_TYPE_MASK}}},
    {"EPT pointer: the memory type is not supported", long_flags_supported, {{ADD, VMCS_EPT_POINTER, 1}}},
    {"EPT pointer: the page walk is not of four levels", good_long, {{CLEAR, VMCS_EPT_POINTER, 1u << 3}}},
    {"EPT pointer: the page walk is not of four levels", long_without_walk_4, {{NOTHING, 0, 0}}},
    {"EPT pointer: accessed and dirty flags are not supported",
     good_long,
     {{ADD, VMCS_EPT_POINTER, VMX_EPTP_ACCESSED}}},
    {"EPT pointer: reserved bits", good_long, {{ADD, VMCS_EPT_POINTER, 0x80}}},
    {"EPT pointer: reserved bits", good_long, {{ADD, VMCS_EPT_POINTER, TOO_WIDE}}},
    {"secondary processor-based controls: page-modification logging without EPT",
     good_long,
     {{SET, VMCS_CPU2_CONTROLS, VMX_CPU2_PML}}},
    {"PML address: not the address of a page", long_with_pml, {{ADD, VMCS_PML_ADDRESS, 1}}},
    {"PML address: not the address of a page", long_with_pml, {{ADD, VMCS_PML_ADDRESS, TOO_WIDE}}},
    {"secondary processor-based controls: unrestricted guest without EPT",
     good_long,
     {{SET, VMCS_CPU2_CONTROLS, VMX_CPU2_UNRESTRICTED}}},
    {"exit controls: reserved bits", good_long, {{CLEAR, VMCS_EXIT_CONTROLS, 1}}},
    {"exit controls: reserved bits", good_long, {{ADD, VMCS_EXIT_CONTROLS, 1u << 31}}},
    {"exit controls: the timer is saved but not on", good_long, {{CLEAR, VMCS_PIN_CONTROLS, VMX_PIN_TIMER}}},
    {"exit MSR-store area: misplaced",
     good_long,
     {{SET, VMCS_EXIT_MSR_STORE_COUNT, 1}, {SET, VMCS_EXIT_MSR_STORE, 0x1008}}},
    {"exit MSR-load area: misplaced",
     good_long,
     {{SET, VMCS_EXIT_MSR_LOAD_COUNT, 1}, {SET, VMCS_EXIT_MSR_LOAD, TOO_WIDE}}},
    {"exit MSR-load area: misplaced",
     good_long,
     {{SET, VMCS_EXIT_MSR_LOAD_COUNT, 2}, {SET, VMCS_EXIT_MSR_LOAD, TOO_WIDE - 16}}},
    {"entry controls: reserved bits", good_long, {{CLEAR, VMCS_ENTRY_CONTROLS, 1}}},
    {"entry controls: reserved bits", good_long, {{ADD, VMCS_ENTRY_CONTROLS, 1u << 31}}},
    {"entry event: the type is reserved", good_long, {{SET, VMCS_ENTRY_EVENT, EVENT(1, 0)}}},
    {"entry event: the type is reserved", long_without_trap_flag, {{SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_OTHER, 0)}}},
    {"entry event: the type has no such vector", good_long, {{SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_NMI, 3)}}},
    {"entry event: the type has no such vector", good_long, {{SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_EXCEPTION, 32)}}},
    {"entry event: the type has no such vector", good_long, {{SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_OTHER, 1)}}},
    {"entry event: the error code is missing",
     good_long,
     {{SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_EXCEPTION, X86_VECTOR_GP)}}},
    {"entry event: the error code is missing",
     unrestricted_protected,
     {{SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_EXCEPTION, X86_VECTOR_AC)}}},
    {"entry event: an error code where there can be none",
     good_long,
     {{SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_EXCEPTION, X86_VECTOR_UD) | VMX_EVENT_ERROR_VALID}}},
    {"entry event: an error code where there can be none",
     good_long,
     {{SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_INTERRUPT, X86_VECTOR_PF) | VMX_EVENT_ERROR_VALID}}},
    {"entry event: an error code where there can be none",
     good_real,
     {{SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_EXCEPTION, X86_VECTOR_GP) | VMX_EVENT_ERROR_VALID}}},
    {"entry event: reserved bits", good_long, {{SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_NMI, 2) | 1u << 12}}},
    {"entry event: reserved bits", good_long, {{SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_NMI, 2) | 1u << 30}}},
    {"entry event: error-code bits 31:16 are not zero",
     good_long,
     {{SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_EXCEPTION, X86_VECTOR_PF) | VMX_EVENT_ERROR_VALID},
      {SET, VMCS_ENTRY_EVENT_ERROR, 0x10000}}},
    {"entry event: the instruction length is impossible",
     good_long,
     {{SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_SOFTWARE, 0x80)}}},
    {"entry event: the instruction length is impossible",
     good_long,
     {{SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_SOFTWARE_EXCEPTION, 3)}, {SET, VMCS_ENTRY_INSN_LENGTH, 16}}},
    {"entry event: the instruction length is impossible",
     good_long,
     {{SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_PRIVILEGED_SOFTWARE, 1)}}},
    {"entry MSR-load area: misplaced", good_long, {{SET, VMCS_ENTRY_MSR_LOAD_COUNT, 1}, {SET, VMCS_ENTRY_MSR_LOAD, 1}}},
    {"entry controls: entry to SMM outside SMM", good_long, {{ADD, VMCS_ENTRY_CONTROLS, VMX_ENTRY_SMM}}},
    {"entry controls: the dual-monitor treatment ends outside SMM",
     good_long,
     {{ADD, VMCS_ENTRY_CONTROLS, VMX_ENTRY_DUAL_SMM}}},

    {"host CR0: bits that VMX operation does not allow", good_long, {{CLEAR, VMCS_HOST_CR0, X86_CR0_NE}}},
    {"host CR0: bits that VMX operation does not allow", good_real, {{CLEAR, VMCS_HOST_CR0, X86_CR0_PG}}},
    {"host CR0: bits that VMX operation does not allow", good_long, {{ADD, VMCS_HOST_CR0, 1ull << 32}}},
    {"host CR4: bits that VMX operation does not allow", good_long, {{CLEAR, VMCS_HOST_CR4, X86_CR4_VMXE}}},
    {"host CR4: bits that VMX operation does not allow", good_long, {{ADD, VMCS_HOST_CR4, X86_CR4_LA57}}},
    {"host CR4: CET is set but CR0.WP is clear",
     good_long,
     {{ADD, VMCS_HOST_CR4, X86_CR4_CET}, {CLEAR, VMCS_HOST_CR0, X86_CR0_WP}}},
    {"host CR3: reserved bits", good_long, {{ADD, VMCS_HOST_CR3, TOO_WIDE}}},
    {"host SYSENTER_ESP: not canonical", good_long, {{SET, VMCS_HOST_SYSENTER_ESP, NOT_CANONICAL}}},
    {"host SYSENTER_EIP: not canonical", good_long, {{SET, VMCS_HOST_SYSENTER_EIP, 0xffff7fffffffffffull}}},
    {"host PAT: a reserved memory type", good_long, {{SET, VMCS_HOST_PAT, 0x0200}}},
    {"host PAT: a reserved memory type", good_long, {{SET, VMCS_HOST_PAT, 0x0300000000000000ull}}},
    {"host PAT: a reserved memory type", good_long, {{SET, VMCS_HOST_PAT, 0x08}}},
    {"host EFER: reserved bits", good_long, {{ADD, VMCS_HOST_EFER, X86_EFER_SVME}}},
    {"host EFER: LMA or LME is not the host's address-space size", good_long, {{CLEAR, VMCS_HOST_EFER, X86_EFER_LME}}},
    {"host EFER: LMA or LME is not the host's address-space size",
     good_long,
     {{CLEAR, VMCS_EXIT_CONTROLS, VMX_EXIT_HOST_64}}},
    {"host CS: RPL or TI is not zero", good_long, {{ADD, VMCS_HOST_CS_SELECTOR, 4}}},
    {"host SS: RPL or TI is not zero", good_long, {{ADD, VMCS_HOST_SS_SELECTOR, 1}}},
    {"host DS: RPL or TI is not zero", good_long, {{ADD, VMCS_HOST_DS_SELECTOR, 2}}},
    {"host ES: RPL or TI is not zero", good_long, {{ADD, VMCS_HOST_ES_SELECTOR, 3}}},
    {"host FS: RPL or TI is not zero", good_long, {{ADD, VMCS_HOST_FS_SELECTOR, 4}}},
    {"host GS: RPL or TI is not zero", good_long, {{ADD, VMCS_HOST_GS_SELECTOR, 4}}},
    {"host TR: RPL or TI is not zero", good_long, {{ADD, VMCS_HOST_TR_SELECTOR, 4}}},
    {"host CS: null", good_long, {{SET, VMCS_HOST_CS_SELECTOR, 0}}},
    {"host TR: null", good_long, {{SET, VMCS_HOST_TR_SELECTOR, 0}}},
    {"host SS: null outside 64-bit mode",
     good_long,
     {{CLEAR, VMCS_EXIT_CONTROLS, VMX_EXIT_HOST_64},
      {CLEAR, VMCS_HOST_EFER, X86_EFER_LMA | X86_EFER_LME},
      {SET, VMCS_HOST_SS_SELECTOR, 0}}},
    {"host FS: the base is not canonical", good_long, {{SET, VMCS_HOST_FS_BASE, NOT_CANONICAL}}},
    {"host GS: the base is not canonical", good_long, {{SET, VMCS_HOST_GS_BASE, NOT_CANONICAL}}},
    {"host GDTR: the base is not canonical", good_long, {{SET, VMCS_HOST_GDTR_BASE, NOT_CANONICAL}}},
    {"host IDTR: the base is not canonical", good_long, {{SET, VMCS_HOST_IDTR_BASE, NOT_CANONICAL}}},
    {"host TR: the base is not canonical", good_long, {{SET, VMCS_HOST_TR_BASE, NOT_CANONICAL}}},
    {"exit controls: the host's address space is not of 64 bits",
     good_long,
     {{CLEAR, VMCS_EXIT_CONTROLS, VMX_EXIT_HOST_64}, {CLEAR, VMCS_HOST_EFER, X86_EFER_LMA | X86_EFER_LME}}},
    {"host CR4: PAE is clear", good_long, {{CLEAR, VMCS_HOST_CR4, X86_CR4_PAE}}},
    {"host RIP: not canonical", good_long, {{SET, VMCS_HOST_RIP, NOT_CANONICAL}}},

    {"guest CR0: bits that VMX operation does not allow", good_long, {{CLEAR, VMCS_GUEST_CR0, X86_CR0_PG}}},
    {"guest CR0: bits that VMX operation does not allow", good_real, {{CLEAR, VMCS_GUEST_CR0, X86_CR0_NE}}},
    {"guest CR0: bits that VMX operation does not allow", good_real, {{ADD, VMCS_GUEST_CR0, 1ull << 63}}},
    {"guest CR0: PG is set but PE is clear", good_real, {{ADD, VMCS_GUEST_CR0, X86_CR0_PG}}},
    {"guest CR4: bits that VMX operation does not allow", good_long, {{CLEAR, VMCS_GUEST_CR4, X86_CR4_VMXE}}},
    {"guest CR4: CET is set but CR0.WP is clear",
     good_long,
     {{ADD, VMCS_GUEST_CR4, X86_CR4_CET}, {CLEAR, VMCS_GUEST_CR0, X86_CR0_WP}}},
    {"guest DEBUGCTL: reserved bits", good_long, {{SET, VMCS_GUEST_DEBUGCTL, 1u << 3}}},
    {"guest DEBUGCTL: reserved bits", good_long, {{SET, VMCS_GUEST_DEBUGCTL, 1u << 16}}},
    {"guest CR0: PG is clear in IA-32e mode", unrestricted_long, {{CLEAR, VMCS_GUEST_CR0, X86_CR0_PG}}},
    {"guest CR4: PAE is clear in IA-32e mode", good_long, {{CLEAR, VMCS_GUEST_CR4, X86_CR4_PAE}}},
    {"guest CR4: PCIDE is set outside IA-32e mode", good_pae, {{ADD, VMCS_GUEST_CR4, X86_CR4_PCIDE}}},
    {"guest CR3: reserved bits", good_long, {{ADD, VMCS_GUEST_CR3, TOO_WIDE}}},
    {"guest CR3: reserved bits", good_long, {{ADD, VMCS_GUEST_CR3, X86_CR3_NO_FLUSH}}},
    {"guest DR7: bits 63:32 are not zero", good_long, {{ADD, VMCS_GUEST_DR7, 1ull << 32}}},
    {"guest SYSENTER_ESP: not canonical", good_long, {{SET, VMCS_GUEST_SYSENTER_ESP, NOT_CANONICAL}}},
    {"guest SYSENTER_EIP: not canonical", good_long, {{SET, VMCS_GUEST_SYSENTER_EIP, NOT_CANONICAL}}},
    {"guest PAT: a reserved memory type", good_long, {{SET, VMCS_GUEST_PAT, 0x02}}},
    {"guest EFER: reserved bits", good_long, {{ADD, VMCS_GUEST_EFER, X86_EFER_FFXSR}}},
    {"guest EFER: LMA is not the entry control IA-32e mode", good_long, {{CLEAR, VMCS_GUEST_EFER, X86_EFER_LMA}}},
    {"guest EFER: LMA is not the entry control IA-32e mode", good_real, {{ADD, VMCS_GUEST_EFER, X86_EFER_LMA}}},
    {"guest EFER: LME is not LMA while CR0.PG is set", good_long, {{CLEAR, VMCS_GUEST_EFER, X86_EFER_LME}}},
    {"guest EFER: LME is not LMA while CR0.PG is set", good_pae, {{ADD, VMCS_GUEST_EFER, X86_EFER_LME}}},

    {"guest TR: TI is set", good_long, {{ADD, VMCS_GUEST_TR_SELECTOR, 4}}},
    {"guest LDTR: TI is set", good_pae, {{ADD, VMCS_GUEST_LDTR_SELECTOR, 4}}},
    {"guest SS: the RPL is not the CS RPL", good_long, {{ADD, VMCS_GUEST_SS_SELECTOR, 3}}},
    {FOR_ALL "the base is not the selector times 16 in virtual-8086 mode", good_8086, {{ADD, VMCS_GUEST_ES_BASE, 1}}},
    {"guest TR: the base is not canonical", good_8086, {{SET, VMCS_GUEST_TR_BASE, NOT_CANONICAL}}},
    {"guest FS: the base is not canonical", good_long, {{SET, VMCS_GUEST_FS_BASE, NOT_CANONICAL}}},
    {"guest GS: the base is not canonical", good_long, {{SET, VMCS_GUEST_GS_BASE, NOT_CANONICAL}}},
    {"guest LDTR: the base is not canonical", good_pae, {{SET, VMCS_GUEST_LDTR_BASE, NOT_CANONICAL}}},
    {"guest CS: base bits 63:32 are not zero", good_long, {{ADD, VMCS_GUEST_CS_BASE, 1ull << 32}}},
    {"guest SS: base bits 63:32 are not zero", good_long, {{ADD, VMCS_GUEST_SS_BASE, 1ull << 32}}},
    {"guest DS: base bits 63:32 are not zero", good_real, {{ADD, VMCS_GUEST_DS_BASE, 1ull << 63}}},
    {"guest ES: base bits 63:32 are not zero", good_pae, {{ADD, VMCS_GUEST_ES_BASE, 1ull << 32}}},
    {FOR_ALL "the limit is not 0xffff in virtual-8086 mode", good_8086, {{SET, VMCS_GUEST_ES_LIMIT, 0xfffff}}},
    {FOR_ALL "the access rights are not 0xf3 in virtual-8086 mode", good_8086, {{SET, VMCS_GUEST_ES_ACCESS, 0x93}}},
    {FOR_ALL "the access rights are not 0xf3 in virtual-8086 mode", good_8086, {{ADD, VMCS_GUEST_ES_ACCESS, UNUSABLE}}},
    {"guest CS: the type is not accessed code", good_long, {{SET, VMCS_GUEST_CS_ACCESS, 0xa09a}}},
    {"guest CS: the type is not accessed code", good_long, {{SET, VMCS_GUEST_CS_ACCESS, 0xa093}}},
    {"guest CS: the type is not accessed code", good_real, {{SET, VMCS_GUEST_CS_ACCESS, 0x97}}},
    {"guest SS: the type is not accessed and writable data", good_long, {{SET, VMCS_GUEST_SS_ACCESS, 0xc09b}}},
    {"guest SS: the type is not accessed and writable data", good_long, {{SET, VMCS_GUEST_SS_ACCESS, 0xc091}}},
    {FOR_DATA "the type is not accessed", good_pae, {{SET, VMCS_GUEST_ES_ACCESS, 0xc0f2}}},
    {FOR_DATA "the type is code that cannot be read", good_pae, {{SET, VMCS_GUEST_ES_ACCESS, 0xc0f9}}},
    {FOR_ALL "S is clear", good_pae, {{CLEAR, VMCS_GUEST_ES_ACCESS, X86_SEG_ATTR_S}}},
    {"guest CS: the DPL of data is not zero",
     good_pae_unrestricted,
     {{SET, VMCS_GUEST_CS_ACCESS, 0xc0f3}, {SET, VMCS_GUEST_SS_ACCESS, 0xc093}}},
    {"guest CS: the DPL is not the SS DPL", good_long, {{SET, VMCS_GUEST_CS_ACCESS, 0xa0fb}}},
    {"guest CS: the DPL is not the SS DPL", good_long, {{SET, VMCS_GUEST_CS_ACCESS, 0xa0b9}}},
    {"guest CS: the DPL of conforming code is above the SS DPL", good_long, {{SET, VMCS_GUEST_CS_ACCESS, 0xa0bf}}},
    {"guest SS: the DPL is not the RPL",
     good_long,
     {{SET, VMCS_GUEST_SS_ACCESS, 0xc0f3}, {SET, VMCS_GUEST_CS_ACCESS, 0xa0fb}}},
    {"guest SS: the DPL is not the RPL",
     good_pae,
     {{SET, VMCS_GUEST_SS_ACCESS, UNUSABLE | X86_SEG_ATTR_DPL},
      {SET, VMCS_GUEST_SS_SELECTOR, 0x28},
      {SET, VMCS_GUEST_CS_SELECTOR, 0x20}}},
    {"guest SS: the DPL is not zero in real mode or beside data in CS",
     good_real,
     {{SET, VMCS_GUEST_CS_ACCESS, 0xfb}, {SET, VMCS_GUEST_SS_ACCESS, 0xf3}}},
    {"guest SS: the DPL is not zero in real mode or beside data in CS",
     unrestricted_protected,
     {{SET, VMCS_GUEST_CS_ACCESS, 0x93}, {SET, VMCS_GUEST_SS_ACCESS, 0xf3}}},
    {FOR_DATA "the DPL is below the RPL", good_pae, {{CLEAR, VMCS_GUEST_ES_ACCESS, 0x20}}},
    {FOR_ALL "not present", good_pae, {{CLEAR, VMCS_GUEST_ES_ACCESS, X86_SEG_ATTR_P}}},
    {FOR_ALL "access-rights bits 11:8 are not zero", good_pae, {{ADD, VMCS_GUEST_ES_ACCESS, 0x400}}},
    {"guest CS: L and D/B are both set", good_long, {{ADD, VMCS_GUEST_CS_ACCESS, X86_SEG_ATTR_DB}}},
    {FOR_ALL "G is set but the limit does not end a page", good_pae, {{SET, VMCS_GUEST_ES_LIMIT, 0xfffffffe}}},
    {FOR_ALL "G is clear but the limit is above 1 MiB", good_pae, {{CLEAR, VMCS_GUEST_ES_ACCESS, X86_SEG_ATTR_G}}},
    {FOR_ALL "access-rights bits 31:17 are not zero", good_pae, {{ADD, VMCS_GUEST_ES_ACCESS, 1u << 20}}},
    {"guest TR: the type is not a busy TSS", good_long, {{SET, VMCS_GUEST_TR_ACCESS, 0x89}}},
    {"guest TR: the type is not a busy TSS", good_long, {{SET, VMCS_GUEST_TR_ACCESS, 0x83}}},
    {"guest TR: the type is not a busy TSS", good_8086, {{SET, VMCS_GUEST_TR_ACCESS, 0x82}}},
    {"guest TR: S is set", good_long, {{ADD, VMCS_GUEST_TR_ACCESS, X86_SEG_ATTR_S}}},
    {"guest TR: not present", good_8086, {{CLEAR, VMCS_GUEST_TR_ACCESS, X86_SEG_ATTR_P}}},
    {"guest TR: access-rights bits 11:8 are not zero", good_long, {{ADD, VMCS_GUEST_TR_ACCESS, 0x100}}},
    {"guest TR: G is set but the limit does not end a page", good_long, {{ADD, VMCS_GUEST_TR_ACCESS, X86_SEG_ATTR_G}}},
    {"guest TR: G is clear but the limit is above 1 MiB", good_long, {{SET, VMCS_GUEST_TR_LIMIT, 0x100000}}},
    {"guest TR: unusable", good_long, {{ADD, VMCS_GUEST_TR_ACCESS, UNUSABLE}}},
    {"guest TR: access-rights bits 31:17 are not zero", good_long, {{ADD, VMCS_GUEST_TR_ACCESS, 1u << 17}}},
    {"guest LDTR: the type is not an LDT", good_pae, {{SET, VMCS_GUEST_LDTR_ACCESS, 0x83}}},
    {"guest LDTR: S is set", good_pae, {{ADD, VMCS_GUEST_LDTR_ACCESS, X86_SEG_ATTR_S}}},
    {"guest LDTR: not present", good_8086, {{CLEAR, VMCS_GUEST_LDTR_ACCESS, X86_SEG_ATTR_P}}},
    {"guest LDTR: access-rights bits 11:8 are not zero", good_pae, {{ADD, VMCS_GUEST_LDTR_ACCESS, 0x800}}},
    {"guest LDTR: G is set but the limit does not end a page",
     good_pae,
     {{ADD, VMCS_GUEST_LDTR_ACCESS, X86_SEG_ATTR_G}, {SET, VMCS_GUEST_LDTR_LIMIT, 0x7fe}}},
    {"guest LDTR: G is clear but the limit is above 1 MiB", good_pae, {{SET, VMCS_GUEST_LDTR_LIMIT, 0xfff00fff}}},
    {"guest LDTR: access-rights bits 31:17 are not zero", good_pae, {{ADD, VMCS_GUEST_LDTR_ACCESS, 1u << 31}}},

    {"guest GDTR: the base is not canonical", good_long, {{SET, VMCS_GUEST_GDTR_BASE, NOT_CANONICAL}}},
    {"guest IDTR: the base is not canonical", good_long, {{SET, VMCS_GUEST_IDTR_BASE, NOT_CANONICAL}}},
    {"guest GDTR: limit bits 31:16 are not zero", good_long, {{SET, VMCS_GUEST_GDTR_LIMIT, 0x10000}}},
    {"guest IDTR: limit bits 31:16 are not zero", good_long, {{SET, VMCS_GUEST_IDTR_LIMIT, 0x80000000}}},
    {"guest RIP: bits 63:32 are not zero outside 64-bit mode", good_pae, {{SET, VMCS_GUEST_RIP, 1ull << 32}}},
    {"guest RIP: bits 63:32 are not zero outside 64-bit mode", good_long, {{SET, VMCS_GUEST_CS_ACCESS, 0xc09b}}},
    {"guest RIP: wider than a linear address", good_long, {{SET, VMCS_GUEST_RIP, 1ull << 48}}},
    {"guest RIP: wider than a linear address", good_long, {{SET, VMCS_GUEST_RIP, 0xfffeffffffffffffull}}},
    {"guest RFLAGS: reserved bits", good_long, {{CLEAR, VMCS_GUEST_RFLAGS, X86_RFLAGS_FIXED}}},
    {"guest RFLAGS: reserved bits", good_long, {{ADD, VMCS_GUEST_RFLAGS, 1u << 22}}},
    {"guest RFLAGS: reserved bits", good_long, {{ADD, VMCS_GUEST_RFLAGS, 1u << 15}}},
    {"guest RFLAGS: VM is set in IA-32e mode",
     good_8086,
     {{ADD, VMCS_ENTRY_CONTROLS, VMX_ENTRY_GUEST_64}, {SET, VMCS_GUEST_EFER, EFER_LONG}}},
    {"guest RFLAGS: VM is set but CR0.PE is clear",
     good_8086,
     {{ADD, VMCS_CPU2_CONTROLS, VMX_CPU2_UNRESTRICTED}, {CLEAR, VMCS_GUEST_CR0, X86_CR0_PE | X86_CR0_PG}}},
    {"guest RFLAGS: IF is clear but an external interrupt is injected",
     good_real,
     {{SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_INTERRUPT, 0x20)}}},
    {"guest activity state: not supported", good_long, {{SET, VMCS_GUEST_ACTIVITY, 4}}},
    {"guest activity state: not supported", long_without_shutdown, {{SET, VMCS_GUEST_ACTIVITY, VMX_SHUTDOWN}}},
    {"guest activity state: halted but the SS DPL is not zero", good_pae, {{SET, VMCS_GUEST_ACTIVITY, VMX_HLT}}},
    {"guest activity state: not active while STI or MOV SS blocks",
     good_long,
     {{SET, VMCS_GUEST_ACTIVITY, VMX_HLT}, {SET, VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_STI}}},
    {"guest activity state: halted with an event that does not end it",
     good_long,
     {{SET, VMCS_GUEST_ACTIVITY, VMX_HLT}, {SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_EXCEPTION, X86_VECTOR_UD)}}},
    {"guest activity state: halted with an event that does not end it",
     good_long,
     {{SET, VMCS_GUEST_ACTIVITY, VMX_HLT},
      {SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_SOFTWARE, 1)},
      {SET, VMCS_ENTRY_INSN_LENGTH, 2}}},
    {"guest activity state: shut down with an event that does not end it",
     good_long,
     {{SET, VMCS_GUEST_ACTIVITY, VMX_SHUTDOWN}, {SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_INTERRUPT, 0x20)}}},
    {"guest activity state: waiting for SIPI with an event",
     good_long,
     {{SET, VMCS_GUEST_ACTIVITY, VMX_WAIT_FOR_SIPI}, {SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_NMI, 2)}}},
    {"guest interruptibility: reserved bits", good_long, {{SET, VMCS_GUEST_INTERRUPTIBILITY, 1u << 5}}},
    {"guest interruptibility: STI and MOV SS both block",
     good_long,
     {{SET, VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_STI | VMX_BLOCKED_MOV_SS}}},
    {"guest interruptibility: STI blocks but RFLAGS.IF is clear",
     good_real,
     {{SET, VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_STI}}},
    {"guest interruptibility: an external interrupt is injected while STI or MOV SS blocks",
     good_long,
     {{SET, VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_STI}, {SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_INTERRUPT, 0x20)}}},
    {"guest interruptibility: an external interrupt is injected while STI or MOV SS blocks",
     good_long,
     {{SET, VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_MOV_SS},
      {SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_INTERRUPT, 0x20)}}},
    {"guest interruptibility: an NMI is injected while MOV SS blocks",
     good_long,
     {{SET, VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_MOV_SS}, {SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_NMI, 2)}}},
    {"guest interruptibility: SMIs are blocked outside SMM",
     good_long,
     {{SET, VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_SMI}}},
    {"guest interruptibility: an NMI is injected while STI blocks",
     good_long,
     {{SET, VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_STI}, {SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_NMI, 2)}}},
    {"guest interruptibility: an NMI is injected while NMIs are blocked",
     good_long,
     {{SET, VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_NMI}, {SET, VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_NMI, 2)}}},
    {"guest interruptibility: MOV SS blocks in an enclave",
     good_long,
     {{SET, VMCS_GUEST_INTERRUPTIBILITY, VMX_IN_ENCLAVE | VMX_BLOCKED_MOV_SS}}},
    {"guest interruptibility: in an enclave, which the processor does not have",
     long_without_sgx,
     {{SET, VMCS_GUEST_INTERRUPTIBILITY, VMX_IN_ENCLAVE}}},
    {"guest pending debug exceptions: reserved bits", good_long, {{SET, VMCS_GUEST_PENDING_DEBUG, 1u << 4}}},
    {"guest pending debug exceptions: reserved bits", good_long, {{SET, VMCS_GUEST_PENDING_DEBUG, 1u << 13}}},
    {"guest pending debug exceptions: reserved bits", good_long, {{SET, VMCS_GUEST_PENDING_DEBUG, 1u << 15}}},
    {"guest pending debug exceptions: reserved bits", good_long, {{SET, VMCS_GUEST_PENDING_DEBUG, 1ull << 63}}},
    {"guest pending debug exceptions: BS is clear but a single step was held back",
     good_long,
     {{SET, VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_STI}, {ADD, VMCS_GUEST_RFLAGS, X86_RFLAGS_TF}}},
    {"guest pending debug exceptions: BS is clear but a single step was held back",
     good_long,
     {{SET, VMCS_GUEST_ACTIVITY, VMX_HLT}, {ADD, VMCS_GUEST_RFLAGS, X86_RFLAGS_TF}}},
    {"guest pending debug exceptions: BS is set but no single step was held back",
     good_long,
     {{SET, VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_MOV_SS}, {SET, VMCS_GUEST_PENDING_DEBUG, X86_DR6_BS}}},
    {"guest pending debug exceptions: BS is set but no single step was held back",
     good_long,
     {{SET, VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_STI},
      {SET, VMCS_GUEST_PENDING_DEBUG, X86_DR6_BS},
      {ADD, VMCS_GUEST_RFLAGS, X86_RFLAGS_TF},
      {SET, VMCS_GUEST_DEBUGCTL, X86_DEBUGCTL_BTF}}},
    {"guest pending debug exceptions: RTM goes with a breakpoint and nothing else",
     good_long,
     {{SET, VMCS_GUEST_PENDING_DEBUG, 1u << 16}}},
    {"guest pending debug exceptions: RTM goes with a breakpoint and nothing else",
     good_long,
     {{SET, VMCS_GUEST_PENDING_DEBUG, 1u << 16 | 1u << 12 | 1}}},
    {"guest pending debug exceptions: RTM is set, which the processor does not have",
     long_without_rtm,
     {{SET, VMCS_GUEST_PENDING_DEBUG, 1u << 16 | 1u << 12}}},
    {"guest pending debug exceptions: RTM is set while MOV SS blocks",
     good_long,
     {{SET, VMCS_GUEST_PENDING_DEBUG, 1u << 16 | 1u << 12}, {SET, VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_MOV_SS}}},
    {"VMCS link pointer: bits are clear", good_long, {{SET, VMCS_GUEST_LINK, 0xffffffff}}},
    {"guest PDPTE 0: reserved bits", good_pae, {{ADD, VMCS_GUEST_PDPTE0, 2}}},
    {"guest PDPTE 1: reserved bits", good_pae, {{ADD, VMCS_GUEST_PDPTE0 + 2, 0x100}}},
    {"guest PDPTE 2: reserved bits", good_pae, {{ADD, VMCS_GUEST_PDPTE0 + 4, TOO_WIDE}}},
    {"guest PDPTE 3: reserved bits", good_pae, {{ADD, VMCS_GUEST_PDPTE0 + 6, 1}}},
};

static void apply(const struct change *change, uint32_t offset)
{
    uint64_t *field = &fields[change->field + offset];

    switch (change->action) {
    case NOTHING:
        break;
    case SET:
        *field = change->value;
        break;
    case ADD:
        *field |= change->value;
        break;
    case CLEAR:
        *field &= ~change->value;
        break;
    }
}

static bool begins_with(const char *text, const char *words)
{
    return strncmp(text, words, strlen(words)) == 0;
}

/* Adds a provocation; a rule has all of its provocations in a row. */
static void add_broken(const struct provocation *how, uint32_t segment, const char *name, const char *words)
{
    struct broken *next = &broken[broken_count];

    assert_true(broken_count < BROKEN_MAX);
    next->how = how;
    next->field_offset = segment * VMCS_SEGMENT_STRIDE;
    (void)snprintf(next->text, sizeof(next->text), "%s%s", name, words);
    if (broken_count != 0) {
        bool is_new = strcmp(next[-1].text, next->text) != 0;

        next->rank = next[-1].rank + (is_new ? 1 : 0);
        for (size_t i = 0; is_new && i < broken_count; i++) {
            assert_string_not_equal(broken[i].text, next->text);
        }
    }
    broken_count++;
}

/* Adds those of one rule, or of one rule for each of several registers. */
static void add_provocations(const struct provocation *first, size_t count)
{
    static const struct {
        const char *name;
        uint32_t segment;
    } registers[] = {
        {"guest CS: ", X86_SEG_CS}, {"guest SS: ", X86_SEG_SS}, {"guest DS: ", X86_SEG_DS},
        {"guest ES: ", X86_SEG_ES}, {"guest FS: ", X86_SEG_FS}, {"guest GS: ", X86_SEG_GS},
    };
    const char *prefix = begins_with(first->text, FOR_ALL) ? FOR_ALL : FOR_DATA;

    if (!begins_with(first->text, prefix)) {
        for (size_t i = 0; i < count; i++) {
            add_broken(&first[i], 0, "", first->text);
        }
        return;
    }
    for (size_t i = begins_with(prefix, FOR_ALL) ? 0 : 2; i < ARRAY_SIZE(registers); i++) {
        for (size_t j = 0; j < count; j++) {
            add_broken(&first[j], registers[i].segment, registers[i].name, first->text + strlen(prefix));
        }
    }
}

static int list_broken(void **state)
{
    size_t count;

    (void)state;
    for (size_t first = 0; first < ARRAY_SIZE(provocations); first += count) {
        count = 1;
        while (first + count < ARRAY_SIZE(provocations) &&
               strcmp(provocations[first + count].text, provocations[first].text) == 0) {
            count++;
        }
        add_provocations(&provocations[first], count);
    }
    return 0;
}

static void apply_all(const struct broken *what)
{
    for (uint32_t i = 0; i < CHANGES_MAX; i++) {
        apply(&what->how->changes[i], what->field_offset);
    }
}

static const char *check(void)
{
    return vmcs_check(fake_read, &limits, apic_page);
}

static void test_good_states_pass(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good_states); i++) {
        good_states[i]();
        assert_null(check());
    }
}

static void test_each_rule_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < broken_count; i++) {
        uint64_t *access = &fields[VMCS_GUEST_ES_ACCESS + broken[i].field_offset];
        const char *text;

        broken[i].how->start();
        apply_all(&broken[i]);
        text = check();
        if (text == NULL) {
            fail_msg("no complaint, wanted: %s", broken[i].text);
        }
        assert_string_equal(text, broken[i].text);
        /* The registers that may be unusable are not looked at then, but for virtual-8086 mode. */
        if (strcmp(broken[i].how->text, text) != 0 && broken[i].how->start == good_pae &&
            !begins_with(text, "guest CS: ")) {
            *access |= UNUSABLE;
            assert_null(check());
        }
    }
}

/* The rule of this rank, or null. */
static const struct vmcs_rule *rule_of(size_t rank)
{
    for (uint32_t i = 0; i < VMCS_RULE_TABLE_COUNT; i++) {
        if (rank < vmcs_rule_tables[i]->count) {
            return &vmcs_rule_tables[i]->rules[rank];
        }
        rank -= vmcs_rule_tables[i]->count;
    }
    return NULL;
}

static void test_the_rules_are_in_the_manual_s_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < broken_count; i++) {
        const struct vmcs_rule *rule = rule_of(broken[i].rank);

        assert_non_null(rule);
        assert_string_equal(rule->text, broken[i].text);
    }
    /* A rule without a provocation is a gap in this test. */
    assert_null(rule_of(broken[broken_count - 1].rank + 1));
}

static const struct vmcs_rule *rule_named(const char *text)
{
    for (size_t rank = 0;; rank++) {
        if (strcmp(rule_of(rank)->text, text) == 0) {
            return rule_of(rank);
        }
    }
}

static size_t rank_of(const char *text)
{
    for (size_t i = 0;; i++) {
        if (strcmp(broken[i].text, text) == 0) {
            return broken[i].rank;
        }
    }
}

static bool is_broken(const struct broken *what)
{
    const struct vmcs_rule *rule = rule_named(what->text);
    struct vmcs_state judged;

    vmcs_read_state(&judged, fake_read, &limits, apic_page);
    judged.about = rule->about;
    return rule->is_broken(&judged);
}

/* True if one provocation on top of the other breaks both rules at once, and no third one before them. */
static bool is_first(const struct broken *earlier, const struct broken *later, const struct broken *upper)
{
    const struct broken *lower = upper == earlier ? later : earlier;

    lower->how->start();
    apply_all(lower);
    apply_all(upper);
    if (!is_broken(earlier) || !is_broken(later)) {
        return false; /* one provocation has undone the other */
    }
    assert_in_range(rank_of(check()), 0, earlier->rank);
    return rank_of(check()) == earlier->rank;
}

static void test_of_two_broken_rules_the_earlier_is_named(void **state)
{
    size_t count = 0;

    (void)state;
    for (size_t i = 0; i < broken_count; i++) {
        for (size_t j = i + 1; j < broken_count; j++) {
            if (broken[i].rank != broken[j].rank) {
                count += is_first(&broken[i], &broken[j], &broken[i]) ? 1 : 0;
                count += is_first(&broken[i], &broken[j], &broken[j]) ? 1 : 0;
            }
        }
    }
    assert_true(count > broken_count * broken_count / 2);
}

/* What is not used or does not exist is not looked at: fake_read() fails the test otherwise. */
static void test_a_plain_processor(void **state)
{
    (void)state;
    good_long();
    limits.pin.may = PIN_DEFAULT | VMX_PIN_INTERRUPT | VMX_PIN_NMI;
    limits.cpu.may = CPU_DEFAULT | VMX_CPU_HLT;
    limits.exit.may = EXIT_DEFAULT | VMX_EXIT_HOST_64;
    limits.entry.may = ENTRY_DEFAULT | VMX_ENTRY_GUEST_64;
    fields[VMCS_PIN_CONTROLS] = PIN_DEFAULT;
    fields[VMCS_CPU_CONTROLS] = CPU_DEFAULT;
    fields[VMCS_EXIT_CONTROLS] = EXIT_DEFAULT | VMX_EXIT_HOST_64;
    fields[VMCS_ENTRY_CONTROLS] = ENTRY_DEFAULT | VMX_ENTRY_GUEST_64;
    fields[VMCS_IO_BITMAP_A] = 1;
    fields[VMCS_EXIT_MSR_STORE] = 1;
    fields[VMCS_GUEST_DR7] = UINT64_MAX;
    fields[VMCS_GUEST_DEBUGCTL] = UINT64_MAX & ~X86_DEBUGCTL_BTF;
    assert_null(check());
    /* The PDPTEs are in memory then. */
    fields[VMCS_ENTRY_CONTROLS] = ENTRY_DEFAULT;
    fields[VMCS_GUEST_RIP] = 0x1000;
    assert_null(check());
}

static bool passes(enum vmcs_field field, uint64_t value)
{
    uint64_t old = fields[field];
    const char *text;

    fields[field] = value;
    text = check();
    fields[field] = old;
    return text == NULL;
}

static void test_what_is_allowed(void **state)
{
    (void)state;
    good_long();
    assert_true(passes(VMCS_CR3_TARGET_COUNT, 4));
    assert_true(passes(VMCS_TPR_THRESHOLD, 4));
    assert_true(passes(VMCS_GUEST_CR0, CR0_LONG | X86_CR0_CD | X86_CR0_NW));
    assert_true(passes(VMCS_GUEST_CR4, CR4_LONG | X86_CR4_PCIDE));
    assert_true(passes(VMCS_GUEST_CS_ACCESS, 0xa09f));
    assert_true(passes(VMCS_GUEST_RIP, NOT_CANONICAL)); /* one bit more is allowed than for others */
    assert_true(passes(VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_STI));
    assert_true(passes(VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_NMI));
    assert_true(passes(VMCS_GUEST_PENDING_DEBUG, 1u << 16 | 1u << 12));
    assert_true(passes(VMCS_GUEST_PENDING_DEBUG, X86_DR6_BS | 0xf));
    assert_true(passes(VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_OTHER, 0)));
    assert_true(passes(VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_INTERRUPT, 255)));
    assert_true(passes(VMCS_ENTRY_EVENT, EVENT(1, 0) & ~VMX_EVENT_VALID));
    fields[VMCS_ENTRY_EVENT_ERROR] = 0xffff;
    assert_true(passes(VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_EXCEPTION, X86_VECTOR_PF) | VMX_EVENT_ERROR_VALID));

    /* Events that end a halt, and a shutdown. */
    fields[VMCS_GUEST_ACTIVITY] = VMX_HLT;
    assert_true(passes(VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_INTERRUPT, 0x20)));
    assert_true(passes(VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_NMI, 2)));
    assert_true(passes(VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_EXCEPTION, X86_VECTOR_DB)));
    assert_true(passes(VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_EXCEPTION, X86_VECTOR_MC)));
    assert_true(passes(VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_OTHER, 0)));
    fields[VMCS_GUEST_ACTIVITY] = VMX_SHUTDOWN;
    assert_true(passes(VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_NMI, 2)));
    assert_true(passes(VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_EXCEPTION, X86_VECTOR_MC)));

    /* Without virtual NMIs nothing says that one is being handled. */
    good_long();
    fields[VMCS_PIN_CONTROLS] &= ~(uint64_t)VMX_PIN_VIRTUAL_NMI;
    fields[VMCS_GUEST_INTERRUPTIBILITY] = VMX_BLOCKED_NMI;
    assert_true(passes(VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_NMI, 2)));

    /* An MSR area may end where memory does; one without entries may be anywhere. */
    good_long();
    assert_true(passes(VMCS_ENTRY_MSR_LOAD, 1));
    fields[VMCS_ENTRY_MSR_LOAD_COUNT] = 1;
    assert_true(passes(VMCS_ENTRY_MSR_LOAD, TOO_WIDE - 16));

    /* With these the processor does not compare it with the task priority. */
    long_with_apic();
    assert_true(passes(VMCS_TPR_THRESHOLD, UINT32_MAX));
    good_long();
    fields[VMCS_CPU2_CONTROLS] |= VMX_CPU2_APIC_ACCESS;
    assert_true(passes(VMCS_TPR_THRESHOLD, 15));

    long_flags_supported();
    assert_true(passes(VMCS_EPT_POINTER, 0x1000 | VMX_EPTP_LEVELS_4 | VMX_EPTP_UC | VMX_EPTP_ACCESSED));
}

static void test_what_the_processor_adds(void **state)
{
    (void)state;
    good_long();
    fields[VMCS_ENTRY_INSN_LENGTH] = 0;
    assert_false(passes(VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_SOFTWARE, 0x80)));
    limits.misc |= VMX_MISC_ZERO_LENGTH;
    assert_true(passes(VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_SOFTWARE, 0x80)));

    limits.basic = VMX_BASIC_ANY_ERROR;
    assert_true(passes(VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_EXCEPTION, X86_VECTOR_CP) | VMX_EVENT_ERROR_VALID));
    assert_true(passes(VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_EXCEPTION, X86_VECTOR_GP)));
    assert_false(passes(VMCS_ENTRY_EVENT, EVENT(VMX_EVENT_INTERRUPT, 0x20) | VMX_EVENT_ERROR_VALID));

    /* With five levels addresses are wider, but only a host in that mode may run there. */
    limits.cr4_may |= X86_CR4_LA57;
    assert_true(passes(VMCS_HOST_GS_BASE, NOT_CANONICAL));
    assert_false(passes(VMCS_HOST_GS_BASE, 1ull << 56));
    assert_false(passes(VMCS_HOST_RIP, NOT_CANONICAL));
    fields[VMCS_HOST_CR4] |= X86_CR4_LA57;
    assert_true(passes(VMCS_HOST_RIP, NOT_CANONICAL));
}

/* Real mode and protected mode without paging have more freedom when unrestricted. */
static void test_unrestricted_segments(void **state)
{
    (void)state;
    unrestricted_protected();
    assert_true(passes(VMCS_GUEST_CS_ACCESS, 0x93));
    assert_true(passes(VMCS_GUEST_SS_SELECTOR, 3));
    good_pae_unrestricted();
    assert_true(passes(VMCS_GUEST_DS_ACCESS, 0xc093)); /* DPL 0 under RPL 3 */
    assert_true(passes(VMCS_GUEST_TR_ACCESS, 0x83));
    good_pae();
    assert_false(passes(VMCS_GUEST_DS_ACCESS, 0xc093));
    assert_true(passes(VMCS_GUEST_DS_ACCESS, 0xc09f)); /* conforming code */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_states_pass),
        cmocka_unit_test(test_each_rule_alone),
        cmocka_unit_test(test_the_rules_are_in_the_manual_s_order),
        cmocka_unit_test(test_of_two_broken_rules_the_earlier_is_named),
        cmocka_unit_test(test_a_plain_processor),
        cmocka_unit_test(test_what_is_allowed),
        cmocka_unit_test(test_what_the_processor_adds),
        cmocka_unit_test(test_unrestricted_segments),
    };

    return cmocka_run_group_tests(tests, list_broken, NULL);
}
