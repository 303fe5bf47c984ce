/* SPDX-License-Identifier: MIT */
/*
 * The world switch. VMRUN itself swaps RAX, RSP, RIP, RFLAGS and the state save area; VMLOAD/VMSAVE swap FS, GS, TR,
 * LDTR and the system-call MSRs; the other registers are swapped here. Global interrupts are off (CLGI) from before
 * interrupts are enabled until after they are disabled again, so no physical interrupt is taken between; one that comes
 * in guest mode ends it.
 */
    .text
    .globl svm_enter
    .type svm_enter, @function
/* svm_enter(struct vp_regs *regs [rdi], spa_t vmcb [rsi], spa_t host_vmcb [rdx]) */
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
    mov %rsi, %rax
    mov 0x08(%rdi), %rcx
    mov 0x10(%rdi), %rdx
    mov 0x18(%rdi), %rbx
    mov 0x28(%rdi), %rbp
    mov 0x30(%rdi), %rsi
    mov 0x40(%rdi), %r8
    mov 0x48(%rdi), %r9
    mov 0x50(%rdi), %r10
    mov 0x58(%rdi), %r11
    mov 0x60(%rdi), %r12
    mov 0x68(%rdi), %r13
    mov 0x70(%rdi), %r14
    mov 0x78(%rdi), %r15
    mov 0x38(%rdi), %rdi
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
    mov %rcx, 0x08(%rax)
    mov %rdx, 0x10(%rax)
    mov %rbx, 0x18(%rax)
    mov %rbp, 0x28(%rax)
    mov %rsi, 0x30(%rax)
    mov %rdi, 0x38(%rax)
    mov %r8, 0x40(%rax)
    mov %r9, 0x48(%rax)
    mov %r10, 0x50(%rax)
    mov %r11, 0x58(%rax)
    mov %r12, 0x60(%rax)
    mov %r13, 0x68(%rax)
    mov %r14, 0x70(%rax)
    mov %r15, 0x78(%rax)
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
