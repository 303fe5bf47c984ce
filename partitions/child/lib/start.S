/* SPDX-License-Identifier: MIT */
/*
 * Start of a bare guest: Multiboot1 header, way to long mode with the first 4 GiB mapped at their own addresses, the
 * same for other VPs, interrupt entries, and instructions that may fault.
 */
#include "hv/lib/x86/x86_regs.h"
#include "partitions/child/lib/layout.h"

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x00010002 /* memory information, address fields */

    .section .multiboot, "a"
    .balign 4
multiboot_header:
    .long MULTIBOOT_MAGIC
    .long MULTIBOOT_FLAGS
    .long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
    .long multiboot_header
    .long guest_start
    .long guest_load_end
    .long guest_end
    .long guest_entry32

    .text
    .code32
/* EBX: Multiboot information. */
    .globl guest_entry32
guest_entry32:
    cli
    cld
    movl $(guest_stacks + GUEST_STACK_BYTES), %esp
    movl $guest_pd, %edi
    movl $(X86_PTE_P | X86_PTE_W | X86_PTE_PS), %eax
    movl $2048, %ecx
1:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 1b
    movl $(guest_pd + X86_PTE_P + X86_PTE_W), %eax
    movl $guest_pdpt, %edi
    movl $4, %ecx
1:  movl %eax, (%edi)
    addl $0x1000, %eax
    addl $8, %edi
    loop 1b
    movl $(guest_pdpt + X86_PTE_P + X86_PTE_W), guest_pml4
    movl %ebx, %esi
    movl $guest_begin, %edi

/* ESI: argument, EDI: function, ESP: stack. */
guest_long_mode:
    movl $(X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT), %eax
    movl %eax, %cr4
    movl $guest_pml4, %eax
    movl %eax, %cr3
    movl $X86_MSR_EFER, %ecx
    rdmsr
    orl $X86_EFER_LME, %eax
    wrmsr
    movl $(X86_CR0_PG | X86_CR0_NE | X86_CR0_ET | X86_CR0_MP | X86_CR0_PE), %eax
    movl %eax, %cr0
    lgdt guest_gdt_pointer
    ljmp $GUEST_CS, $1f
    .code64
1:  movl $GUEST_DS, %eax
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

/* What a start-up IPI runs, copied to GUEST_TRAMPOLINE. */
    .code16
    .globl guest_trampoline, guest_trampoline_end
guest_trampoline:
    cli
    lgdtl %cs:(trampoline_gdt_pointer - guest_trampoline)
    movl $(X86_CR0_ET | X86_CR0_PE), %eax
    movl %eax, %cr0
    ljmpl $GUEST_CS32, $guest_ap_entry32
    .balign 4
trampoline_gdt_pointer:
    .word guest_gdt_end - guest_gdt - 1
    .long guest_gdt
guest_trampoline_end:

    .code32
/* Each VP that arrives takes the next number, and with it a stack. */
guest_ap_entry32:
    movl $GUEST_DS, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $1, %esi
    lock xaddl %esi, guest_ap_next
    cmpl $GUEST_CPU_MAX, %esi
    jae 2f
    movl %esi, %esp
    incl %esp
    imull $GUEST_STACK_BYTES, %esp
    addl $guest_stacks, %esp
    movl $guest_ap_begin, %edi
    jmp guest_long_mode
2:  hlt
    jmp 2b

    .code64
    .balign 16
    .globl guest_interrupt_entries
guest_interrupt_entries:
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

/* Builds a struct guest_frame. */
interrupt_common:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rbx
    pushq %rbp
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
    call guest_interrupt
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rbp
    popq %rbx
    popq %rdx
    popq %rcx
    popq %rax
    addq $16, %rsp
    iretq

/*
 * uint32_t guest_try(const void *code, uint64_t *registers): calls the code with RAX, RCX, RDX, RBX, RSI, RDI from the
 * six quadwords and stores them there again; 0, or the vector of the exception that it raised, plus 1. Boot VP only.
 */
    .globl guest_try
guest_try:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rsi
    movq %rsp, guest_try_rsp
    leaq 1f(%rip), %rax
    movq %rax, guest_try_rip
    movq %rdi, %r8
    movq %rsi, %r9
    movq (%r9), %rax
    movq 8(%r9), %rcx
    movq 16(%r9), %rdx
    movq 24(%r9), %rbx
    movq 32(%r9), %rsi
    movq 40(%r9), %rdi
    call *%r8
    movq (%rsp), %r9
    movq %rax, (%r9)
    movq %rcx, 8(%r9)
    movq %rdx, 16(%r9)
    movq %rbx, 24(%r9)
    movq %rsi, 32(%r9)
    movq %rdi, 40(%r9)
    movl $0, guest_try_vector
1:  movq $0, guest_try_rip
    movl guest_try_vector, %eax
    popq %rsi
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    cld
    ret

    .data
    .balign 16
guest_gdt:
    .quad 0
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
    .quad 0x00cf9b000000ffff
guest_gdt_end:
    .globl guest_gdt_pointer
guest_gdt_pointer:
    .word guest_gdt_end - guest_gdt - 1
    .quad guest_gdt
    .globl guest_ap_next, guest_try_rip, guest_try_rsp, guest_try_vector
guest_ap_next:
    .long 1
guest_try_vector:
    .long 0
guest_try_rip:
    .quad 0
guest_try_rsp:
    .quad 0

    .bss
    .balign 4096
    .globl guest_pml4, guest_pdpt, guest_pd
guest_pml4:
    .skip 4096
guest_pdpt:
    .skip 4096
guest_pd:
    .skip 4 * 4096
guest_stacks:
    .skip GUEST_CPU_MAX * GUEST_STACK_BYTES

    .section .note.GNU-stack, "", @progbits
