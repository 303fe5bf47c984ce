/* SPDX-License-Identifier: MIT */
/* The floor's world switches: the general registers and nothing else. The whole image lies below 4 GiB at its own
 * address. */
#include "hv/lib/x86/x86_gpr.h"

    .text
    .globl floor_svm_loop
floor_svm_loop:
    mov $floor_gpr, %edi
    X86_LOAD_GPRS
    mov $floor_vmcb, %eax
    vmrun %rax
    mov $floor_gpr, %eax
    X86_STORE_GPRS
    call floor_svm_exit
    jmp floor_svm_loop

    .globl floor_vmx_launch, floor_vmx_exit_point
/* Comes back only if the processor refuses. */
floor_vmx_launch:
    mov $floor_gpr, %edi
    X86_LOAD_GPRS
    vmlaunch
    ret
floor_vmx_exit_point:
    push %rax
    mov $floor_gpr, %eax
    X86_STORE_GPRS
    pop (%rax)
    call floor_vmx_exit
    mov $floor_gpr, %edi
    mov (%rdi), %rax
    X86_LOAD_GPRS
    vmresume
    mov $floor_gpr, %edi
    jmp floor_vmx_refused
    .section .note.GNU-stack, "", @progbits
