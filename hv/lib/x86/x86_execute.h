/* SPDX-License-Identifier: MIT */
/*
 * Executes one decoded instruction on a register file, with memory and ports behind callbacks: for accesses to
 * the local APIC page, to devices and to string ports. Freestanding, without state, without allocation.
 */
#ifndef X86_X86_EXECUTE_H
#define X86_X86_EXECUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_decode.h"
#include "hv/lib/x86/x86_regs.h"

/** A segment register with its hidden part. */
struct x86_segment {
    uint64_t base;
    uint32_t limit; /* in bytes, granularity already applied */
    uint16_t selector;
    uint32_t attributes; /* X86_SEG_ATTR_* */
};

/** The registers that instructions see. The general ones are in encoding order (X86_GPR_*). */
struct x86_cpu {
    uint64_t gpr[X86_GPR_COUNT];
    uint64_t rip;
    uint64_t rflags;
    struct x86_segment segments[X86_SEG_COUNT]; /* by X86_SEG_* */
    uint64_t cr0;
    uint64_t cr3;
    uint64_t cr4;
    uint64_t efer;
    uint8_t cpl;
};

/** An exception for the guest. */
struct x86_fault {
    uint8_t vector; /* X86_VECTOR_* */
    bool has_error_code;
    uint32_t error_code;
    uint64_t cr2; /* of a page fault: the linear address */
};

/** Answer of a callback. */
enum x86_access_status {
    X86_ACCESS_OK,
    X86_ACCESS_FAULT,       /* the callback has filled in the fault; nothing was read or written */
    X86_ACCESS_RETRY,       /* not now; nothing was read or written. The same instruction will be executed again */
    X86_ACCESS_UNSUPPORTED, /* of the vector callbacks: the caller cannot do this */
};

/** Up to 32 bytes of an XMM or YMM register. */
struct x86_vector {
    uint64_t qwords[4];
};

/**
 * How an instruction reaches memory, ports and vector registers. Addresses are linear; sizes are 1, 2, 4 or 8 bytes,
 * of vectors and CMPXCHG16B also 16 or 32 (ports: 1, 2 or 4); `data` holds `size` bytes. An access may cross a page:
 * then the callback checks both pages before it touches one. Rights of ports (I/O permission map) were checked by the
 * processor before it intercepted. Callbacks for ports and vectors may be null: their instructions are then
 * unsupported.
 */
struct x86_memory_ops {
    enum x86_access_status (*read)(void *context, uint64_t linear, unsigned size, void *data, struct x86_fault *fault);
    enum x86_access_status (*write)(void *context, uint64_t linear, unsigned size, const void *data,
                                    struct x86_fault *fault);
    /*
     * Says whether a write would succeed. Called before a source that may be a device is read, so that a fault
     * on the destination does not lose what was read. May be a null pointer: then nothing is asked beforehand.
     */
    enum x86_access_status (*probe_write)(void *context, uint64_t linear, unsigned size, struct x86_fault *fault);
    enum x86_access_status (*port_in)(void *context, uint16_t port, unsigned size, uint32_t *value,
                                      struct x86_fault *fault);
    enum x86_access_status (*port_out)(void *context, uint16_t port, unsigned size, uint32_t value,
                                       struct x86_fault *fault);
    /*
     * Vector register `index` (0 to 15): its low `size` bytes, 16 or 32. Written are only registers that were read in
     * the same size just before, and as many bytes; the rest of a register stays as it is. Answers: OK, UNSUPPORTED.
     */
    enum x86_access_status (*read_vector)(void *context, unsigned index, unsigned size, struct x86_vector *value);
    void (*write_vector)(void *context, unsigned index, unsigned size, const struct x86_vector *value);
};

/** Result of x86_execute(). */
enum x86_execute_status {
    X86_EXECUTE_DONE,        /* registers and RIP are updated */
    X86_EXECUTE_AGAIN,       /* registers are those between two iterations, RIP is not advanced: call again */
    X86_EXECUTE_FAULT,       /* `fault` is to be raised; registers as above */
    X86_EXECUTE_UNSUPPORTED, /* nothing was done */
};

/** Iterations of a repeated string instruction that one x86_execute() does at most. */
#define X86_EXECUTE_ITERATION_LIMIT 256

/** How the code segment of `cpu` makes the processor decode. */
enum x86_mode x86_cpu_mode(const struct x86_cpu *cpu);

/**
 * The linear address of `offset` in a segment (X86_SEG_*), for an access of `size` bytes. Checks the segment's
 * limit, presence and type, or in 64-bit mode that the address is canonical; false with `fault` filled in if that
 * fails.
 */
MUST_CHECK bool x86_segment_linear(const struct x86_cpu *cpu, enum x86_mode mode, unsigned segment, uint64_t offset,
                                   unsigned size, bool is_write, uint64_t *linear, struct x86_fault *fault);

/**
 * The linear address of the memory operand of `insn`, which `cpu` is about to execute, for an access of `size`
 * bytes; false with `fault` filled in if the segment forbids it. The caller has checked insn->has_memory. For
 * string instructions, and for BT with a register, which reach beyond the operand, x86_execute() computes its own.
 */
MUST_CHECK bool x86_linear_address(const struct x86_cpu *cpu, const struct x86_insn *insn, unsigned size, bool is_write,
                                   uint64_t *linear, struct x86_fault *fault);

/** Moves RIP behind the instruction and ends its RF, as completing it does. */
void x86_advance_rip(struct x86_cpu *cpu, const struct x86_insn *insn);

/**
 * Executes `insn`, which was decoded at cpu->rip in x86_cpu_mode(cpu).
 *
 * Supported: MOV (general registers, memory, immediates, moffs, from segment registers), MOVNTI, MOVZX, MOVSX, MOVSXD,
 * CMOVcc, SETcc, XCHG, XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B, ADD to CMP, TEST, INC, DEC, NOT, NEG, MUL, IMUL, DIV,
 * IDIV, shifts and rotations, BT to BTC, PUSH and POP of general registers, memory and immediates, IN, OUT, and MOVS,
 * STOS, LODS, CMPS, SCAS, INS, OUTS with their repetitions; between memory and XMM or YMM registers MOVUPS, MOVAPS,
 * MOVDQU, MOVDQA and their kin, MOVSS, MOVSD, MOVD, MOVQ, MOVLPS, MOVHPS, the streaming moves, and the VEX forms of all
 * these. LOCK is accepted, but the read and the write are two callbacks. Single-stepping, interrupt shadows, alignment
 * checks by RFLAGS.AC, and what XCR0 has switched off are the caller's.
 *
 * When a callback answers X86_ACCESS_RETRY the result is X86_EXECUTE_AGAIN. If that is the write of an
 * instruction that has read before, the read is done again later.
 */
MUST_CHECK enum x86_execute_status x86_execute(struct x86_cpu *cpu, const struct x86_insn *insn,
                                               const struct x86_memory_ops *ops, void *context,
                                               struct x86_fault *fault);

#endif
