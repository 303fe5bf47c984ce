/* SPDX-License-Identifier: MIT */
/*
 * Exits of a child from the backend's record to what comes of them: registers changed, an exception, or an intercept
 * message; with any registers, code, page tables and intercepts. The VP runs in the root's dispatches.
 *
 * Holds after each exit: an instruction is complete or RIP has not moved, a message is of the kind that the exit can
 * have, carries the VP's own RIP, RFLAGS and registers and instruction bytes that lie at CS:RIP, everything behind its
 * payload is zero, and no lock is held.
 */
#include <string.h>

#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_msr.h"
#include "hv/lib/compiler.h"
#include "hv/mem/mem.h"
#include "hv/partition/connection.h"
#include "hv/partition/gpa_access.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/hostile_page.h"
#include "tests/sim/sim.h"

#define CHILD_PAGES      100u
#define CHILD_RAM_PAGES  16u
#define EXITS_MAX        24u
#define EXCEPTION_FIRST  12u /* #SS, #GP, #PF, and one that does not exist */
#define CODE_GPA         0x1000ull
#define TABLE_GPA        0x2000ull
#define UNTOUCHABLE_PAGE 0x20u /* mapped without access */
#define APIC_GPA         0xfee00000ull
#define DOORBELL_GPA     0xd0000000ull
#define DOORBELL_SINT    5u
#define ROOT_PAGES       10u /* for the root's port */

/* What an exit left in the VP before it was handled, and the record. */
struct exit_case {
    struct fuzz_input *input;
    uint32_t kind;
    uint8_t length;
    struct vp_regs before;
    struct exit_memory memory;
    struct exit_io io;
    bool is_done;
};

static uint64_t child;

static const uint64_t addresses[] = {
    CODE_GPA,        TABLE_GPA,         0xfff8,       (uint64_t)UNTOUCHABLE_PAGE << PAGE_SHIFT,
    APIC_GPA + 0x80, APIC_GPA + 0x380,  DOORBELL_GPA, UINT64_C(0x800000000000),
    UINT64_MAX - 7,  UINT64_C(1) << 48,
};

static uint64_t pick_address(struct fuzz_input *input)
{
    return addresses[fuzz_below(input, ARRAY_SIZE(addresses))] + fuzz_u8(input);
}

static void set_register(struct vp *vp, uint32_t name, uint64_t value)
{
    union hv_register_value full = {.reg64 = value};

    FUZZ_CHECK(backend->set_register(vp, name, &full) == HV_STATUS_SUCCESS);
}

static void set_segment(struct vp *vp, uint32_t name, uint64_t base, uint16_t attributes)
{
    union hv_register_value full = {
        .segment = {.base = base, .limit = UINT32_MAX, .attributes = attributes},
    };

    FUZZ_CHECK(backend->set_register(vp, name, &full) == HV_STATUS_SUCCESS);
}

/* 16-bit to 64-bit code at CODE_GPA, at any privilege, with or without the page tables at TABLE_GPA. */
static void set_mode(struct vp *vp, struct fuzz_input *input)
{
    static const uint16_t code[] = {0x009b, 0x409b, 0x209b};
    uint32_t bits = fuzz_below(input, ARRAY_SIZE(code));
    uint8_t mode = fuzz_u8(input);
    uint16_t dpl = (uint16_t)((mode & 3) << 5);

    set_segment(vp, HvX64RegisterCs, bits == 2 ? 0 : (mode & 0x10u) << 4, code[bits] | dpl);
    set_segment(vp, HvX64RegisterSs, 0, 0x4093 | dpl);
    set_segment(vp, HvX64RegisterDs, 0, 0x4093 | dpl);
    set_segment(vp, HvX64RegisterEs, 0, 0x4093 | dpl);
    set_register(vp, HvX64RegisterCr0, (mode & 4 ? X86_CR0_PG : 0) | (mode & 8 ? 0 : X86_CR0_PE));
    set_register(vp, HvX64RegisterCr3, TABLE_GPA);
    set_register(vp, HvX64RegisterCr4, (mode & 0x20 ? X86_CR4_PAE : 0) | (mode & 0x40 ? X86_CR4_PSE : 0));
    set_register(vp, HvX64RegisterEfer, bits == 2 ? X86_EFER_LME | X86_EFER_LMA : 0);
}

static void set_registers(struct vp *vp, struct fuzz_input *input)
{
    uint8_t page[64];

    set_mode(vp, input);
    vp_read_state(vp, VP_UNREAD_RSP | VP_UNREAD_BLOCKING); /* else it would be, over what is set here */
    for (uint32_t i = 0; i < ARRAY_SIZE(vp->regs.gpr); i++) {
        vp->regs.gpr[i] = fuzz_below(input, 2) == 0 ? fuzz_u8(input) : pick_address(input);
    }
    vp->regs.rip = CODE_GPA + fuzz_below(input, 4) * 0x3ffu;
    vp->regs.rflags = 2 | (fuzz_u8(input) & 1 ? X86_RFLAGS_IF | X86_RFLAGS_RF : 0);
    vp->interrupt_shadow = fuzz_below(input, 4) == 0;
    vp->pending_interruption = 0;
    vp->activity = VP_ACTIVE;
    fuzz_fill(input, page, 16);
    (void)!gpa_write(vp->partition, gpa(vp->regs.rip), page, 16);
    fuzz_fill(input, page, sizeof(page));
    (void)!gpa_write(vp->partition, gpa(TABLE_GPA), page, sizeof(page));
}

/* MSRs that some rule knows, and some that none does. */
static uint32_t pick_msr(struct fuzz_input *input)
{
    static const uint32_t first[] = {0x10,       0x174,      0x1b,       0x200,      0x250,      0x277,      0x2ff,
                                     0x800,      0x820,      0x830,      0x40000000, 0x40000020, 0x40000070, 0x40000080,
                                     0x400000b0, 0x40000100, 0x40000110, 0xc0000080, 0xc0010000};

    return fuzz_below(input, 8) == 0 ? fuzz_u32(input)
                                     : first[fuzz_below(input, ARRAY_SIZE(first))] + fuzz_below(input, 16);
}

static void make_records(struct exit_case *exit)
{
    static const uint8_t sizes[] = {1, 2, 4};
    struct fuzz_input *input = exit->input;
    uint8_t flags = fuzz_u8(input);

    exit->io = (struct exit_io){
        .port = fuzz_u16(input),
        .size = sizes[fuzz_below(input, ARRAY_SIZE(sizes))],
        .is_in = (flags & 1) != 0,
        .is_string = (flags & 2) != 0,
        .has_rep = (flags & 4) != 0,
        .insn_length = exit->length,
    };
    exit->memory = (struct exit_memory){
        .gpa = gpa(pick_address(input) & ((UINT64_C(1) << 52) - 1)),
        .gva = pick_address(input),
        .gva_valid = (flags & 8) != 0,
        .is_write = (flags & 0x10) != 0,
        .is_execute = (flags & 0x30) == 0x20,
        .in_page_walk = (flags & 0x40) != 0,
        .byte_count = (flags & 0x80) != 0 ? (uint8_t)fuzz_below(input, HV_X64_MAX_INSTRUCTION_BYTES + 1) : 0,
    };
    fuzz_fill(input, exit->memory.bytes, exit->memory.byte_count);
}

static enum exit_action perform(struct vp *vp, struct exit_case *exit)
{
    struct fuzz_input *input = exit->input;

    switch (exit->kind) {
    case 0:
        return exit_cpuid(vp, exit->length);
    case 1:
        vp->regs.gpr[VP_RCX] = pick_msr(input);
        return exit_rdmsr(vp, exit->length);
    case 2:
        vp->regs.gpr[VP_RCX] = pick_msr(input);
        return exit_wrmsr(vp, exit->length);
    case 3:
        return exit_halt(vp, exit->length);
    case 4:
        return exit_xsetbv(vp, exit->length);
    case 5:
        return exit_pause(vp, exit->length);
    case 6:
        return exit_cache_flush(vp, exit->length);
    case 7:
    case 8:
        return exit_undefined(vp);
    case 9:
        return exit_io(vp, &exit->io);
    case 10:
    case 11:
        return exit_memory(vp, &exit->memory);
    case 12:
        return exit_exception(vp, (uint8_t)(EXCEPTION_FIRST + fuzz_below(input, 4)), fuzz_below(input, 2) != 0,
                              fuzz_u16(input), fuzz_u64(input));
    case 13:
        return fuzz_below(input, 2) == 0 ? exit_shutdown(vp) : exit_interrupt(vp);
    case 14:
        return exit_unexpected(vp, fuzz_u64(input), "fuzzed");
    default:
        vp->regs.gpr[VP_RCX] = fuzz_u64(input);
        return exit_hypercall(vp, exit->length);
    }
}

static const struct hv_message *message_of(const struct vp *vp)
{
    return vp->intercept_page;
}

static bool is_header_of(const struct vp *vp, const struct exit_case *exit, const void *payload)
{
    const struct hv_x64_intercept_message_header *header = payload;

    return header->vp_index == vp->index && header->rip == exit->before.rip && header->rflags == exit->before.rflags &&
           header->intercept_access_type <= HV_INTERCEPT_ACCESS_EXECUTE;
}

/* Bytes in a message are those that the processor gave, or those at CS:RIP. */
static void check_bytes(struct vp *vp, const struct exit_memory *given, const uint8_t *bytes, uint32_t count)
{
    uint8_t fetched[HV_X64_MAX_INSTRUCTION_BYTES];

    FUZZ_CHECK(count <= HV_X64_MAX_INSTRUCTION_BYTES);
    if (given != NULL && given->byte_count != 0) {
        FUZZ_CHECK(count == given->byte_count && memcmp(bytes, given->bytes, count) == 0);
        return;
    }
    FUZZ_CHECK(count == vp_fetch_instruction(vp, fetched, 15) && memcmp(bytes, fetched, count) == 0);
    for (uint32_t i = count; i < HV_X64_MAX_INSTRUCTION_BYTES; i++) {
        FUZZ_CHECK(bytes[i] == 0);
    }
}

static void check_port_message(struct vp *vp, const struct exit_case *exit)
{
    const struct hv_x64_io_port_intercept_message *port = (const void *)message_of(vp)->payload;

    FUZZ_CHECK(exit->kind == 9 && message_of(vp)->header.payload_size_bytes == sizeof(*port));
    FUZZ_CHECK(port->port_number == exit->io.port && port->rax == exit->before.gpr[VP_RAX]);
    FUZZ_CHECK((port->access_info & HV_X64_IO_PORT_ACCESS_SIZE_MASK) == exit->io.size);
    FUZZ_CHECK(((port->access_info & HV_X64_IO_PORT_STRING_OP) != 0) == exit->io.is_string);
    FUZZ_CHECK(port->rcx == exit->before.gpr[VP_RCX] && port->rsi == exit->before.gpr[VP_RSI] &&
               port->rdi == exit->before.gpr[VP_RDI]);
    if (exit->io.is_string) {
        check_bytes(vp, NULL, port->instruction_bytes, port->instruction_byte_count);
    } else {
        FUZZ_CHECK(port->instruction_byte_count == 0);
    }
}

static void check_memory_message(struct vp *vp, const struct exit_case *exit)
{
    const struct hv_x64_memory_intercept_message *memory = (const void *)message_of(vp)->payload;

    FUZZ_CHECK(message_of(vp)->header.payload_size_bytes == sizeof(*memory));
    if (exit->kind != 10 && exit->kind != 11) {
        FUZZ_CHECK(exit->kind == 15); /* the parameters of a hypercall */
        return;
    }
    FUZZ_CHECK(memory->guest_physical_address == exit->memory.gpa.value);
    FUZZ_CHECK(memory->guest_virtual_address == (exit->memory.gva_valid ? exit->memory.gva : 0));
    if (exit->memory.is_execute) {
        FUZZ_CHECK(memory->instruction_byte_count == 0);
    } else {
        check_bytes(vp, &exit->memory, memory->instruction_bytes, memory->instruction_byte_count);
    }
}

static void check_message(struct vp *vp, const struct exit_case *exit)
{
    const struct hv_message *message = message_of(vp);
    const struct hv_x64_exception_intercept_message *exception = (const void *)message->payload;
    const struct hv_x64_msr_intercept_message *msr = (const void *)message->payload;

    FUZZ_CHECK(message->header.sender == child);
    FUZZ_CHECK(message->header.message_type == HvMessageTypeX64ApicEoi || is_header_of(vp, exit, message->payload));
    switch (message->header.message_type) {
    case HvMessageTypeX64IoPortIntercept:
        check_port_message(vp, exit);
        break;
    case HvMessageTypeUnmappedGpa:
    case HvMessageTypeGpaIntercept:
        check_memory_message(vp, exit);
        break;
    case HvMessageTypeX64CpuidIntercept:
        FUZZ_CHECK(exit->kind == 0);
        break;
    case HvMessageTypeX64MsrIntercept:
        FUZZ_CHECK(exit->kind == 1 || exit->kind == 2);
        FUZZ_CHECK(msr->msr_number == (uint32_t)vp->regs.gpr[VP_RCX]);
        break;
    case HvMessageTypeX64ExceptionIntercept:
        FUZZ_CHECK(exit->kind == 12);
        FUZZ_CHECK(memcmp(exception->gp_registers, exit->before.gpr, sizeof(exception->gp_registers)) == 0);
        check_bytes(vp, NULL, exception->instruction_bytes, exception->instruction_byte_count);
        break;
    case HvMessageTypeX64ApicEoi:
        FUZZ_CHECK(exit->kind == 2 || exit->kind == 10 || exit->kind == 11);
        break;
    default:
        FUZZ_CHECK(message->header.message_type == HvMessageTypeUnrecoverableException);
        break;
    }
    for (uint32_t i = message->header.payload_size_bytes; i < sizeof(message->payload); i++) {
        FUZZ_CHECK(((const uint8_t *)message->payload)[i] == 0);
    }
}

/* RIP has moved by one instruction, by the given length if there is one, and only while nothing is to be raised. */
static void check_rip(const struct vp *vp, const struct exit_case *exit)
{
    uint64_t moved = vp->regs.rip - exit->before.rip;

    if (moved != 0) {
        FUZZ_CHECK((uint32_t)moved <= X86_INSN_LENGTH_MAX);
        FUZZ_CHECK(exit->length == 0 || exit->kind > 6 || (uint32_t)moved == exit->length);
        FUZZ_CHECK(!vp->interrupt_shadow && (vp->regs.rflags & X86_RFLAGS_RF) == 0);
    }
}

static enum exit_action step(struct vp *vp, void *context)
{
    struct exit_case *exit = context;
    enum exit_action action;

    set_registers(vp, exit->input);
    exit->kind = fuzz_below(exit->input, 16);
    exit->length = (uint8_t)fuzz_below(exit->input, X86_INSN_LENGTH_MAX + 1);
    make_records(exit);
    memset(vp->intercept_page, 0, sizeof(*vp->intercept_page));
    exit->before = vp->regs;
    action = perform(vp, exit);
    FUZZ_CHECK(machine_locks_held() == 0);
    FUZZ_CHECK(action == EXIT_RESUME || action == EXIT_LEAVE);
    if (vp->is_intercept_suspended) {
        check_message(vp, exit);
    } else {
        FUZZ_CHECK(action == EXIT_RESUME || vp->run_status != VP_RUN_INTERCEPT);
        FUZZ_CHECK(message_of(vp)->header.message_type == HvMessageTypeNone);
    }
    check_rip(vp, exit);
    exit->is_done = true;
    return EXIT_LEAVE;
}

static void install_intercepts(struct fuzz_input *input)
{
    uint8_t which = fuzz_u8(input);
    struct hv_input_install_intercept all[] = {
        {child, HV_INTERCEPT_ACCESS_MASK_EXECUTE, HvInterceptTypeX64Cpuid, 0},
        {child, HV_INTERCEPT_ACCESS_MASK_READ | HV_INTERCEPT_ACCESS_MASK_WRITE, HvInterceptTypeX64Msr, 0},
        {child, HV_INTERCEPT_ACCESS_MASK_EXECUTE, HvInterceptTypeException, EXCEPTION_FIRST + fuzz_below(input, 4)},
    };

    for (uint32_t i = 0; i < ARRAY_SIZE(all); i++) {
        if ((which & 1u << i) != 0) {
            (void)sim_call(HvCallInstallIntercept, &all[i], sizeof(all[i]), NULL, 0);
        }
    }
}

/* The root waits for writes of any value and size. */
static void make_doorbell(void)
{
    struct hv_port_info port = {
        .port_type = HV_PORT_TYPE_DOORBELL, .target_sint = DOORBELL_SINT, .target_vp = HV_ANY_VP};
    struct hv_connection_info connection = {
        .port_type = HV_PORT_TYPE_DOORBELL,
        .gpa = DOORBELL_GPA,
        .doorbell_flags = HV_DOORBELL_FLAG_TRIGGER_ANY_VALUE,
    };
    struct vp *root = sim_root_vp(0);
    uint64_t ring;

    FUZZ_CHECK(synic_msr_read(root, HV_X64_MSR_SIRBP, &ring) && synic_msr_write(root, HV_X64_MSR_SIRBP, ring | 1));
    FUZZ_CHECK(synic_msr_write(root, HV_X64_MSR_SINT0 + DOORBELL_SINT, 0xf3));
    sim_deposit(HV_PARTITION_ID_SELF, ROOT_PAGES);
    FUZZ_CHECK(port_create(root_partition, 1, child, &port) == HV_STATUS_SUCCESS);
    FUZZ_CHECK(connection_connect(sim_partition(child), 1, root_partition, 1, &connection) == HV_STATUS_SUCCESS);
}

/* RAM from 0, a page without access, and the hypercall interface set up. */
static struct vp *make_child(struct fuzz_input *input)
{
    struct hv_input_map_gpa_pages hole = {
        .target_partition_id = child,
        .target_gpa_base = UNTOUCHABLE_PAGE,
        .map_flags = HV_MAP_GPA_NO_ACCESS,
    };
    uint64_t rep[4] = {0};
    struct vp *vp;

    child = sim_create_child(CHILD_PAGES);
    vp = sim_create_vp(child, 0);
    hole.target_partition_id = child;
    sim_map(child, 0, sim_pages(CHILD_RAM_PAGES, 1), CHILD_RAM_PAGES);
    memcpy(rep, &hole, sizeof(hole));
    rep[3] = sim_page();
    FUZZ_CHECK(sim_rep_call(HvCallMapGpaPages, 1, rep, sizeof(rep), NULL, 0) == hv_hypercall_result(0, 1));
    FUZZ_CHECK(msr_host_write(vp, HV_X64_MSR_GUEST_OS_ID, 1) == HV_STATUS_SUCCESS);
    FUZZ_CHECK(msr_host_write(vp, HV_X64_MSR_HYPERCALL, 0x5001) == HV_STATUS_SUCCESS);
    backend->vp_put(vp);
    make_doorbell();
    install_intercepts(input);
    return vp;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {.bytes = bytes, .left = size};
    struct exit_case exit = {.input = &input};
    struct vp *vp;

    sim_start(1);
    (void)sim_root_vp(0);
    vp = make_child(&input);
    for (uint32_t i = 0; i < EXITS_MAX && input.left != 0; i++) {
        vp_set_suspended(vp, &vp->is_explicitly_suspended, false);
        vp_set_suspended(vp, &vp->is_intercept_suspended, false);
        vp->activity = VP_ACTIVE;
        sim_script_clear(vp);
        sim_script_add(vp, step, &exit);
        (void)sim_dispatch(child, 0, 0);
        machine_advance_100ns(fuzz_u8(&input));
    }
    (void)sim_destroy_child(child);
    sim_stop();
    return 0;
}
