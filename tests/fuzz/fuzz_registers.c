/* SPDX-License-Identifier: MIT */
/*
 * The local APIC, the SynIC and the synthetic timers of a child's two VPs: their MSRs, the APIC's page, interrupts,
 * messages and events from outside, entries that accept what is pending, and time.
 *
 * Holds after each step: the processor priority is what task priority and in-service vectors make it, the SynIC's maps
 * of vectors are what its SINTs say, each buffer of a pool waits in exactly the queue that it names or is free, a
 * message in a slot has a type and a size that fits, timers that run are enabled, and no lock is held.
 */
#include <string.h>

#include "hv/abi/hv_msr.h"
#include "hv/lib/bitmap.h"
#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/apic.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/stimer.h"
#include "hv/partition/synic.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/sim.h"

#define VPS               2u
#define CHILD_PAGES       100u
#define CHILD_RAM_PAGES   16u
#define OPERATIONS_MAX    120u
#define CODE_GPA          0x1000ull
#define APIC_GPA          0xfee00000ull
#define ADVANCE_SHIFT_MAX 18u
#define RDMSR_BYTES       2u

static uint64_t child;
static struct vp *vps[VPS];

static const uint32_t msrs[] = {
    0x1b,       0x802,      0x803,      0x808,      0x80a,      0x80b,      0x80d,      0x80f,      0x810,
    0x820,      0x828,      0x830,      0x832,      0x833,      0x835,      0x837,      0x838,      0x839,
    0x83e,      0x83f,      0x40000070, 0x40000071, 0x40000072, 0x40000073, 0x40000080, 0x40000082, 0x40000083,
    0x40000084, 0x40000090, 0x40000092, 0x400000b0, 0x400000b1, 0x400000b2, 0x400000b3, 0x40000020, 0x400000f0,
};

/* Values that these registers tell apart: small ones, vectors, enable bits, pages with their enable bit. */
static uint64_t pick_value(struct fuzz_input *input)
{
    switch (fuzz_below(input, 6)) {
    case 0:
        return fuzz_u8(input);
    case 1:
        return fuzz_u16(input);
    case 2:
        return fuzz_u32(input);
    case 3:
        return (uint64_t)(1 + fuzz_below(input, CHILD_RAM_PAGES)) << PAGE_SHIFT | 1;
    case 4:
        /* A configuration of a timer: enabled, some mode, some SINT or vector. */
        return (fuzz_u8(input) & 0xfu) | (uint64_t)fuzz_u8(input) << 4 | (uint64_t)fuzz_below(input, 16) << 16 |
               (uint64_t)fuzz_below(input, 2) << 12;
    default:
        return fuzz_u64(input);
    }
}

/* What an operation in a VP's run loop needs. */
struct operation {
    struct fuzz_input *input;
};

static void access_msr(struct vp *vp, struct fuzz_input *input)
{
    uint64_t value = pick_value(input);

    vp->regs.gpr[VP_RCX] = msrs[fuzz_below(input, ARRAY_SIZE(msrs))];
    vp->regs.gpr[VP_RAX] = (uint32_t)value;
    vp->regs.gpr[VP_RDX] = value >> 32;
    if (fuzz_below(input, 3) == 0) {
        (void)exit_rdmsr(vp, RDMSR_BYTES);
    } else {
        (void)exit_wrmsr(vp, RDMSR_BYTES);
    }
}

/* MOV [RDI], EAX or MOV EAX, [RDI], or whatever the input has, at the APIC's page. */
static void access_page(struct vp *vp, struct fuzz_input *input)
{
    uint8_t code[16] = {0x89, 0x07};
    uint32_t kind = fuzz_below(input, 8);
    struct exit_memory access = {.is_write = kind != 1};

    if (kind == 1) {
        code[0] = 0x8b;
    } else if (kind == 2) {
        fuzz_fill(input, code, sizeof(code));
    }
    vp->regs.rip = CODE_GPA;
    vp->regs.gpr[VP_RDI] = APIC_GPA + fuzz_below(input, 64) * 16u;
    vp->regs.gpr[VP_RAX] = pick_value(input);
    access.gpa = gpa(vp->regs.gpr[VP_RDI]);
    (void)!gpa_write(vp->partition, gpa(CODE_GPA), code, sizeof(code));
    (void)exit_memory(vp, &access);
}

/* The guest takes a message out of its slot, as the protocol has it or not. */
static void take_message(struct vp *vp, struct fuzz_input *input)
{
    struct hv_message_page *page = (void *)vp->synic.message_page.page;
    uint32_t type = fuzz_below(input, 2) == 0 ? 0 : fuzz_u32(input);

    page->sint_message[fuzz_below(input, HV_SYNIC_SINT_COUNT)].header.message_type = type;
}

static enum exit_action step(struct vp *vp, void *context)
{
    struct operation *operation = context;
    struct fuzz_input *input = operation->input;

    switch (fuzz_below(input, 5)) {
    case 0:
    case 1:
        access_msr(vp, input);
        break;
    case 2:
        access_page(vp, input);
        break;
    case 3:
        take_message(vp, input);
        break;
    default:
        /* An entry: what is pending is accepted by the run loop. */
        vp->regs.rflags ^= fuzz_below(input, 2) != 0 ? X86_RFLAGS_IF : 0;
        break;
    }
    vp->pending_interruption = 0;
    FUZZ_CHECK(machine_locks_held() == 0);
    return vp->is_intercept_suspended || vp->activity != VP_ACTIVE ? EXIT_LEAVE : EXIT_RESUME;
}

static void dispatch(struct fuzz_input *input, struct operation *operation)
{
    uint32_t index = fuzz_below(input, VPS);
    struct vp *vp = vps[index];

    vp_set_suspended(vp, &vp->is_explicitly_suspended, false);
    vp_set_suspended(vp, &vp->is_intercept_suspended, false);
    if (vp->activity != VP_WAIT_FOR_SIPI || fuzz_below(input, 2) != 0) {
        vp->activity = VP_ACTIVE;
    }
    sim_script_clear(vp);
    for (uint32_t i = 0; i < 1 + fuzz_below(input, 8); i++) {
        sim_script_add(vp, step, operation);
    }
    (void)sim_dispatch(child, index, 0);
}

static void post(struct fuzz_input *input)
{
    struct hv_message message = {.header = {.message_type = 1 + fuzz_u8(input), .payload_size_bytes = fuzz_u8(input)}};
    struct vp *vp = vps[fuzz_below(input, VPS)];
    uint32_t sint = fuzz_below(input, HV_SYNIC_SINT_COUNT + 1);
    hv_status_t status = synic_post_message(vp, sint, &message);

    FUZZ_CHECK(status == HV_STATUS_SUCCESS || status == HV_STATUS_INVALID_PARAMETER ||
               status == HV_STATUS_INVALID_SYNIC_STATE || status == HV_STATUS_INSUFFICIENT_BUFFERS);
    FUZZ_CHECK(status != HV_STATUS_SUCCESS || sint < HV_SYNIC_SINT_COUNT);
    FUZZ_CHECK(status != HV_STATUS_SUCCESS || message.header.payload_size_bytes <= HV_MESSAGE_PAYLOAD_BYTE_COUNT);
}

static void signal(struct fuzz_input *input)
{
    bool is_new = false;
    struct vp *vp = vps[fuzz_below(input, VPS)];
    hv_status_t status =
        synic_signal_event(vp, fuzz_below(input, HV_SYNIC_SINT_COUNT + 1), fuzz_u16(input) % 2304u, &is_new);

    FUZZ_CHECK(status == HV_STATUS_SUCCESS || status == HV_STATUS_INVALID_PARAMETER ||
               status == HV_STATUS_INVALID_SYNIC_STATE);
    FUZZ_CHECK(status == HV_STATUS_SUCCESS || !is_new);
}

static void assert_interrupt(struct fuzz_input *input)
{
    struct hv_input_assert_virtual_interrupt interrupt = {
        .partition_id = child,
        .interrupt_type = fuzz_below(input, 9),
        .control_flags = fuzz_below(input, 4),
        .destination_address = fuzz_below(input, 4) == 0 ? fuzz_u32(input) : fuzz_below(input, 4),
        .vector = fuzz_u8(input),
    };
    hv_status_t status = sim_call(HvCallAssertVirtualInterrupt, &interrupt, sizeof(interrupt), NULL, 0);

    FUZZ_CHECK(status == HV_STATUS_SUCCESS || status == HV_STATUS_INVALID_PARAMETER);
}

static int highest(const uint32_t *words)
{
    for (int i = 255; i >= 0; i--) {
        if ((words[i / 32] & 1u << i % 32) != 0) {
            return i;
        }
    }
    return 0;
}

/* SDM vol. 3, Task and Processor Priorities; vectors below 16 are never accepted. */
static void check_apic(const struct vp *vp)
{
    const struct apic *apic = &vp->apic;
    uint32_t in_service = (uint32_t)highest(apic->isr) & 0xf0;
    uint32_t ppr = in_service > (apic->tpr & 0xf0u) ? in_service : apic->tpr;

    FUZZ_CHECK(apic_ppr(vp) == ppr);
    FUZZ_CHECK((apic->isr[0] & 0xffff) == 0 && (atomic_load(&apic->irr[0]) & 0xffff) == 0);
    FUZZ_CHECK(apic_pending_vector(vp) < 256 && apic_blocked_vector(vp) < 256);
}

static void check_vectors(const struct synic *synic)
{
    uint64_t auto_eoi[4] = {0};

    for (uint32_t i = 0; i < HV_SYNIC_SINT_COUNT; i++) {
        uint8_t vector = (uint8_t)(synic->sints[i] & HV_SINT_VECTOR_MASK);

        FUZZ_CHECK((synic->sints[i] & HV_SINT_MASKED) != 0 || vector >= HV_SINT_MIN_VECTOR ||
                   (synic->sints[i] & HV_SINT_POLLING) != 0);
        if ((synic->sints[i] & HV_SINT_AUTO_EOI) != 0 && (synic->sints[i] & HV_SINT_MASKED) == 0) {
            bitmap_set(auto_eoi, vector);
        }
    }
    FUZZ_CHECK(memcmp(auto_eoi, synic->auto_eoi, sizeof(auto_eoi)) == 0);
}

static void check_synic(const struct vp *vp)
{
    const struct synic *synic = &vp->synic;
    const struct hv_message_page *page = (const void *)synic->message_page.page;
    uint32_t waiting = 0;
    uint32_t claimed = 0;

    for (uint32_t i = 0; i < HV_SYNIC_SINT_COUNT; i++) {
        FUZZ_CHECK(list_is_empty(&synic->queues[i]) == ((synic->waiting & 1u << i) == 0));
        LIST_FOR_EACH(node, &synic->queues[i])
        {
            const struct synic_buffer *buffer = CONTAINER_OF(node, struct synic_buffer, node);

            FUZZ_CHECK(atomic_load(&buffer->vp) == vp && buffer->sint == i);
            FUZZ_CHECK(buffer->message.header.payload_size_bytes <= HV_MESSAGE_PAYLOAD_BYTE_COUNT);
            waiting++;
        }
        FUZZ_CHECK(page->sint_message[i].header.payload_size_bytes <= HV_MESSAGE_PAYLOAD_BYTE_COUNT);
    }
    for (uint32_t i = 0; i < SYNIC_POOL_BUFFERS; i++) {
        claimed += atomic_load(&synic->pool->buffers[i].vp) != NULL;
    }
    FUZZ_CHECK(claimed == waiting);
    check_vectors(synic);
}

static void check_timers(const struct vp *vp)
{
    for (uint32_t i = 0; i < STIMER_COUNT; i++) {
        const struct stimer *timer = &vp->stimers[i];

        FUZZ_CHECK(!timer->is_running || (timer->config & HV_STIMER_ENABLED) != 0);
        FUZZ_CHECK(!timer->is_running || timer->count != 0);
        FUZZ_CHECK(timer->index == i && timer->vp == vp);
    }
}

static void operate(struct fuzz_input *input, struct operation *operation)
{
    switch (fuzz_below(input, 8)) {
    case 0:
        post(input);
        break;
    case 1:
        signal(input);
        break;
    case 2:
        assert_interrupt(input);
        break;
    case 3:
        machine_advance_100ns(UINT64_C(1) << fuzz_below(input, ADVANCE_SHIFT_MAX));
        break;
    default:
        dispatch(input, operation);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {.bytes = bytes, .left = size};
    struct operation operation = {.input = &input};

    sim_start(1);
    (void)sim_root_vp(0);
    child = sim_create_child(CHILD_PAGES);
    for (uint32_t i = 0; i < VPS; i++) {
        vps[i] = sim_create_vp(child, i);
    }
    sim_map(child, 0, sim_pages(CHILD_RAM_PAGES, 1), CHILD_RAM_PAGES);
    for (uint32_t i = 0; i < OPERATIONS_MAX && input.left != 0; i++) {
        operate(&input, &operation);
        FUZZ_CHECK(machine_locks_held() == 0);
        for (uint32_t j = 0; j < VPS; j++) {
            check_apic(vps[j]);
            check_synic(vps[j]);
            check_timers(vps[j]);
        }
    }
    (void)sim_destroy_child(child);
    sim_stop();
    return 0;
}
