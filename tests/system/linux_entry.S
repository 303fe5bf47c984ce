/* SPDX-License-Identifier: MIT */
/*
 * The way into a Linux kernel that is not compressed, for level 1 of nested tests. tests/system/bzimage.py puts it in
 * front of the kernel where a bzImage has its decompressor. So a boot loader enters it in 32-bit protected mode with
 * the address of the boot parameters in ESI. The kernel wants 64-bit mode with memory mapped where it is, and that
 * address in RSI (The Linux/x86 Boot Protocol, 64-bit Boot Protocol).
 */
#include "hv/lib/x86/x86_regs.h"

#define TABLE_FLAGS (X86_PTE_P | X86_PTE_W)
#define LARGE_FLAGS (X86_PTE_P | X86_PTE_W | X86_PTE_PS)
#define LARGE_BYTES 0x200000
#define LARGE_COUNT 2048
#define BOOT_CS 0x10
#define BOOT_DS 0x18
#define CODE_64 0x00af9a000000ffff
#define DATA_32 0x00cf92000000ffff
#define KERNEL 0x1000000

    .text
    .code32
    .globl linux_entry
linux_entry:
    cli
    lgdt descriptor_table_register
    mov $tables, %eax
    mov %eax, %cr3
    mov %cr4, %eax
    or $X86_CR4_PAE, %eax
    mov %eax, %cr4
    mov $X86_MSR_EFER, %ecx
    rdmsr
    or $X86_EFER_LME, %eax
    wrmsr
    mov %cr0, %eax
    or $X86_CR0_PG, %eax
    mov %eax, %cr0
    ljmp $BOOT_CS, $entry_64

    .code64
entry_64:
    mov $BOOT_DS, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %esi, %esi
    mov $KERNEL, %eax
    jmp *%rax

    .balign 8
descriptor_table:
    .quad 0, 0, CODE_64, DATA_32
descriptor_table_end:
descriptor_table_register:
    .short descriptor_table_end - descriptor_table - 1
    .long descriptor_table

    /* The first 4 GiB by pages of 2 MiB. */
    .balign 4096
tables:
    .quad directory_pointers + TABLE_FLAGS
    .balign 4096
directory_pointers:
    .quad directories + TABLE_FLAGS, directories + 0x1000 + TABLE_FLAGS
    .quad directories + 0x2000 + TABLE_FLAGS, directories + 0x3000 + TABLE_FLAGS
    .balign 4096
directories:
    .set address, 0
    .rept LARGE_COUNT
    .quad address + LARGE_FLAGS
    .set address, address + LARGE_BYTES
    .endr

    .section .note.GNU-stack, "", @progbits
