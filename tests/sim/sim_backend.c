/* SPDX-License-Identifier: MIT */
#include "tests/sim/sim_backend.h"

#include <string.h>

#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/time/time.h"

/*
 * The backend table of the sim: registers in a list, second-level tables in a format of its own, guests that are
 * scripts.
 */

/* Entry format: present, rights in 3:1, accessed, dirty, leaf, no-access. */
#define ENTRY_PRESENT      0x001ull
#define ENTRY_RIGHTS_SHIFT 1
#define ENTRY_RIGHTS_MASK  0x01eull
#define ENTRY_ACCESSED     0x020ull
#define ENTRY_DIRTY        0x040ull
#define ENTRY_LEAF         0x080ull
#define ENTRY_NO_ACCESS    0x200ull
#define ENTRY_ADDRESS      0x000ffffffffff000ull

static uint64_t make_table(spa_t table)
{
    return table.value | ENTRY_PRESENT;
}

static uint64_t make_leaf(spa_t page, uint32_t rights, enum gpa_level level)
{
    (void)level;
    return page.value | ENTRY_PRESENT | ENTRY_LEAF | ((uint64_t)rights << ENTRY_RIGHTS_SHIFT);
}

static bool is_present(uint64_t entry)
{
    return (entry & ENTRY_PRESENT) != 0;
}

static bool is_leaf(uint64_t entry, enum gpa_level level)
{
    return level == GPA_LEVEL_4K || (entry & ENTRY_LEAF) != 0;
}

static spa_t entry_address(uint64_t entry)
{
    return spa(entry & ENTRY_ADDRESS);
}

static uint32_t entry_rights(uint64_t entry)
{
    return (uint32_t)((entry & ENTRY_RIGHTS_MASK) >> ENTRY_RIGHTS_SHIFT);
}

static struct gpa_format format = {
    .make_table = make_table,
    .make_leaf = make_leaf,
    .no_access_entry = ENTRY_NO_ACCESS,
    .is_present = is_present,
    .is_leaf = is_leaf,
    .address = entry_address,
    .rights = entry_rights,
    .accessed_bit = ENTRY_ACCESSED,
    .dirty_bit = ENTRY_DIRTY,
    .has_1g_pages = true,
};

#define STORED_MSR_RESET (1ull << 24)

static struct backend_features features = {.has_thread_count = true};

static struct msr_rules state_msrs;
static struct msr_rules child_msrs;
static struct msr_rules root_msrs;

void sim_set_msr_rules(const struct msr_rules *state, const struct msr_rules *child, const struct msr_rules *root)
{
    state_msrs = *state;
    child_msrs = *child;
    root_msrs = *root;
}

static enum backend_fit sim_probe(char *why, size_t size)
{
    (void)why;
    (void)size;
    return BACKEND_FITS;
}

static bool sim_init(void)
{
    return true;
}

static bool sim_enable_processor(void)
{
    return true;
}

static hv_status_t sim_vp_create(struct vp *vp)
{
    vp->backend = vp_page_alloc(vp);
    return vp->backend == NULL ? HV_STATUS_INSUFFICIENT_MEMORY : HV_STATUS_SUCCESS;
}

static void sim_vp_destroy(struct vp *vp)
{
    vp_page_free(vp, vp->backend);
    vp->backend = NULL;
}

/* The root's VPs never leave their processor, and tests make their calls from any. */
static void hold(struct vp *vp)
{
    struct cpu *holder = sim_of(vp)->held_by;

    ASSERT(vp->is_root || holder == NULL || holder == cpu_this());
    sim_of(vp)->held_by = cpu_this();
}

static void sim_vp_put(struct vp *vp)
{
    hold(vp);
    sim_of(vp)->held_by = NULL;
}

static bool is_backend_register(uint32_t name)
{
    switch (name) {
    case HvX64RegisterCr0:
    case HvX64RegisterCr2:
    case HvX64RegisterCr3:
    case HvX64RegisterCr4:
    case HvX64RegisterDr6:
    case HvX64RegisterDr7:
    case HvX64RegisterEfer:
    case HvX64RegisterKernelGsBase:
    case HvX64RegisterPat:
    case HvX64RegisterSysenterCs:
    case HvX64RegisterSysenterEip:
    case HvX64RegisterSysenterEsp:
    case HvX64RegisterStar:
    case HvX64RegisterLstar:
    case HvX64RegisterCstar:
    case HvX64RegisterSfmask:
    case HvX64RegisterTscAux:
    case HvX64RegisterDebugCtl:
    case HvX64RegisterTsc:
    case HvX64RegisterGdtr:
    case HvX64RegisterIdtr:
        return true;
    default:
        return name >= HvX64RegisterEs && name <= HvX64RegisterTr;
    }
}

static union hv_register_value *find_register(struct vp *vp, uint32_t name)
{
    struct sim_vp *own = sim_of(vp);

    hold(vp);
    for (uint32_t i = 0; i < own->register_count; i++) {
        if (own->names[i] == name) {
            return &own->values[i];
        }
    }
    if (own->register_count == SIM_REGISTER_MAX) {
        return NULL;
    }
    own->names[own->register_count] = name;
    return &own->values[own->register_count++];
}

static hv_status_t sim_get_register(struct vp *vp, uint32_t name, union hv_register_value *value)
{
    if (!is_backend_register(name)) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    *value = *find_register(vp, name);
    return HV_STATUS_SUCCESS;
}

static hv_status_t sim_set_register(struct vp *vp, uint32_t name, const union hv_register_value *value)
{
    if (!is_backend_register(name)) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    *find_register(vp, name) = *value;
    return HV_STATUS_SUCCESS;
}

static void (*reset_hook)(struct vp *vp);

void sim_set_reset_hook(void (*hook)(struct vp *vp))
{
    reset_hook = hook;
}

/* 64-bit mode, paging off for the walker: guests of tests live in one flat space. */
static void sim_vp_reset(struct vp *vp, bool power_on)
{
    struct sim_vp *own = sim_of(vp);
    union hv_register_value value = {0};

    (void)power_on;
    memset(own->values, 0, sizeof(own->values));
    own->register_count = 0;
    memset(vp->regs.gpr, 0, sizeof(vp->regs.gpr));
    vp->unread = 0;
    vp->regs.rip = 0xfff0;
    vp->regs.rflags = X86_RFLAGS_FIXED;
    value.reg64 = X86_CR0_PE;
    (void)sim_set_register(vp, HvX64RegisterCr0, &value);
    value.reg64 = X86_EFER_LME | X86_EFER_LMA;
    (void)sim_set_register(vp, HvX64RegisterEfer, &value);
    value = (union hv_register_value){0};
    value.segment.attributes = HV_X64_SEGMENT_LONG | HV_X64_SEGMENT_PRESENT | HV_X64_SEGMENT_NON_SYSTEM | 0xb;
    (void)sim_set_register(vp, HvX64RegisterCs, &value);
    if (reset_hook != NULL) {
        reset_hook(vp);
    }
}

static void sim_get_paging(struct vp *vp, struct vp_paging_state *state)
{
    *state = (struct vp_paging_state){
        .cr0 = find_register(vp, HvX64RegisterCr0)->reg64,
        .cr3 = find_register(vp, HvX64RegisterCr3)->reg64,
        .cr4 = find_register(vp, HvX64RegisterCr4)->reg64,
        .efer = find_register(vp, HvX64RegisterEfer)->reg64,
        .rflags = vp->regs.rflags,
        .cpl = (uint8_t)((find_register(vp, HvX64RegisterSs)->segment.attributes & HV_X64_SEGMENT_DPL_MASK) >>
                         HV_X64_SEGMENT_DPL_SHIFT),
    };
}

static void sim_get_code_mode(struct vp *vp, struct vp_code_mode *mode)
{
    uint16_t code = find_register(vp, HvX64RegisterCs)->segment.attributes;
    struct vp_paging_state paging;
    bool is_long;

    sim_get_paging(vp, &paging);
    is_long = (paging.efer & X86_EFER_LMA) != 0 && (code & HV_X64_SEGMENT_LONG) != 0;
    mode->cpl = paging.cpl;
    mode->is_protected = (paging.cr0 & X86_CR0_PE) != 0 && !(paging.rflags & X86_RFLAGS_VM);
    mode->bits = !mode->is_protected ? 16 : is_long ? 64 : (code & X86_SEG_ATTR_DB) != 0 ? 32 : 16;
}

static bool sim_is_code_state(struct vp *vp, const struct vp_code_state *state)
{
    struct vp_paging_state paging;
    struct vp_code_mode mode;

    sim_get_paging(vp, &paging);
    sim_get_code_mode(vp, &mode);
    return mode.bits == 64 && paging.cr0 == state->cr0 && paging.cr3 == state->cr3 && paging.cr4 == state->cr4 &&
           paging.efer == state->efer && paging.cpl == state->cpl;
}

static void sim_note_flush(struct vp *vp, const struct vp_flush_set *set)
{
    sim_of(vp)->flush = *set;
}

static uint64_t sim_guest_tsc(struct vp *vp)
{
    (void)vp;
    return time_tsc();
}

static void sim_intercepts_changed(struct vp *vp)
{
    (void)vp;
}

/* Of an exit, these are where nobody looks who does not ask. */
static void leave_unread(struct vp *vp)
{
    struct sim_vp *own = sim_of(vp);

    vp_read_state(vp, VP_UNREAD_RSP | VP_UNREAD_BLOCKING);
    own->rsp = vp->regs.gpr[VP_RSP];
    own->interrupt_shadow = vp->interrupt_shadow;
    own->nmi_masked = vp->nmi_masked;
    vp->regs.gpr[VP_RSP] = ~own->rsp;
    vp->interrupt_shadow = !own->interrupt_shadow;
    vp->nmi_masked = !own->nmi_masked;
    vp->unread = VP_UNREAD_RSP | VP_UNREAD_BLOCKING;
}

static void sim_read_state(struct vp *vp, uint32_t what)
{
    struct sim_vp *own = sim_of(vp);
    uint32_t wanted = what & vp->unread;

    hold(vp);
    if (wanted & VP_UNREAD_RSP) {
        vp->regs.gpr[VP_RSP] = own->rsp;
    }
    if (wanted & VP_UNREAD_BLOCKING) {
        vp->interrupt_shadow = own->interrupt_shadow;
        vp->nmi_masked = own->nmi_masked;
    }
    vp->unread &= ~what;
}

/* One entry: flushes that were asked for, the event, and the next step of the script. */
static enum exit_action enter(struct vp *vp, struct cpu *cpu)
{
    struct sim_vp *own = sim_of(vp);
    struct vp_event event = vp_next_event(vp);
    uint64_t generation;

    hold(vp);
    if (event.inject) {
        own->last_event = event.interruption;
        own->event_count++;
    }
    atomic_store(&cpu->guest_space, vp->space);
    generation = atomic_load(&vp->space->generation);
    if (vp->space_generation != generation || vp->flush_done != atomic_load(&vp->flush_wanted)) {
        vp->space_generation = generation;
        vp->flush_done = atomic_load(&vp->flush_wanted);
        own->flushes++;
    }
    atomic_store(&cpu->guest_space, NULL);
    if (own->script_next == own->script_count) {
        machine_take_kicks();
        vp->run_status = VP_RUN_INTERRUPT;
        return EXIT_LEAVE;
    }
    vp->exit_count++;
    leave_unread(vp);
    own->script_next++;
    return own->script[own->script_next - 1].step(vp, own->script[own->script_next - 1].context);
}

static enum vp_run_status sim_vp_run(struct vp *vp)
{
    struct cpu *cpu = cpu_this();
    void *outer = cpu->current_vp;

    cpu->current_vp = vp;
    do {
        if (atomic_load(&vp->requests) != 0 && !vp_handle_requests(vp)) {
            break;
        }
    } while (enter(vp, cpu) == EXIT_RESUME);
    cpu->current_vp = outer;
    return vp->run_status;
}

const struct cpu_backend sim_backend = {
    .name = "sim",
    .gpa_format = &format,
    .features = &features,
    .hypercall_instruction = {0x0f, 0x01, 0xd9},
    .hypercall_op = X86_OP_VMMCALL,
    .processor_vendor = HV_PROCESSOR_VENDOR_AMD,
    .state_msrs = &state_msrs,
    .child_msrs = &child_msrs,
    .root_msrs = &root_msrs,
    .stored_msr_reset = STORED_MSR_RESET,
    .probe = sim_probe,
    .init = sim_init,
    .enable_processor = sim_enable_processor,
    .vp_create = sim_vp_create,
    .vp_destroy = sim_vp_destroy,
    .vp_put = sim_vp_put,
    .vp_reset = sim_vp_reset,
    .vp_run = sim_vp_run,
    .get_register = sim_get_register,
    .set_register = sim_set_register,
    .read_state = sim_read_state,
    .get_paging = sim_get_paging,
    .get_code_mode = sim_get_code_mode,
    .is_code_state = sim_is_code_state,
    .note_flush = sim_note_flush,
    .guest_tsc = sim_guest_tsc,
    .intercepts_changed = sim_intercepts_changed,
};

void sim_script_add(struct vp *vp, sim_step step, void *context)
{
    struct sim_vp *own = sim_of(vp);

    if (own->script_next == own->script_count) {
        own->script_next = 0;
        own->script_count = 0;
    }
    own->script[own->script_count].step = step;
    own->script[own->script_count].context = context;
    own->script_count++;
}

void sim_script_clear(struct vp *vp)
{
    sim_of(vp)->script_next = 0;
    sim_of(vp)->script_count = 0;
}

struct vp_flush_set sim_last_flush(struct vp *vp)
{
    return sim_of(vp)->flush;
}

uint64_t sim_last_event(struct vp *vp)
{
    return sim_of(vp)->last_event;
}

uint32_t sim_event_count(struct vp *vp)
{
    return sim_of(vp)->event_count;
}

enum exit_action sim_exit_halt(struct vp *vp, void *context)
{
    (void)context;
    return exit_halt(vp, 1);
}

enum exit_action sim_exit_out(struct vp *vp, void *context)
{
    struct exit_io io = {.port = 0x3f8, .size = 1, .insn_length = 1};

    (void)context;
    return exit_io(vp, &io);
}

static enum exit_action touch(struct vp *vp, const uint64_t *address, bool is_write)
{
    struct exit_memory access = {.gpa = gpa(*address), .is_write = is_write};

    return exit_memory(vp, &access);
}

enum exit_action sim_exit_read(struct vp *vp, void *context)
{
    return touch(vp, context, false);
}

enum exit_action sim_exit_write(struct vp *vp, void *context)
{
    return touch(vp, context, true);
}

enum exit_action sim_exit_shutdown(struct vp *vp, void *context)
{
    (void)context;
    return exit_shutdown(vp);
}

enum exit_action sim_exit_nothing(struct vp *vp, void *context)
{
    (void)vp;
    (void)context;
    return EXIT_RESUME;
}
