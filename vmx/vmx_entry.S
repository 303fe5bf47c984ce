/* SPDX-License-Identifier: MIT */
/*
 * The world switch, and back at once if vmx_fast_exit() has done all that the exit asked for. VM entry and exit swap
 * RSP, RIP, RFLAGS, control registers, segments and what else the VMCS holds; the general registers are swapped here.
 * Interrupts are off throughout: one that is pending ends guest mode at once. HOST_RSP is written only when the stack
 * lies elsewhere than at the last entry of this VP.
 */
#include "hv/lib/x86/x86_gpr.h"

#define VMCS_HOST_RSP 0x6c14

    .text
    .globl vmx_enter, vmx_exit_point
    .type vmx_enter, @function
/* bool vmx_enter(struct vp *vp [rdi], uint64_t *host_rsp [rsi], bool is_launched [dl]); the VP begins with its
 * registers */
vmx_enter:
    push %rbp
    mov %rsp, %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    push %rdi
    cmp %rsp, (%rsi)
    je 1f
    mov %rsp, (%rsi)
    mov $VMCS_HOST_RSP, %eax
    vmwrite %rsp, %rax
1:
    test %dl, %dl
2:
    /* No flag changes from here to the jump. */
    mov 0x00(%rdi), %rax
    X86_LOAD_GPRS
    jz 3f
    vmresume
    jmp 4f
3:
    vmlaunch
4:
    /* Not entered: the guest's registers are unchanged in memory. */
    add $8, %rsp
    xor %eax, %eax
    jmp 5f
vmx_exit_point:
    push %rax
    mov 8(%rsp), %rax
    X86_STORE_GPRS
    pop (%rax)
    mov %rax, %rdi
    call vmx_fast_exit
    mov (%rsp), %rdi
    test %al, %al
    jnz 2b
    add $8, %rsp
    mov $1, %eax
5:
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
    .size vmx_enter, . - vmx_enter
    .section .note.GNU-stack, "", @progbits
