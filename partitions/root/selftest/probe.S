/* SPDX-License-Identifier: MIT */
/* Accesses that may fault, for the self-tests. */
#include "partitions/root/kernel/layout.h"

    .text
/* Arms the probe: a fault continues at the label `fault` with this stack; trap.c leaves vector + 1 in the CPU block. */
    .macro probe_begin fault
    leaq \fault(%rip), %rax
    movq %rsp, %gs:CPU_PROBE_RSP
    movq %rax, %gs:CPU_PROBE_RIP
    .endm

/* uint32_t probe_read(uint64_t address, uint8_t *value): 0, or the fault's vector + 1. */
    .globl probe_read
probe_read:
    probe_begin probe_fault
    movb (%rdi), %al
    movb %al, (%rsi)
    jmp probe_done

/* uint32_t probe_write(uint64_t address, uint8_t value). */
    .globl probe_write
probe_write:
    probe_begin probe_fault
    movb %sil, (%rdi)
    jmp probe_done

/* uint32_t probe_execute(uint64_t address). */
    .globl probe_execute
probe_execute:
    probe_begin probe_fault
    subq $8, %rsp
    call *%rdi
    addq $8, %rsp
    jmp probe_done

probe_done:
    xorl %eax, %eax
    movq $0, %gs:CPU_PROBE_RIP
    ret
probe_fault:
    movl %gs:CPU_PROBE_VECTOR, %eax
    ret

    .section .note.GNU-stack, "", @progbits
