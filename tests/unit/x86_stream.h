/* SPDX-License-Identifier: MIT */
/*
 * Streams of generated instructions that hv/lib/x86 executes while they are made: straight code whose memory operands
 * lie in one small piece of memory. For comparing with another processor that runs the same code.
 */
#ifndef UNIT_X86_STREAM_H
#define UNIT_X86_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/x86/x86_execute.h"

/* Below 64 KiB, so that 16-bit addresses reach it. Operands begin in the middle half. */
#define STREAM_DATA_BASE 0x4000u
#define STREAM_DATA_SIZE 0x4000u
/* Real mode reaches 64 KiB of code with one value of CS. */
#define STREAM_CODE_BASE 0x20000u
#define STREAM_CODE_SIZE 0x10000u
#define STREAM_FS_BASE   0x1230u
#define STREAM_GS_BASE   0x0550u

#define STREAM_INSN_MAX 96

/** Memory, ports and vector registers behind the callbacks of the executor. */
struct stream_machine {
    uint8_t data[STREAM_DATA_SIZE]; /* linear addresses from STREAM_DATA_BASE on */
    struct x86_vector vectors[16];
    uint32_t port_in_count;
    uint64_t port_log; /* digest of all that went through ports */
};

/** Everything that an instruction can change. */
struct stream_state {
    struct x86_cpu cpu;
    struct stream_machine machine;
};

/** One instruction of a stream. */
struct stream_insn {
    uint64_t rip;
    struct x86_insn insn;
    uint64_t undefined; /* status flags that the manual, or the other processor, leaves open behind it */
};

/** One stream: where it begins, its code, and where it ended. */
struct stream {
    enum x86_mode mode;
    struct stream_state before;
    struct stream_state after;
    uint8_t code[2048];
    uint32_t code_bytes;
    uint32_t insn_count;
    uint32_t move_count; /* of them, those that only set registers for others */
    struct stream_insn insns[STREAM_INSN_MAX];
    bool ends_with_fault; /* a division error of the last instruction */
};

/** The status flags that the other processor is known to get wrong, or STREAM_LEFT_OUT: it shall not be made. */
typedef uint64_t (*stream_wrong_flags)(const struct x86_insn *insn);
#define STREAM_LEFT_OUT UINT64_MAX

/** The port read number `machine->port_in_count`, counted and logged; a port written, logged. */
uint32_t stream_port_in(struct stream_machine *machine, uint16_t port, unsigned size);
void stream_port_out(struct stream_machine *machine, uint16_t port, unsigned size, uint32_t value);

/** Callbacks over a struct stream_machine. */
extern const struct x86_memory_ops stream_ops;

/**
 * Makes the stream of `seed` and executes it. `selectors`: by X86_SEG_*, what the other processor has. False with a
 * line on stderr if the executor refuses an instruction that it promises.
 */
bool stream_make(struct stream *stream, enum x86_mode mode, uint64_t seed, const uint16_t selectors[X86_SEG_COUNT],
                 stream_wrong_flags wrong_flags);

/** Executes instruction `index` of the stream on `state`. */
enum x86_execute_status stream_execute(const struct stream *stream, uint32_t index, struct stream_state *state);

#endif
