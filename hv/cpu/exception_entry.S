/* SPDX-License-Identifier: MIT */
/*
 * The 256 IDT entry points. The stubs have fixed sizes, so that their addresses can be computed: 16 bytes each for the
 * exceptions, 8 bytes each for the interrupts. No SWAPGS: nothing less privileged ever runs under this IDT.
 */
#include "hv/cpu/entry_sizes.h"

/* Vectors whose exceptions push an error code: 8, 10-14, 17, 21, 29, 30. */
#define ERROR_CODE_VECTORS 0x60227d00

    .text
    .balign EXCEPTION_STUB_BYTES
    .globl exception_stubs
    .type exception_stubs, @function
exception_stubs:
    vector = 0
    .rept EXCEPTION_STUB_COUNT
    .balign EXCEPTION_STUB_BYTES
    .if ((ERROR_CODE_VECTORS >> vector) & 1) == 0
    pushq $0
    .endif
    pushq $vector
    jmp exception_common
    vector = vector + 1
    .endr

    .balign INTERRUPT_STUB_BYTES
    .globl interrupt_stubs
    .type interrupt_stubs, @function
interrupt_stubs:
    vector = EXCEPTION_STUB_COUNT
    .rept INTERRUPT_STUB_COUNT
    .balign INTERRUPT_STUB_BYTES
    /* Biased so that every vector fits a byte: the stub must stay within 8 bytes. */
    pushq $(vector - 128)
    jmp interrupt_common
    vector = vector + 1
    .endr

    .balign 16
    .type exception_common, @function
exception_common:
    cld
    push %rax
    push %rbx
    push %rcx
    push %rdx
    push %rsi
    push %rdi
    push %rbp
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %rdi
    /* A frame of its own, so that the chain leads from the handler to the interrupted function. */
    pushq 17 * 8(%rdi)
    push %rbp
    mov %rsp, %rbp
    /* Below the saved registers the stack need not be aligned: not every exception comes from an aligned one. */
    and $-16, %rsp
    mov %rdi, %rbx
    call exception_handle
    mov %rbx, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rbp
    pop %rdi
    pop %rsi
    pop %rdx
    pop %rcx
    pop %rbx
    pop %rax
    add $16, %rsp
    iretq

    .balign 16
    .type interrupt_common, @function
interrupt_common:
    /* The processor aligned the stack before its five pushes; the stub made that six. */
    push %rax
    push %rcx
    push %rdx
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    sub $8, %rsp
    pushq 11 * 8(%rsp)
    push %rbp
    mov %rsp, %rbp
    mov 12 * 8(%rsp), %rdi
    add $128, %rdi
    call interrupt_handle
    pop %rbp
    add $16, %rsp
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rdx
    pop %rcx
    pop %rax
    add $8, %rsp
    iretq

/*
 * bool msr_read_safe(uint32_t msr, uint64_t *value): a #GP at the instruction goes on at its fixup with the registers
 * as they were, so EAX and EDX are cleared before.
 */
    .balign 16
    .globl msr_read_safe
    .type msr_read_safe, @function
msr_read_safe:
    mov %edi, %ecx
    xor %eax, %eax
    xor %edx, %edx
msr_read_instruction:
    rdmsr
    shl $32, %rdx
    or %rdx, %rax
    mov %rax, (%rsi)
    mov $1, %eax
    ret
msr_read_fixup:
    movq $0, (%rsi)
    xor %eax, %eax
    ret

/* bool msr_write_safe(uint32_t msr, uint64_t value) */
    .balign 16
    .globl msr_write_safe
    .type msr_write_safe, @function
msr_write_safe:
    mov %edi, %ecx
    mov %rsi, %rdx
    mov %esi, %eax
    shr $32, %rdx
msr_write_instruction:
    wrmsr
    mov $1, %eax
    ret
msr_write_fixup:
    xor %eax, %eax
    ret

    .section .fixups, "a", @progbits
    .balign 8
    .quad msr_read_instruction, msr_read_fixup
    .quad msr_write_instruction, msr_write_fixup

    .section .note.GNU-stack, "", @progbits
