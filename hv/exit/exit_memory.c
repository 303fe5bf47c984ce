/* SPDX-License-Identifier: MIT */
/*
 * Second-level faults: the local APIC's page is emulated here; a missing right or a hole becomes an intercept for the
 * root; what the tables allow by now (another VP mapped it meanwhile) just runs again. The root's own touch of memory
 * that is not its own is a #GP there, never data.
 */
#include "hv/exit/exit.h"

#include "hv/debug/debug.h"
#include "hv/exit/insn.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_execute.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/connection.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/intercept.h"
#include "hv/partition/partition.h"
#include "hv/partition/vp.h"

#define APIC_REGISTER_BYTES     4u
#define APIC_REGISTER_ALIGNMENT 16u

/* Where an emulated instruction's memory accesses go: the APIC's page or guest RAM. */
struct apic_access {
    struct vp *vp;
    gpa_t page;
};

/* Registers are 32 bits wide at multiples of 16; other accesses are undefined on processors and read zero here. */
static bool is_register(uint64_t offset, size_t size)
{
    return size == APIC_REGISTER_BYTES && offset % APIC_REGISTER_ALIGNMENT == 0;
}

/* Translates a linear address; accesses that cross a page never reach a register, and guest RAM is contiguous only by
 * luck. */
static bool translate(struct apic_access *access, uint64_t linear, uint32_t kind, gpa_t *address,
                      struct x86_fault *fault)
{
    uint32_t error;

    if (vp_translate_gva(access->vp, gva(linear), kind, address, &error)) {
        return true;
    }
    *fault = (struct x86_fault){.vector = X86_VECTOR_PF, .has_error_code = true, .error_code = error, .cr2 = linear};
    return false;
}

static enum x86_access_status apic_page_read(void *context, uint64_t linear, unsigned size, void *data,
                                             struct x86_fault *fault)
{
    struct apic_access *access = context;
    gpa_t address;

    if (!translate(access, linear, GVA_READ, &address, fault)) {
        return X86_ACCESS_FAULT;
    }
    if ((address.value & ~PAGE_MASK) != access->page.value) {
        return gpa_read(access->vp->partition, address, data, size) ? X86_ACCESS_OK : X86_ACCESS_RETRY;
    }
    memset(data, 0, size);
    if (is_register(address.value & PAGE_MASK, size)) {
        uint32_t value = apic_read(access->vp, (uint32_t)(address.value & PAGE_MASK));

        memcpy(data, &value, sizeof(value));
    }
    return X86_ACCESS_OK;
}

static enum x86_access_status apic_page_write(void *context, uint64_t linear, unsigned size, const void *data,
                                              struct x86_fault *fault)
{
    struct apic_access *access = context;
    gpa_t address;

    if (!translate(access, linear, GVA_WRITE, &address, fault)) {
        return X86_ACCESS_FAULT;
    }
    if ((address.value & ~PAGE_MASK) != access->page.value) {
        return gpa_write(access->vp->partition, address, data, size) ? X86_ACCESS_OK : X86_ACCESS_RETRY;
    }
    if (is_register(address.value & PAGE_MASK, size)) {
        uint32_t value;

        memcpy(&value, data, sizeof(value));
        apic_write(access->vp, (uint32_t)(address.value & PAGE_MASK), value);
    }
    return X86_ACCESS_OK;
}

static const struct x86_memory_ops apic_page_ops = {
    .read = apic_page_read,
    .write = apic_page_write,
};

/* Decodes and executes the instruction at RIP against `ops`; the result is in the VP's registers or is a pending
 * exception. */
static enum x86_execute_status emulate(struct vp *vp, const struct x86_memory_ops *ops, void *context)
{
    uint8_t bytes[X86_INSN_LENGTH_MAX];
    size_t count = vp_fetch_instruction(vp, bytes, sizeof(bytes));
    struct x86_insn insn;
    struct x86_cpu cpu;
    struct x86_fault fault = {0};
    enum x86_execute_status status;

    switch (x86_decode(&insn, bytes, count, insn_mode(vp))) {
    case X86_DECODE_OK:
        break;
    case X86_DECODE_TRUNCATED:
        return X86_EXECUTE_AGAIN; /* it runs into a page that has gone: the guest finds out */
    case X86_DECODE_TOO_LONG:
        vp_inject_gp(vp);
        return X86_EXECUTE_FAULT;
    case X86_DECODE_INVALID:
        return X86_EXECUTE_UNSUPPORTED;
    }
    vp_get_x86_cpu(vp, &cpu);
    status = x86_execute(&cpu, &insn, ops, context, &fault);
    if (status == X86_EXECUTE_DONE || status == X86_EXECUTE_AGAIN) {
        memcpy(vp->regs.gpr, cpu.gpr, sizeof(vp->regs.gpr));
        vp->regs.rflags = cpu.rflags;
        vp->regs.rip = cpu.rip;
        vp_read_state(vp, VP_UNREAD_BLOCKING);
        vp->interrupt_shadow = false;
    } else if (status == X86_EXECUTE_FAULT && fault.vector == X86_VECTOR_PF) {
        vp_inject_page_fault(vp, fault.cr2, fault.error_code);
    } else if (status == X86_EXECUTE_FAULT) {
        vp_inject_exception(vp, fault.vector, fault.has_error_code, fault.error_code);
    }
    return status;
}

/* Emulates one instruction that touched the APIC's page. */
static enum exit_action emulate_apic(struct vp *vp, const struct exit_memory *memory)
{
    struct apic_access access = {.vp = vp, .page = gpa(memory->gpa.value & ~PAGE_MASK)};

    if (emulate(vp, &apic_page_ops, &access) == X86_EXECUTE_UNSUPPORTED) {
        log_guest_line("partition %lu VP %u: instruction at %lx cannot be emulated on the local APIC",
                       vp->partition->id, vp->index, vp->regs.rip);
        return exit_undefined(vp);
    }
    return EXIT_RESUME;
}

/* A write that may ring a doorbell. */
struct doorbell_access {
    struct vp *vp;
    gpa_t address; /* of the fault */
    bool rang;
};

/* Only plain stores ring; an instruction that reads what lies there is the root's to emulate. */
static enum x86_access_status doorbell_read(void *context, uint64_t linear, unsigned size, void *data,
                                            struct x86_fault *fault)
{
    (void)context, (void)linear, (void)size, (void)data, (void)fault;
    return X86_ACCESS_RETRY;
}

static enum x86_access_status doorbell_write(void *context, uint64_t linear, unsigned size, const void *data,
                                             struct x86_fault *fault)
{
    struct doorbell_access *access = context;
    uint64_t value = 0;

    (void)linear, (void)fault;
    memcpy(&value, data, size);
    access->rang = connection_doorbell(access->vp->partition, access->address, size, value);
    return access->rang ? X86_ACCESS_OK : X86_ACCESS_RETRY;
}

static const struct x86_memory_ops doorbell_ops = {
    .read = doorbell_read,
    .write = doorbell_write,
};

/*
 * True when the write was one that a doorbell port waits for: it is complete, and the root has been told. Or when it
 * faults by now.
 */
static bool ring_doorbell(struct vp *vp, const struct exit_memory *access)
{
    struct doorbell_access doorbell = {.vp = vp, .address = access->gpa};

    if (!access->is_write || !connection_has_doorbell(vp->partition, access->gpa)) {
        return false;
    }
    return emulate(vp, &doorbell_ops, &doorbell) == X86_EXECUTE_FAULT || doorbell.rang;
}

/* True when the tables allow the access by now. */
static bool is_allowed(const struct gpa_mapping *mapping, const struct exit_memory *access)
{
    uint32_t wanted = access->is_write ? GPA_WRITE : access->is_execute ? GPA_EXECUTE : GPA_READ;

    return mapping->state == GPA_MAPPED && (mapping->rights & wanted);
}

enum exit_action exit_memory(struct vp *vp, const struct exit_memory *access)
{
    struct gpa_mapping mapping;

    if (apic_is_page(vp, access->gpa)) {
        return emulate_apic(vp, access);
    }
    mapping = gpa_lookup(vp->space, access->gpa);
    if (is_allowed(&mapping, access)) {
        return EXIT_RESUME;
    }
    if (vp->is_root || overlay_covers(vp->partition, access->gpa)) {
        /* Not the root's memory, or a write to a read-only overlay (TLFS, Hypercall Interface: #GP). */
        log_guest_line("partition %lu VP %u: access to %lx at RIP %lx refused", vp->partition->id, vp->index,
                       access->gpa.value, vp->regs.rip);
        vp_inject_gp(vp);
        return EXIT_RESUME;
    }
    if (ring_doorbell(vp, access)) {
        return EXIT_RESUME;
    }
    intercept_memory(vp, access, mapping.state == GPA_UNMAPPED);
    vp->run_status = VP_RUN_INTERCEPT;
    return EXIT_LEAVE;
}
