/* SPDX-License-Identifier: MIT */
/*
 * The world switch. VM entry and exit swap RSP, RIP, RFLAGS, control registers, segments and what else the VMCS holds;
 * the general registers are swapped here. Interrupts are off throughout: one that is pending ends guest mode at once.
 * HOST_RSP is written only when the stack lies elsewhere than at the last entry of this VP.
 */
#define VMCS_HOST_RSP 0x6c14

    .text
    .globl vmx_enter, vmx_exit_point
    .type vmx_enter, @function
/* bool vmx_enter(struct vp_regs *regs [rdi], uint64_t *host_rsp [rsi], bool is_launched [dl]) */
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
    /* No flag changes from here to the jump. */
    mov 0x00(%rdi), %rax
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
    jz 2f
    vmresume
    jmp 3f
2:
    vmlaunch
3:
    /* Not entered: the guest's registers are unchanged in memory. */
    add $8, %rsp
    xor %eax, %eax
    jmp 4f
vmx_exit_point:
    push %rax
    mov 8(%rsp), %rax
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
    pop (%rax)
    add $8, %rsp
    mov $1, %eax
4:
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
    .size vmx_enter, . - vmx_enter
    .section .note.GNU-stack, "", @progbits
