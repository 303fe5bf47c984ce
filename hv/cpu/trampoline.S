/* SPDX-License-Identifier: MIT */
/*
 * The first instructions of a processor that was started by a start-up IPI: from real mode at the page that
 * cpu_start.c copied this to, straight to 64-bit mode under provisional tables (that page at its own address, and the
 * upper half), then to trampoline_high in the image. The words at the end are filled in before.
 */
#include "hv/cpu/trampoline.h"
#include "hv/lib/x86/x86_regs.h"

#define AT(label) (label - trampoline_start)

    .section .rodata
    .balign 16
    .globl trampoline_start, trampoline_end
trampoline_start:
    .code16
    cli
    cld
    mov %cs, %ax
    mov %ax, %ds
    lgdtl AT(gdt_pointer)
    mov $X86_CR4_PAE, %eax
    mov %eax, %cr4
    mov AT(provisional_root), %eax
    mov %eax, %cr3
    mov $X86_MSR_EFER, %ecx
    mov $(X86_EFER_LME | X86_EFER_NXE), %eax
    xor %edx, %edx
    wrmsr
    mov $(X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_ET | X86_CR0_MP | X86_CR0_PE), %eax
    mov %eax, %cr0
    ljmpl *AT(long_mode_pointer)

    .code64
long_mode:
    mov stack(%rip), %rsp
    mov root(%rip), %rbx
    mov cpu(%rip), %rdi
    mov high(%rip), %rax
    jmp *%rax

    .balign 8
gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
    .short . - gdt - 1
    /* From here on the order is struct trampoline_words. */
    .globl trampoline_words
trampoline_words:
gdt_address:
    .long AT(gdt)
long_mode_pointer:
    .long AT(long_mode)
    .short 8
    .short 0
provisional_root:
    .long 0
root:
    .quad 0
stack:
    .quad 0
cpu:
    .quad 0
high:
    .quad trampoline_high
trampoline_end:

    .text
    .globl trampoline_high
    .type trampoline_high, @function
trampoline_high:
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov %rbx, %cr3
    xor %ebp, %ebp
    pushq $0
    jmp cpu_start_here

    .section .note.GNU-stack, "", @progbits
