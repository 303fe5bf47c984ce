/* SPDX-License-Identifier: MIT */
#include "hv/hypercall/engine.h"

#include <stdatomic.h>

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_hypercall.h"
#include "hv/abi/hv_register.h"
#include "hv/debug/debug.h"
#include "hv/debug/trace.h"
#include "hv/partition/exit_record.h"
#include "hv/hypercall/table.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/gpa_space.h"
#include "hv/partition/intercept.h"
#include "hv/partition/partition.h"
#include "hv/partition/rcu.h"
#include "hv/partition/vp.h"

/*
 * Everything about a hypercall that its row says: convention, control word, privileges, parameter addresses, copies,
 * batches and continuation (TLFS, Hypercall Interface). Not here: what a call means (hc_*.c), and who may execute the
 * instruction at all (hv/exit/route.c).
 *
 * Nothing is kept between two entries of a long call but the guest's own registers, so input is read and checked each
 * time.
 */

#define QWORD_BYTES 8u
#define XMM_COUNT   6u

/* The caller's registers, by either convention. */
struct request {
    uint64_t control;
    uint64_t input;  /* GPA, or parameter 1 */
    uint64_t output; /* GPA, or parameter 2 */
    bool is_64bit;
};

/* What the control word and the row make of it; counts and sizes of the whole call, and of this entry. */
struct shape {
    uint32_t variable_count; /* qwords */
    uint32_t header_size;    /* fixed part and variable header */
    uint32_t rep_total;
    uint32_t rep_first;
    uint32_t rep_count; /* of this entry */
};

/* What a stage of the engine came to. */
enum outcome {
    OUTCOME_GO_ON,
    OUTCOME_STATUS, /* finish with the status */
    OUTCOME_LEAVE,  /* leave RIP and registers alone */
};

static uint64_t pair(const struct vp *vp, enum vp_gpr high, enum vp_gpr low)
{
    return ((vp->regs.gpr[high] & UINT32_MAX) << 32) | (vp->regs.gpr[low] & UINT32_MAX);
}

static void set_pair(struct vp *vp, enum vp_gpr high, enum vp_gpr low, uint64_t value)
{
    vp->regs.gpr[high] = value >> 32;
    vp->regs.gpr[low] = value & UINT32_MAX;
}

#define VP_R8 8u

static struct request read_request(struct vp *vp, bool is_64bit)
{
    const uint64_t *gpr = vp->regs.gpr;

    if (is_64bit) {
        return (struct request){.control = gpr[VP_RCX], .input = gpr[VP_RDX], .output = gpr[VP_R8], .is_64bit = true};
    }
    return (struct request){
        .control = pair(vp, VP_RDX, VP_RAX),
        .input = pair(vp, VP_RBX, VP_RCX),
        .output = pair(vp, VP_RDI, VP_RSI),
    };
}

static void write_result(struct vp *vp, const struct request *request, hv_status_t status, uint32_t reps_completed)
{
    uint64_t result = hv_hypercall_result(status, reps_completed);

    if (request->is_64bit) {
        vp->regs.gpr[VP_RAX] = result;
    } else {
        set_pair(vp, VP_RDX, VP_RAX, result);
    }
    trace(TRACE_HYPERCALL, vp->trace_id, request->control, result);
}

/* The call goes on behind the elements that are done when the guest executes the instruction again. */
static void write_continuation(struct vp *vp, const struct request *request, uint32_t rep_start)
{
    uint64_t control = hv_hypercall_with_rep_start(request->control, rep_start);

    if (request->is_64bit) {
        vp->regs.gpr[VP_RCX] = control;
    } else {
        set_pair(vp, VP_RDX, VP_RAX, control);
    }
}

static bool is_rep(const struct hypercall_row *row)
{
    return row->rep_batch != 0;
}

static hv_status_t check_rights(const struct vp *vp, const struct hypercall_row *row)
{
    if (row->is_root_only && !vp->partition->is_root) {
        return HV_STATUS_ACCESS_DENIED;
    }
    if ((vp->partition->privileges & row->privileges) != row->privileges) {
        return HV_STATUS_ACCESS_DENIED;
    }
    return HV_STATUS_SUCCESS;
}

/* Bytes of the whole input and output list; small enough never to overflow (4095 elements of at most 255 bytes). */
static uint32_t input_total(const struct hypercall_row *row, const struct shape *shape)
{
    return shape->header_size + shape->rep_total * row->rep_input_size;
}

static uint32_t output_total(const struct hypercall_row *row, const struct shape *shape)
{
    return is_rep(row) ? shape->rep_total * row->rep_output_size : row->output_size;
}

static bool has_output(const struct hypercall_row *row)
{
    return row->output_size != 0 || row->rep_output_size != 0;
}

static uint32_t fast_capacity(const struct request *request)
{
    return request->is_64bit ? HV_HYPERCALL_XMM_FAST_INPUT_BYTES : HV_HYPERCALL_FAST_INPUT_BYTES;
}

/* Control word against row. INVALID_HYPERCALL_INPUT: reserved bits, reps, variable header, or a fast form that does not
 * exist. */
static hv_status_t check_control(const struct request *request, const struct hypercall_row *row, struct shape *shape)
{
    uint64_t control = request->control;

    *shape = (struct shape){
        .variable_count = hv_hypercall_variable_header_qwords(control),
        .rep_total = hv_hypercall_rep_count(control),
        .rep_first = hv_hypercall_rep_start(control),
    };
    shape->header_size = row->input_size + shape->variable_count * QWORD_BYTES;
    if ((control & (HV_HYPERCALL_RSVDZ_MASK | HV_HYPERCALL_NESTED)) != 0) {
        return HV_STATUS_INVALID_HYPERCALL_INPUT;
    }
    if (is_rep(row) ? shape->rep_first >= shape->rep_total : (shape->rep_total != 0 || shape->rep_first != 0)) {
        return HV_STATUS_INVALID_HYPERCALL_INPUT;
    }
    if (shape->variable_count > row->variable_max) {
        return HV_STATUS_INVALID_HYPERCALL_INPUT;
    }
    if (hv_hypercall_is_fast(control) &&
        (!row->allows_fast || has_output(row) || input_total(row, shape) > fast_capacity(request))) {
        return HV_STATUS_INVALID_HYPERCALL_INPUT;
    }
    return HV_STATUS_SUCCESS;
}

/* INVALID_ALIGNMENT: not 8-byte aligned, across a page boundary, or beyond the GPA space. */
static hv_status_t check_address(const struct partition *partition, uint64_t address, uint32_t bytes)
{
    if (bytes == 0) {
        return HV_STATUS_SUCCESS; /* no list: whatever the register holds */
    }
    if (!is_aligned_u64(address, HV_HYPERCALL_PARAMETER_ALIGNMENT) ||
        !range_contains(address & ~PAGE_MASK, PAGE_SIZE, address, bytes) || address >= partition->space.limit) {
        return HV_STATUS_INVALID_ALIGNMENT;
    }
    return HV_STATUS_SUCCESS;
}

static hv_status_t check_addresses(const struct vp *vp, const struct request *request, const struct hypercall_row *row,
                                   const struct shape *shape)
{
    hv_status_t status;

    if (hv_hypercall_is_fast(request->control)) {
        return HV_STATUS_SUCCESS;
    }
    status = check_address(vp->partition, request->input, input_total(row, shape));
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    return check_address(vp->partition, request->output, output_total(row, shape));
}

/* Elements of this entry: what is left, bounded by the row and by the engine's buffers. */
static uint32_t entry_count(const struct hypercall_row *row, const struct shape *shape)
{
    uint32_t count = min_u32(shape->rep_total - shape->rep_first, row->rep_batch);

    if (row->rep_input_size != 0) {
        count = min_u32(count, (HYPERCALL_INPUT_MAX - shape->header_size) / row->rep_input_size);
    }
    if (row->rep_output_size != 0) {
        count = min_u32(count, HYPERCALL_OUTPUT_MAX / row->rep_output_size);
    }
    return count;
}

/*
 * A parameter page that cannot be used. Where a child's page is mapped without access, the root will supply it: that is
 * an intercept, and the call is executed again afterwards. Anything else is the caller's mistake.
 */
static enum outcome parameter_fault(struct vp *vp, uint64_t address, bool is_write)
{
    struct exit_memory access = {.gpa = gpa(address), .is_write = is_write};

    if (vp->is_root || gpa_lookup(&vp->partition->space, access.gpa).state != GPA_NO_ACCESS) {
        return OUTCOME_STATUS;
    }
    intercept_memory(vp, &access, false);
    /* Whoever called the engine goes back to the run loop, which has to be left there. */
    atomic_fetch_or_explicit(&vp->requests, VP_REQUEST_SUSPEND, memory_order_release);
    return OUTCOME_LEAVE;
}

static bool advertises_xmm_input(struct vp *vp)
{
    uint32_t out[CPUID_REGISTER_COUNT];

    cpuid_query(vp, HV_CPUID_FEATURES, 0, out);
    return (out[CPUID_EDX] & HV_FEATURE_XMM_HYPERCALL_INPUT) != 0;
}

/* From the whole input in registers: header and this entry's elements. */
static void take_fast_input(const uint64_t *registers, const struct hypercall_row *row, const struct shape *shape,
                            uint8_t *input)
{
    memcpy(input, registers, shape->header_size);
    if (shape->rep_count != 0) {
        memcpy(input + shape->header_size,
               (const uint8_t *)registers + shape->header_size + shape->rep_first * row->rep_input_size,
               shape->rep_count * row->rep_input_size);
    }
}

/* Input of more than two registers: XMM0 to XMM5 follow (TLFS, XMM Fast Hypercall Input). */
static NOINLINE enum outcome read_xmm_input(struct vp *vp, const struct request *request,
                                            const struct hypercall_row *row, const struct shape *shape, uint8_t *input,
                                            hv_status_t *status)
{
    uint64_t registers[HV_HYPERCALL_XMM_FAST_INPUT_BYTES / QWORD_BYTES] = {request->input, request->output};

    if (!advertises_xmm_input(vp)) {
        vp_inject_exception(vp, X86_VECTOR_UD, false, 0);
        return OUTCOME_LEAVE;
    }
    for (uint32_t i = 0; i < XMM_COUNT; i++) {
        union hv_register_value value;

        *status = vp_get_register(vp, HvX64RegisterXmm0 + i, &value);
        if (*status != HV_STATUS_SUCCESS) {
            return OUTCOME_STATUS;
        }
        registers[2 + 2 * i] = value.reg128.low_part;
        registers[3 + 2 * i] = value.reg128.high_part;
    }
    take_fast_input(registers, row, shape, input);
    return OUTCOME_GO_ON;
}

static enum outcome read_fast_input(struct vp *vp, const struct request *request, const struct hypercall_row *row,
                                    const struct shape *shape, uint8_t *input, hv_status_t *status)
{
    const uint64_t registers[HV_HYPERCALL_FAST_INPUT_BYTES / QWORD_BYTES] = {request->input, request->output};

    if (input_total(row, shape) > HV_HYPERCALL_FAST_INPUT_BYTES) {
        return read_xmm_input(vp, request, row, shape, input, status);
    }
    take_fast_input(registers, row, shape, input);
    return OUTCOME_GO_ON;
}

/* Copies header and this entry's elements in. INVALID_HYPERCALL_INPUT: not readable RAM. */
static enum outcome read_input(struct vp *vp, const struct request *request, const struct hypercall_row *row,
                               const struct shape *shape, uint8_t *input, hv_status_t *status)
{
    uint32_t list_size = shape->rep_count * row->rep_input_size;
    uint32_t list_offset = shape->header_size + shape->rep_first * row->rep_input_size;

    if (hv_hypercall_is_fast(request->control)) {
        return read_fast_input(vp, request, row, shape, input, status);
    }
    if (!gpa_read(vp->partition, gpa(request->input), input, shape->header_size) ||
        !gpa_read(vp->partition, gpa(request->input + list_offset), input + shape->header_size, list_size)) {
        *status = HV_STATUS_INVALID_HYPERCALL_INPUT;
        return parameter_fault(vp, request->input, false);
    }
    return OUTCOME_GO_ON;
}

/* Where this entry's output goes, and how much of it there can be. */
static gpa_t output_address(const struct request *request, const struct hypercall_row *row, const struct shape *shape)
{
    return gpa(request->output + (is_rep(row) ? shape->rep_first * row->rep_output_size : 0));
}

static uint32_t output_size(const struct hypercall_row *row, uint32_t reps)
{
    return is_rep(row) ? reps * row->rep_output_size : row->output_size;
}

/* Before anything is done: the output must have a place. INVALID_ALIGNMENT: not writable RAM. */
static enum outcome check_output(struct vp *vp, const struct request *request, const struct hypercall_row *row,
                                 const struct shape *shape, hv_status_t *status)
{
    uint32_t size = output_size(row, shape->rep_count);

    if (size == 0 || gpa_is_writable(vp->partition, output_address(request, row, shape), size)) {
        return OUTCOME_GO_ON;
    }
    *status = HV_STATUS_INVALID_ALIGNMENT;
    return parameter_fault(vp, request->output, true);
}

/* Runs the handler on this entry's copy and writes completed output back; call->reps_done says how far it came. */
static hv_status_t perform(struct hypercall_context *call, const struct request *request, const struct shape *shape)
{
    const struct hypercall_row *row = call->row;
    hv_status_t status;
    uint32_t size;

    rcu_enter();
    status = row->handler(call);
    rcu_leave();
    ASSERT(call->reps_done <= call->rep_count);
    size = is_rep(row) || (status == HV_STATUS_SUCCESS && !call->skips_output) ? output_size(row, call->reps_done) : 0;
    if (size != 0 && !gpa_write(call->caller, output_address(request, row, shape), call->output, size)) {
        /*
         * The page went away between check and write. Children have no call with output that cannot simply be made
         * again; what a root's call has done stays done.
         */
        call->reps_done = 0;
        return call->vp->is_root ? HV_STATUS_INVALID_ALIGNMENT : HV_STATUS_TIME_OUT;
    }
    return status;
}

/* Copies in, performs, and leaves result or continuation in the registers. */
static bool execute(struct vp *vp, struct request *request, const struct hypercall_row *row, struct shape *shape)
{
    ALIGNED(8) uint8_t input[HYPERCALL_INPUT_MAX];
    ALIGNED(8) uint8_t output[HYPERCALL_OUTPUT_MAX];
    hv_status_t status = HV_STATUS_SUCCESS;
    enum outcome outcome;
    uint32_t reached;

    ASSERT(shape->header_size <= HYPERCALL_INPUT_MAX && row->output_size <= HYPERCALL_OUTPUT_MAX);
    shape->rep_count = is_rep(row) ? entry_count(row, shape) : 0;
    outcome = read_input(vp, request, row, shape, input, &status);
    if (outcome == OUTCOME_GO_ON) {
        outcome = check_output(vp, request, row, shape, &status);
    }
    if (outcome == OUTCOME_LEAVE) {
        return false;
    }
    if (outcome == OUTCOME_STATUS) {
        write_result(vp, request, status, shape->rep_first);
        return true;
    }
    if (has_output(row)) {
        memset(output, 0, output_size(row, shape->rep_count));
    }

    struct hypercall_context call = {
        .vp = vp,
        .caller = vp->partition,
        .row = row,
        .input = input,
        .variable = (const uint64_t *)(const void *)(input + row->input_size),
        .variable_count = shape->variable_count,
        .rep_first = shape->rep_first,
        .rep_count = shape->rep_count,
        .rep_input = input + shape->header_size,
        .output = output,
    };

    status = perform(&call, request, shape);
    reached = shape->rep_first + call.reps_done;
    if (status == HV_STATUS_TIME_OUT || (status == HV_STATUS_SUCCESS && reached < shape->rep_total)) {
        if (is_rep(row)) {
            write_continuation(vp, request, reached);
        }
        return false;
    }
    write_result(vp, request, status, reached);
    return true;
}

bool hypercall_execute(struct vp *vp, bool is_64bit)
{
    struct request request = read_request(vp, is_64bit);
    const struct hypercall_row *row = hypercall_find(hv_hypercall_code(request.control));
    struct shape shape;
    hv_status_t status;

    if (row == NULL) {
        write_result(vp, &request, HV_STATUS_INVALID_HYPERCALL_CODE, 0);
        return true;
    }
    status = check_rights(vp, row);
    if (status == HV_STATUS_SUCCESS) {
        status = check_control(&request, row, &shape);
    }
    if (status != HV_STATUS_SUCCESS) {
        write_result(vp, &request, status, 0);
        return true;
    }
    status = check_addresses(vp, &request, row, &shape);
    if (status != HV_STATUS_SUCCESS) {
        write_result(vp, &request, status, shape.rep_first);
        return true;
    }
    return execute(vp, &request, row, &shape);
}

/* A simple call with no more input than that, and no output. */
static bool is_short(const struct hypercall_row *row)
{
    return row->allows_fast && !row->is_root_only && row->input_size <= HV_HYPERCALL_FAST_INPUT_BYTES && !is_rep(row) &&
           !has_output(row);
}

/* Its handler. */
static NOINLINE hv_status_t perform_short(struct vp *vp, const struct hypercall_row *row)
{
    const uint64_t input[HV_HYPERCALL_FAST_INPUT_BYTES / QWORD_BYTES] = {vp->regs.gpr[VP_RDX], vp->regs.gpr[VP_R8]};
    struct hypercall_context call = {.vp = vp, .caller = vp->partition, .row = row, .input = input};
    hv_status_t status;

    rcu_enter();
    status = row->handler(&call);
    rcu_leave();
    return status;
}

bool hypercall_execute_short(struct vp *vp)
{
    const struct hypercall_row *row = hypercall_find(hv_hypercall_code(vp->regs.gpr[VP_RCX]));
    hv_status_t status = HV_STATUS_INVALID_HYPERCALL_CODE;

    if (row != NULL) {
        if (!is_short(row) || check_rights(vp, row) != HV_STATUS_SUCCESS) {
            return false;
        }
        status = perform_short(vp, row);
    }
    if (status == HV_STATUS_TIME_OUT) {
        return false;
    }
    vp->regs.gpr[VP_RAX] = hv_hypercall_result(status, 0);
    return true;
}
