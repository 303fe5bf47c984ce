/* SPDX-License-Identifier: MIT */
#include "tests/uc/uc_backend.h"

#include <string.h>

/* It brings the C library's pause(), whose name the machine has for the instruction. */
#define pause library_pause
#include <unicorn/unicorn.h>
#undef pause

#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"
#include "hv/lib/x86/x86_decode.h"
#include "hv/mem/mem.h"
#include "hv/partition/gpa_access.h"
#include "hv/time/time.h"
#include "tests/sim/sim_backend.h"

/*
 * The run loop over Unicorn. A hook in front of each instruction decodes it with hv/lib/x86 and ends the run where a
 * processor would exit; Unicorn itself has no hooks for most of these. Memory is mapped page by page when it is
 * touched, as the second-level tables say, and forgotten when they change. Events and exceptions are delivered here,
 * through the guest's IDT, since Unicorn does not do it.
 */

#define ENGINES_MAX 8
/* Instructions between two looks at pending events, and of a whole run until a physical interrupt is due. */
#define SLICE_INSNS 1000u
#define RUN_INSNS   10000u
#define NOWHERE     UINT64_MAX
#define GATE_BYTES  16u
#define GATE_TRAP   (UINT64_C(1) << 40) /* leaves IF alone */
#define GATE_P      (UINT64_C(1) << 47)
#define NO_VECTOR   UINT32_MAX

/** Unicorn for one VP. */
struct engine {
    struct vp *vp;
    uc_engine *unicorn;
    uint64_t insn_count;
    uint64_t slice_end;   /* in insn_count */
    uint64_t rip;         /* of the instruction that was to be executed last */
    struct x86_insn insn; /* that instruction, if is_intercepted */
    bool is_intercepted;  /* the run has ended in front of it */
    bool has_fault;       /* it touched what `fault` says, and the second-level tables do not allow it */
    struct exit_memory fault;
    uint32_t vector;       /* an exception or INT of it; NO_VECTOR */
    bool has_translations; /* of the generation vp->space_generation */
};

static struct engine engines[ENGINES_MAX];
static struct cpu_backend uc_backend;

static const int gprs[X86_GPR_COUNT] = {
    UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX, UC_X86_REG_RSP, UC_X86_REG_RBP,
    UC_X86_REG_RSI, UC_X86_REG_RDI, UC_X86_REG_R8,  UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11,
    UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15,
};

static void must(uc_err error)
{
    if (error != UC_ERR_OK) {
        panic("Unicorn: %s", uc_strerror(error));
    }
}

/* What a processor with virtualisation leaves to the hypervisor, and what Unicorn does not know. */
static bool is_intercept(const struct x86_insn *insn)
{
    switch ((unsigned)insn->op) {
    case X86_OP_CPUID:
    case X86_OP_RDMSR:
    case X86_OP_WRMSR:
    case X86_OP_RDTSC:
    case X86_OP_HLT:
    case X86_OP_VMMCALL:
    case X86_OP_VMCALL:
    case X86_OP_IN:
    case X86_OP_OUT:
    case X86_OP_INS:
    case X86_OP_OUTS:
    case X86_OP_XSETBV:
    case X86_OP_INVD:
    case X86_OP_WBINVD:
    case X86_OP_MOV_TO_CR:
    case X86_OP_MOV_FROM_CR:
        return true;
    default:
        return false;
    }
}

static void on_code(uc_engine *unicorn, uint64_t address, uint32_t size, void *context)
{
    struct engine *engine = context;
    uint8_t bytes[X86_INSN_LENGTH_MAX] = {0};

    (void)size; /* of what Unicorn does not know this is a guess */
    engine->rip = address;
    if (engine->insn_count == engine->slice_end) {
        uc_emu_stop(unicorn);
        return;
    }
    for (size_t count = sizeof(bytes); count > 0 && uc_mem_read(unicorn, address, bytes, count) != UC_ERR_OK; count--) {
    }
    engine->is_intercepted =
        x86_decode(&engine->insn, bytes, sizeof(bytes), X86_MODE_64) == X86_DECODE_OK && is_intercept(&engine->insn);
    engine->insn_count++;
    if (engine->is_intercepted) {
        uc_emu_stop(unicorn);
    }
}

static void on_exception(uc_engine *unicorn, uint32_t number, void *context)
{
    struct engine *engine = context;

    engine->vector = number;
    uc_emu_stop(unicorn);
}

static bool on_invalid(uc_engine *unicorn, void *context)
{
    struct engine *engine = context;

    engine->vector = X86_VECTOR_UD;
    uc_emu_stop(unicorn);
    return true;
}

/* Maps the page if the second-level tables allow the access; else it is the fault that ends the run. */
static bool on_memory(uc_engine *unicorn, uc_mem_type type, uint64_t address, int size, int64_t value, void *context)
{
    struct engine *engine = context;
    struct vp *vp = engine->vp;
    bool is_write = type == UC_MEM_WRITE_UNMAPPED || type == UC_MEM_WRITE_PROT;
    bool is_fetch = type == UC_MEM_FETCH_UNMAPPED || type == UC_MEM_FETCH_PROT;
    gpa_t page = gpa_page_base(gpa(address));
    struct gpa_mapping mapping = gpa_lookup(vp->space, page);
    uint32_t wanted = is_write ? GPA_WRITE : is_fetch ? GPA_EXECUTE : GPA_READ;

    (void)size, (void)value;
    if (mapping.state == GPA_MAPPED && (mapping.rights & wanted) != 0 && !apic_is_page(vp, page)) {
        uint32_t rights = ((mapping.rights & GPA_READ) != 0 ? UC_PROT_READ : 0) |
                          ((mapping.rights & GPA_WRITE) != 0 ? UC_PROT_WRITE : 0) |
                          ((mapping.rights & GPA_EXECUTE) != 0 ? UC_PROT_EXEC : 0);

        return uc_mem_map_ptr(unicorn, page.value, PAGE_SIZE, rights, mem_from_spa(mapping.address)) == UC_ERR_OK;
    }
    engine->has_fault = true;
    engine->fault = (struct exit_memory){
        .gpa = gpa(address), .gva = address, .gva_valid = true, .is_write = is_write, .is_execute = is_fetch};
    return false;
}

static void forget_translations(struct engine *engine)
{
    uc_mem_region *regions;
    uint32_t count;

    must(uc_mem_regions(engine->unicorn, &regions, &count));
    for (uint32_t index = 0; index < count; index++) {
        must(uc_mem_unmap(engine->unicorn, regions[index].begin, regions[index].end - regions[index].begin + 1));
    }
    uc_free(regions);
}

static struct engine *find_engine(const struct vp *vp)
{
    for (size_t index = 0; index < ENGINES_MAX; index++) {
        if (engines[index].vp == vp) {
            return &engines[index];
        }
    }
    return NULL;
}

static struct engine *get_engine(struct vp *vp)
{
    struct engine *engine = find_engine(vp);
    uc_hook hook;

    if (engine != NULL) {
        return engine;
    }
    engine = find_engine(NULL);
    ASSERT(engine != NULL);
    *engine = (struct engine){.vp = vp};
    must(uc_open(UC_ARCH_X86, UC_MODE_64, &engine->unicorn));
    must(uc_hook_add(engine->unicorn, &hook, UC_HOOK_CODE, (void *)on_code, engine, 1, 0));
    must(uc_hook_add(engine->unicorn, &hook, UC_HOOK_INTR, (void *)on_exception, engine, 1, 0));
    must(uc_hook_add(engine->unicorn, &hook, UC_HOOK_INSN_INVALID, (void *)on_invalid, engine, 1, 0));
    must(uc_hook_add(engine->unicorn, &hook, UC_HOOK_MEM_INVALID, (void *)on_memory, engine, 1, 0));
    return engine;
}

/* Delivers an event as the processor does in 64-bit mode from CPL 0 to CPL 0, without a stack of its own. */
static enum exit_action deliver(struct engine *engine, uint32_t vector, bool has_error, uint32_t error)
{
    struct vp *vp = engine->vp;
    uint64_t *rsp = &vp->regs.gpr[VP_RSP];
    uint64_t frame[6] = {error, vp->regs.rip, 0, vp->regs.rflags, *rsp, 0};
    size_t first = has_error ? 0 : 1;
    union hv_register_value cs = {0};
    union hv_register_value ss = {0};
    uint64_t gate[2];
    uc_x86_mmr idt;

    must(uc_reg_read(engine->unicorn, UC_X86_REG_IDTR, &idt));
    (void)backend->get_register(vp, HvX64RegisterCs, &cs);
    (void)backend->get_register(vp, HvX64RegisterSs, &ss);
    frame[2] = cs.segment.selector;
    frame[5] = ss.segment.selector;
    *rsp = (*rsp & ~UINT64_C(15)) - sizeof(frame[0]) * (ARRAY_SIZE(frame) - first);
    if ((vector + 1) * GATE_BYTES - 1 > idt.limit ||
        !gpa_read(vp->partition, gpa(idt.base + vector * GATE_BYTES), gate, sizeof(gate)) || (gate[0] & GATE_P) == 0 ||
        !gpa_write(vp->partition, gpa(*rsp), &frame[first], sizeof(frame[0]) * (ARRAY_SIZE(frame) - first))) {
        return exit_shutdown(vp);
    }
    vp->regs.rip = (gate[0] & 0xffff) | ((gate[0] >> 32) & 0xffff0000) | (gate[1] << 32);
    vp->regs.rflags &= ~(X86_RFLAGS_TF | X86_RFLAGS_RF | ((gate[0] & GATE_TRAP) != 0 ? 0 : X86_RFLAGS_IF));
    return EXIT_RESUME;
}

static void load_registers(const struct engine *engine)
{
    const struct vp *vp = engine->vp;

    for (size_t index = 0; index < X86_GPR_COUNT; index++) {
        must(uc_reg_write(engine->unicorn, gprs[index], &vp->regs.gpr[index]));
    }
    must(uc_reg_write(engine->unicorn, UC_X86_REG_RFLAGS, &vp->regs.rflags));
}

static void store_registers(const struct engine *engine)
{
    struct vp *vp = engine->vp;

    for (size_t index = 0; index < X86_GPR_COUNT; index++) {
        must(uc_reg_read(engine->unicorn, gprs[index], &vp->regs.gpr[index]));
    }
    must(uc_reg_read(engine->unicorn, UC_X86_REG_RFLAGS, &vp->regs.rflags));
    vp->regs.rip = engine->rip;
}

/* Control registers are the sim's, but for the task priority; paging stays off. */
static enum exit_action move_control(struct vp *vp, const struct x86_insn *insn)
{
    union hv_register_value value = {.reg64 = vp->regs.gpr[insn->rm]};
    hv_status_t status;

    if (insn->op == X86_OP_MOV_TO_CR && insn->reg == 8) {
        apic_set_tpr(vp, (uint8_t)(value.reg64 << 4));
        status = HV_STATUS_SUCCESS;
    } else if (insn->op == X86_OP_MOV_TO_CR) {
        status = backend->set_register(vp, HvX64RegisterCr0 + insn->reg, &value);
    } else if (insn->reg == 8) {
        value.reg64 = apic_tpr(vp) >> 4;
        status = HV_STATUS_SUCCESS;
    } else {
        status = backend->get_register(vp, HvX64RegisterCr0 + insn->reg, &value);
    }
    if (status != HV_STATUS_SUCCESS) {
        return exit_undefined(vp);
    }
    if (insn->op == X86_OP_MOV_FROM_CR) {
        vp->regs.gpr[insn->rm] = value.reg64;
    }
    vp_advance(vp, insn->length);
    return EXIT_RESUME;
}

static enum exit_action handle_io(struct vp *vp, const struct x86_insn *insn)
{
    bool is_immediate = insn->source == X86_OPERAND_IMM || insn->destination == X86_OPERAND_IMM;
    struct exit_io io = {
        .port = is_immediate ? (uint8_t)insn->immediate : (uint16_t)vp->regs.gpr[VP_RDX],
        .size = insn->operand_size,
        .is_in = insn->op == X86_OP_IN || insn->op == X86_OP_INS,
        .is_string = insn->op == X86_OP_INS || insn->op == X86_OP_OUTS,
        .has_rep = (insn->prefixes & (X86_PREFIX_REP | X86_PREFIX_REPNE)) != 0,
        .insn_length = insn->length,
    };

    return exit_io(vp, &io);
}

static enum exit_action handle_instruction(struct vp *vp, const struct x86_insn *insn)
{
    uint64_t tsc;

    switch ((unsigned)insn->op) {
    case X86_OP_CPUID:
        return exit_cpuid(vp, insn->length);
    case X86_OP_RDMSR:
        return exit_rdmsr(vp, insn->length);
    case X86_OP_WRMSR:
        return exit_wrmsr(vp, insn->length);
    case X86_OP_RDTSC:
        tsc = backend->guest_tsc(vp);
        vp->regs.gpr[VP_RAX] = (uint32_t)tsc;
        vp->regs.gpr[VP_RDX] = tsc >> 32;
        vp_advance(vp, insn->length);
        return EXIT_RESUME;
    case X86_OP_HLT:
        return exit_halt(vp, insn->length);
    case X86_OP_VMMCALL:
        return exit_hypercall(vp, insn->length);
    case X86_OP_XSETBV:
        return exit_xsetbv(vp, insn->length);
    case X86_OP_INVD:
    case X86_OP_WBINVD:
        return exit_cache_flush(vp, insn->length);
    case X86_OP_MOV_TO_CR:
    case X86_OP_MOV_FROM_CR:
        return move_control(vp, insn);
    case X86_OP_IN:
    case X86_OP_OUT:
    case X86_OP_INS:
    case X86_OP_OUTS:
        return handle_io(vp, insn);
    default:
        return exit_undefined(vp); /* VMCALL: of the other vendor */
    }
}

/* Runs the guest up to its next exit, or to the end of a slice. */
static enum exit_action run_slice(struct engine *engine, uint32_t limit)
{
    struct vp *vp = engine->vp;
    bool had_interrupts = (vp->regs.rflags & X86_RFLAGS_IF) != 0;
    uc_err error;

    load_registers(engine);
    engine->slice_end = engine->insn_count + limit;
    engine->rip = vp->regs.rip;
    engine->is_intercepted = false;
    engine->has_fault = false;
    engine->vector = NO_VECTOR;
    error = uc_emu_start(engine->unicorn, vp->regs.rip, NOWHERE, 0, 0);
    store_registers(engine);
    /* Seen only when the slice ends behind the STI. */
    vp->interrupt_shadow = engine->insn.op == X86_OP_STI && !had_interrupts && !engine->is_intercepted;
    vp->exit_count++;
    if (engine->has_fault) {
        return exit_memory(vp, &engine->fault);
    }
    if (engine->vector != NO_VECTOR) {
        /* Of INT and INT3 the instruction is over. */
        bool is_software = engine->insn.op == X86_OP_INT || engine->insn.op == X86_OP_INT3;
        bool has_error = engine->vector == X86_VECTOR_GP || engine->vector == X86_VECTOR_SS;

        vp->regs.rip += is_software ? engine->insn.length : 0;
        vp_inject_exception(vp, (uint8_t)engine->vector, has_error, 0);
        return EXIT_RESUME;
    }
    if (error != UC_ERR_OK) {
        return exit_unexpected(vp, error, uc_strerror(error));
    }
    return engine->is_intercepted ? handle_instruction(vp, &engine->insn) : EXIT_RESUME;
}

/* One entry: translations that are no longer so, the event, the guest's instructions. */
static enum exit_action enter(struct engine *engine, struct cpu *cpu)
{
    struct vp *vp = engine->vp;
    struct vp_event event = vp_next_event(vp);
    uint64_t wanted = atomic_load(&vp->flush_wanted);
    uint64_t generation;
    enum exit_action action = EXIT_RESUME;

    if (event.inject) {
        bool has_error = (event.interruption & HV_PENDING_INTERRUPTION_DELIVER_ERROR_CODE) != 0;

        action = deliver(engine, (uint8_t)(event.interruption >> HV_PENDING_INTERRUPTION_VECTOR_SHIFT), has_error,
                         (uint32_t)(event.interruption >> 32));
    }
    if (action != EXIT_RESUME) {
        return action;
    }
    atomic_store(&cpu->guest_space, vp->space);
    generation = atomic_load(&vp->space->generation);
    if (!engine->has_translations || vp->space_generation != generation || vp->flush_done != wanted) {
        forget_translations(engine);
        engine->has_translations = true;
        vp->space_generation = generation;
        vp->flush_done = wanted;
    }
    /* An interrupt that waits is looked for behind every instruction. */
    action = run_slice(engine, event.want_interrupt_window || event.want_nmi_window ? 1 : SLICE_INSNS);
    atomic_store(&cpu->guest_space, NULL);
    return action;
}

static enum vp_run_status uc_vp_run(struct vp *vp)
{
    struct engine *engine = get_engine(vp);
    struct cpu *cpu = cpu_this();
    void *outer = cpu->current_vp;
    uint64_t end = engine->insn_count + RUN_INSNS;
    enum exit_action action = EXIT_RESUME;

    cpu->current_vp = vp;
    while (action == EXIT_RESUME) {
        if (atomic_load(&vp->requests) != 0 && !vp_handle_requests(vp)) {
            break;
        }
        if (engine->insn_count >= end) {
            machine_take_kicks();
            vp->run_status = VP_RUN_INTERRUPT;
            break;
        }
        action = enter(engine, cpu);
    }
    cpu->current_vp = outer;
    return vp->run_status;
}

/* Unicorn's own: what closing it leaves behind. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libunicorn\n";
}

void uc_start(void)
{
    uc_backend = sim_backend;
    uc_backend.name = "Unicorn";
    uc_backend.vp_run = uc_vp_run;
    backend = &uc_backend;
}

void uc_stop(void)
{
    for (size_t index = 0; index < ENGINES_MAX; index++) {
        if (engines[index].vp != NULL) {
            uc_close(engines[index].unicorn);
        }
        engines[index] = (struct engine){0};
    }
}

uint64_t uc_insn_count(const struct vp *vp)
{
    const struct engine *engine = find_engine(vp);

    return engine == NULL ? 0 : engine->insn_count;
}

void uc_set_gdt(struct vp *vp, uint64_t base, uint32_t limit)
{
    uc_x86_mmr gdt = {.base = base, .limit = limit};

    must(uc_reg_write(get_engine(vp)->unicorn, UC_X86_REG_GDTR, &gdt));
}
