/* SPDX-License-Identifier: MIT */
/*
 * What firmware leaves behind in the registers of the first processor: long mode
 * for a 64-bit entry, flat protected mode for a 32-bit one.
 */
#include "partitions/root/worker/start.h"

#include "hv/abi/hv_register.h"
#include "hv/lib/bytes.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"
#include "partitions/root/worker/guest_memory.h"
#include "partitions/root/worker/layout.h"
#include "partitions/root/worker/loader/loader.h"
#include "vmbus/host.h"

/* Linux's boot protocol wants these two selectors. */
#define SELECTOR_CODE      0x10u
#define SELECTOR_DATA      0x18u
#define GDT_ENTRIES        4u
#define DESCRIPTOR_CODE_64 UINT64_C(0x00AF9B000000FFFF)
#define DESCRIPTOR_CODE_32 UINT64_C(0x00CF9B000000FFFF)
#define DESCRIPTOR_DATA    UINT64_C(0x00CF93000000FFFF)

/* Segment attributes: type, S, DPL, P in the low byte; L, D, G above. */
#define ATTRIBUTES_CODE_64  0xA09Bu
#define ATTRIBUTES_CODE_32  0xC09Bu
#define ATTRIBUTES_DATA     0xC093u
#define ATTRIBUTES_LDT      0x0082u
#define ATTRIBUTES_BUSY_TSS 0x008Bu
#define LIMIT_FLAT          0xFFFFFFFFu
#define LIMIT_TSS           0x67u

/* MTRR default type: enabled, write-back. */
#define MTRR_ENABLED_WRITE_BACK 0x806u

#define REGISTERS_MAX 24u

/* Registers that are collected for one call. */
struct register_list {
    uint32_t count;
    uint32_t names[REGISTERS_MAX];
    union hv_register_value values[REGISTERS_MAX];
};

static union hv_register_value *add_register(struct register_list *list, uint32_t name)
{
    uint32_t at = list->count++;

    list->names[at] = name;
    list->values[at].reg128 = (struct hv_u128){0, 0};
    return &list->values[at];
}

static void add_value(struct register_list *list, uint32_t name, uint64_t value)
{
    add_register(list, name)->reg64 = value;
}

static void add_segment(struct register_list *list, uint32_t name, uint16_t selector, uint32_t limit,
                        uint16_t attributes)
{
    add_register(list, name)->segment = (struct hv_x64_segment_register){
        .limit = limit,
        .selector = selector,
        .attributes = attributes,
    };
}

static void add_table(struct register_list *list, uint32_t name, uint64_t base, uint16_t limit)
{
    add_register(list, name)->table = (struct hv_x64_table_register){.base = base, .limit = limit};
}

static bool write_gdt(struct host_vm *host, bool is_64)
{
    uint8_t gdt[GDT_ENTRIES * 8] = {0};

    put_u64(gdt + SELECTOR_CODE, is_64 ? DESCRIPTOR_CODE_64 : DESCRIPTOR_CODE_32);
    put_u64(gdt + SELECTOR_DATA, DESCRIPTOR_DATA);
    return guest_memory_write(host, LAYOUT_GDT_GPA, gdt, sizeof(gdt));
}

static void collect_segments(struct register_list *list, bool is_64)
{
    static const uint32_t data_segments[] = {
        HvX64RegisterDs, HvX64RegisterEs, HvX64RegisterFs, HvX64RegisterGs, HvX64RegisterSs,
    };

    add_segment(list, HvX64RegisterCs, SELECTOR_CODE, LIMIT_FLAT, is_64 ? ATTRIBUTES_CODE_64 : ATTRIBUTES_CODE_32);
    for (uint32_t i = 0; i < ARRAY_SIZE(data_segments); i++) {
        add_segment(list, data_segments[i], SELECTOR_DATA, LIMIT_FLAT, ATTRIBUTES_DATA);
    }
    add_segment(list, HvX64RegisterLdtr, 0, 0, ATTRIBUTES_LDT);
    add_segment(list, HvX64RegisterTr, 0, LIMIT_TSS, ATTRIBUTES_BUSY_TSS);
    add_table(list, HvX64RegisterGdtr, LAYOUT_GDT_GPA, GDT_ENTRIES * 8 - 1);
    add_table(list, HvX64RegisterIdtr, 0, 0);
}

/* In an order in which each step is a state that a processor can be in. */
static void collect_control(struct register_list *list, bool is_64)
{
    if (is_64) {
        add_value(list, HvX64RegisterCr3, LAYOUT_PAGE_TABLES_GPA);
        add_value(list, HvX64RegisterCr4, X86_CR4_PAE);
        add_value(list, HvX64RegisterEfer, X86_EFER_LME | X86_EFER_LMA);
        add_value(list, HvX64RegisterCr0, X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | X86_CR0_PG);
    } else {
        add_value(list, HvX64RegisterCr3, 0);
        add_value(list, HvX64RegisterCr4, 0);
        add_value(list, HvX64RegisterEfer, 0);
        add_value(list, HvX64RegisterCr0, X86_CR0_PE | X86_CR0_ET);
    }
}

hv_status_t start_first_vp(struct host_vm *host, const struct loader_entry *entry, uint32_t *first_name)
{
    bool is_64 = entry->mode == LOADER_MODE_64;
    struct register_list list = {0};
    hv_status_t status;

    if (!write_gdt(host, is_64)) {
        return HV_STATUS_OPERATION_FAILED;
    }
    collect_control(&list, is_64);
    collect_segments(&list, is_64);
    *first_name = list.names[0];
    status = host_set_vp_registers(host, 0, list.names, list.values, list.count);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }

    list.count = 0;
    add_value(&list, HvX64RegisterRax, entry->rax);
    add_value(&list, HvX64RegisterRbx, entry->rbx);
    add_value(&list, HvX64RegisterRcx, 0);
    add_value(&list, HvX64RegisterRdx, 0);
    add_value(&list, HvX64RegisterRsi, entry->rsi);
    add_value(&list, HvX64RegisterRdi, 0);
    add_value(&list, HvX64RegisterRbp, 0);
    /* Below the descriptor table: nobody needs it, but a push would not destroy anything. */
    add_value(&list, HvX64RegisterRsp, LAYOUT_GDT_GPA);
    add_value(&list, HvX64RegisterRflags, X86_RFLAGS_FIXED);
    add_value(&list, HvX64RegisterRip, entry->rip);
    *first_name = list.names[0];
    return host_set_vp_registers(host, 0, list.names, list.values, list.count);
}

void start_enable_caches(struct host_vm *host, uint32_t vp_count)
{
    static const uint32_t name = HvX64RegisterMsrMtrrDefType;
    union hv_register_value value = {.reg128 = {0, 0}};

    value.reg64 = MTRR_ENABLED_WRITE_BACK;
    for (uint32_t i = 0; i < vp_count; i++) {
        /* A hypervisor without MTRRs for its partitions refuses: memory is cached then by the page tables alone. */
        if (host_set_vp_registers(host, i, &name, &value, 1) != HV_STATUS_SUCCESS) {
            return;
        }
    }
}
