/* SPDX-License-Identifier: MIT */
/* Registers of a child's VP for the worker: through the register page while that is valid (from an intercept to the
 * next dispatch), else by hypercall. What is written to the page is loaded by the next dispatch. */
#include "hv/abi/hv_hypercall.h"
#include "hv/abi/hv_partition.h"
#include "hv/abi/hv_register.h"
#include "hv/lib/compiler.h"
#include "hv/lib/str.h"
#include "partitions/root/kernel/hypercall.h"
#include "partitions/root/kernel/sched.h"
#include "partitions/root/kernel/vm.h"
#include "vmbus/host.h"

/* A register in the page: where, how wide, and what says that it was changed. */
struct slot {
    void *place; /* null: not in the page */
    size_t bytes;
    uint32_t dirty; /* HV_X64_REGISTER_CLASS_*; 0: read only */
};

static struct hv_vp_register_page *valid_page(const struct host_vm *host, uint32_t vp_index)
{
    struct hv_vp_register_page *page = vp_index < host->vp_count ? host->vps[vp_index].registers : NULL;

    return page != NULL && READ_ONCE(page->is_valid) ? page : NULL;
}

static struct slot find_slot(struct hv_vp_register_page *page, uint32_t name)
{
    if (name >= HvX64RegisterRax && name <= HvX64RegisterR15) {
        return (struct slot){&page->gp_registers[name - HvX64RegisterRax], 8, HV_X64_REGISTER_CLASS_GENERAL};
    }
    if (name >= HvX64RegisterEs && name <= HvX64RegisterGs) {
        return (struct slot){&page->segment_registers[name - HvX64RegisterEs], 16, HV_X64_REGISTER_CLASS_SEGMENT};
    }
    switch (name) {
    case HvX64RegisterRip:
        return (struct slot){&page->rip, 8, HV_X64_REGISTER_CLASS_IP};
    case HvX64RegisterRflags:
        return (struct slot){&page->rflags, 8, HV_X64_REGISTER_CLASS_FLAGS};
    case HvX64RegisterCr0:
        return (struct slot){&page->cr0, 8, 0};
    case HvX64RegisterCr3:
        return (struct slot){&page->cr3, 8, 0};
    case HvX64RegisterCr4:
        return (struct slot){&page->cr4, 8, 0};
    case HvX64RegisterEfer:
        return (struct slot){&page->efer, 8, 0};
    default:
        return (struct slot){NULL, 0, 0};
    }
}

static hv_status_t get_by_call(struct host_vm *host, uint32_t vp_index, const uint32_t *names,
                               union hv_register_value *values, uint32_t count)
{
    struct {
        struct hv_input_vp_registers header;
        uint32_t names[HOST_VP_REGISTERS_MAX];
    } input = {.header.partition_id = host->deposit.partition_id, .header.vp_index = vp_index};

    memcpy(input.names, names, count * sizeof(*names));
    return hypercall(&host->deposit, HvCallGetVpRegisters, &count, &input,
                     sizeof(input.header) + count * sizeof(*names), values, count * sizeof(*values));
}

hv_status_t host_get_vp_registers(struct host_vm *host, uint32_t vp_index, const uint32_t *names,
                                  union hv_register_value *values, uint32_t count)
{
    struct hv_vp_register_page *page = valid_page(host, vp_index);
    uint32_t found = 0;

    if (count == 0 || count > HOST_VP_REGISTERS_MAX) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    for (uint32_t i = 0; page != NULL && i < count; i++) {
        found += find_slot(page, names[i]).place != NULL ? 1 : 0;
    }
    if (found < count) {
        hv_status_t status = get_by_call(host, vp_index, names, values, count);

        if (status != HV_STATUS_SUCCESS) {
            return status;
        }
    }
    /* What the page holds is newer. */
    for (uint32_t i = 0; found != 0 && i < count; i++) {
        struct slot slot = find_slot(page, names[i]);

        if (slot.place != NULL) {
            values[i] = (union hv_register_value){0};
            memcpy(&values[i], slot.place, slot.bytes);
        }
    }
    return HV_STATUS_SUCCESS;
}

hv_status_t host_set_vp_registers(struct host_vm *host, uint32_t vp_index, const uint32_t *names,
                                  const union hv_register_value *values, uint32_t count)
{
    struct hv_vp_register_page *page = valid_page(host, vp_index);
    struct {
        struct hv_input_vp_registers header;
        struct hv_register_assoc elements[HOST_VP_REGISTERS_MAX];
    } input;
    uint32_t rest = 0;

    if (count == 0 || count > HOST_VP_REGISTERS_MAX) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct slot slot = page != NULL ? find_slot(page, names[i]) : (struct slot){NULL, 0, 0};

        if (slot.dirty != 0) {
            memcpy(slot.place, &values[i], slot.bytes);
            page->dirty |= slot.dirty;
        } else {
            input.elements[rest++] = (struct hv_register_assoc){.name = names[i], .value = values[i]};
        }
    }
    if (rest == 0) {
        return HV_STATUS_SUCCESS;
    }
    input.header = (struct hv_input_vp_registers){.partition_id = host->deposit.partition_id, .vp_index = vp_index};
    return hypercall(&host->deposit, HvCallSetVpRegisters, &rest, &input,
                     sizeof(input.header) + rest * sizeof(input.elements[0]), NULL, 0);
}
