/* SPDX-License-Identifier: MIT */
/*
 * Where execution enters minroot: PVH entry of the boot processor, start-up of the others, interrupts and exceptions.
 */
#include "hv/lib/x86/x86_regs.h"
#include "partitions/root/kernel/layout.h"

    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 8, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .quad entry32

    .text
    .code32
/* EBX: the start info. Flat 32-bit protected mode, paging off, no stack. */
    .globl entry32
entry32:
    cli
    cld
    movl $cpu_stacks + KERNEL_STACK_STRIDE, %esp
    /* The first 4 GiB in 2 MiB pages; memory.c takes rights away and adds what lies above. */
    movl $kernel_pd, %edi
    movl $(X86_PTE_P | X86_PTE_W | X86_PTE_PS), %eax
    xorl %edx, %edx
    movl $2048, %ecx
1:  movl %eax, (%edi)
    movl %edx, 4(%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 1b
    movl $(kernel_pd + X86_PTE_P + X86_PTE_W), %eax
    movl $kernel_pdpt, %edi
    movl $4, %ecx
1:  movl %eax, (%edi)
    addl $0x1000, %eax
    addl $8, %edi
    loop 1b
    movl $(kernel_pdpt + X86_PTE_P + X86_PTE_W), kernel_pml4
    movl %ebx, %esi
    movl $boot_main, %edi
    xorl %ebp, %ebp

/* ESI: argument, EDI: function to call in long mode, ESP: stack. */
enable_long_mode:
    movl $X86_CR4_PAE, %eax
    movl %eax, %cr4
    movl $kernel_pml4, %eax
    movl %eax, %cr3
    movl $X86_MSR_EFER, %ecx
    rdmsr
    orl $(X86_EFER_LME | X86_EFER_NXE), %eax
    wrmsr
    movl $(X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_ET | X86_CR0_MP | X86_CR0_PE), %eax
    movl %eax, %cr0
    lgdt boot_gdt_pointer
    ljmp $KERNEL_CS, $1f
    .code64
1:  movl $KERNEL_DS, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl %edi, %eax
    movl %esi, %edi
    movl %esp, %esp
    call *%rax
2:  cli
    hlt
    jmp 2b

/* What a start-up IPI runs, copied to a page below 1 MiB: real mode, CS base is the page. */
    .code16
    .globl trampoline_start, trampoline_end
trampoline_start:
    cli
    lgdtl %cs:(trampoline_gdt_pointer - trampoline_start)
    movl $(X86_CR0_ET | X86_CR0_PE), %eax
    movl %eax, %cr0
    ljmpl $KERNEL_CS32, $ap_entry32
    .balign 4
trampoline_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .long boot_gdt
trampoline_end:

    .code32
ap_entry32:
    movl $KERNEL_DS, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl ap_stack, %esp
    movl ap_cpu, %esi
    movl $ap_main, %edi
    xorl %ebp, %ebp
    jmp enable_long_mode

    .code64
/* One entry point per vector, 16 bytes apart; leaves vector and error code (or 0) on the stack. */
    .balign 16
    .globl interrupt_entries
interrupt_entries:
vector = 0
    .rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    pushq $0
    .endif
    pushq $vector
    jmp interrupt_common
vector = vector + 1
    .endr

/* Builds a struct trap_frame (trap.h). */
interrupt_common:
    .irp register, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    pushq %\register
    .endr
    cld
    movq %rsp, %rdi
    call trap_handle
    .irp register, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
    popq %\register
    .endr
    addq $16, %rsp
    iretq

/* Filled by hyperv.c. */
    .balign 4096
    .globl hypercall_page
hypercall_page:
    .skip 4096, 0xcc

    .data
    .balign 16
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* KERNEL_CS */
    .quad 0x00cf93000000ffff /* KERNEL_DS */
    .quad 0x00cf9b000000ffff /* KERNEL_CS32 */
boot_gdt_end:
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .quad boot_gdt

/* Written by smp.c before it starts a processor; below 4 GiB both. */
    .globl ap_stack, ap_cpu
ap_stack:
    .quad 0
ap_cpu:
    .quad 0

    .bss
    .balign 4096
    .globl kernel_pml4, kernel_pdpt, kernel_pd, image_pt, cpu_stacks
kernel_pml4:
    .skip 4096
kernel_pdpt:
    .skip 4096
kernel_pd:
    .skip 4 * 4096
image_pt:
    .skip 4096
/* Each: a guard page that memory.c unmaps, then the stack. */
cpu_stacks:
    .skip KERNEL_CPU_MAX * KERNEL_STACK_STRIDE

    .section .note.GNU-stack, "", @progbits
