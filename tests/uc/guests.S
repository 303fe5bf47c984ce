/* SPDX-License-Identifier: MIT */
#include "tests/uc/guests.h"

    .section .rodata
    .code64
    .globl uc_smp_guest, uc_smp_other, uc_smp_end
uc_smp_guest:
    call *%rax
    testb %al, %al
    jnz 2f
1:  pause
    cmpl $UC_GUEST_MAGIC, (%rbx)
    jne 1b
2:  outb %al, $UC_GUEST_EXIT_PORT
uc_smp_other:
    pushq $UC_GUEST_MAGIC
    hlt
uc_smp_end:

    .globl uc_mmio_guest, uc_mmio_end
uc_mmio_guest:
    cld
    movl $0x11223344, (%rbx)
    orl $0x88000000, (%rbx)
    btsl $4, (%rbx)
    movzbl 1(%rbx), %eax
    movb %al, 4(%rbx)
    movl $0xaabbccdd, %eax
    xchgl %eax, 8(%rbx)
    notl %eax
    lock xaddl %eax, 12(%rbx)
    movl $4, %ecx
    leaq 16(%rbx), %rdi
    rep movsl
    pushq 16(%rbx)
    popq 32(%rbx)
    incw 34(%rbx)
    shrq $4, 40(%rbx)
    cmpl $0x99223354, (%rbx)
    sete 48(%rbx)
    xorl %eax, %eax
    outb %al, $UC_GUEST_EXIT_PORT
uc_mmio_end:

    .section .note.GNU-stack, "", @progbits
