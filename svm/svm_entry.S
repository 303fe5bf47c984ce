/* SPDX-License-Identifier: MIT */
/*
 * The world switch, and back at once if svm_fast_exit() has done all that the exit asked for. VMRUN itself swaps RAX,
 * RSP, RIP, RFLAGS and the state save area; VMLOAD/VMSAVE swap FS, GS, TR, LDTR and the system-call MSRs; the other
 * registers are swapped here. Global interrupts are off (CLGI) from before interrupts are enabled until after they are
 * disabled again, so no physical interrupt is taken between; one that comes in guest mode ends it.
 */
#include "hv/lib/x86/x86_gpr.h"

    .text
    .globl svm_enter
    .type svm_enter, @function
/* svm_enter(struct vp *vp [rdi], spa_t vmcb [rsi], spa_t host_vmcb [rdx]); the VP begins with its registers */
svm_enter:
    push %rbp
    mov %rsp, %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    push %rdx
    push %rsi
    push %rdi
1:
    mov 8(%rsp), %rax
    X86_LOAD_GPRS
    clgi
    sti
    vmload %rax
    vmrun %rax
    vmsave %rax
    mov 16(%rsp), %rax
    vmload %rax
    cli
    stgi
    mov (%rsp), %rax
    X86_STORE_GPRS
    mov %rax, %rdi
    call svm_fast_exit
    mov (%rsp), %rdi
    test %al, %al
    jnz 1b
    add $24, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
    .size svm_enter, . - svm_enter
    .section .note.GNU-stack, "", @progbits
