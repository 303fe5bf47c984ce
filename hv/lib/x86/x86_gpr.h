/* SPDX-License-Identifier: MIT */
#ifndef X86_X86_GPR_H
#define X86_X86_GPR_H

/*
 * For assembly: general registers to and from an array in encoding order (RAX RCX RDX RBX RSP RBP RSI RDI R8 to R15),
 * but for RAX, which callers need last or first, and RSP. X86_LOAD_GPRS takes the array from RDI, X86_STORE_GPRS from
 * RAX. No flag changes.
 */
/* clang-format off */
#define X86_LOAD_GPRS                                                                                                  \
    mov 0x08(%rdi), %rcx;                                                                                              \
    mov 0x10(%rdi), %rdx;                                                                                              \
    mov 0x18(%rdi), %rbx;                                                                                              \
    mov 0x28(%rdi), %rbp;                                                                                              \
    mov 0x30(%rdi), %rsi;                                                                                              \
    mov 0x40(%rdi), %r8;                                                                                               \
    mov 0x48(%rdi), %r9;                                                                                               \
    mov 0x50(%rdi), %r10;                                                                                              \
    mov 0x58(%rdi), %r11;                                                                                              \
    mov 0x60(%rdi), %r12;                                                                                              \
    mov 0x68(%rdi), %r13;                                                                                              \
    mov 0x70(%rdi), %r14;                                                                                              \
    mov 0x78(%rdi), %r15;                                                                                              \
    mov 0x38(%rdi), %rdi

#define X86_STORE_GPRS                                                                                                 \
    mov %rcx, 0x08(%rax);                                                                                              \
    mov %rdx, 0x10(%rax);                                                                                              \
    mov %rbx, 0x18(%rax);                                                                                              \
    mov %rbp, 0x28(%rax);                                                                                              \
    mov %rsi, 0x30(%rax);                                                                                              \
    mov %rdi, 0x38(%rax);                                                                                              \
    mov %r8, 0x40(%rax);                                                                                               \
    mov %r9, 0x48(%rax);                                                                                               \
    mov %r10, 0x50(%rax);                                                                                              \
    mov %r11, 0x58(%rax);                                                                                              \
    mov %r12, 0x60(%rax);                                                                                              \
    mov %r13, 0x68(%rax);                                                                                              \
    mov %r14, 0x70(%rax);                                                                                              \
    mov %r15, 0x78(%rax)
/* clang-format on */

#endif
