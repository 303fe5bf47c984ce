/* SPDX-License-Identifier: MIT */
/*
 * From the boot loader to C: 32-bit protected mode without paging, physical addresses, to 64-bit mode at the linked
 * address. The provisional tables map the first 4 GiB three times: at 0, at the direct map, and (1 GiB of it) at the
 * image base; where the processor has 1 GiB pages the first two reach 512 GiB. hv/mem replaces them and nothing of
 * them remains.
 */
#include "hv/boot/multiboot_format.h"
#include "hv/cpu/stacks.h"
#include "hv/debug/stop.h"
#include "hv/lib/x86/x86_regs.h"

#define IMAGE_BASE 0xffffffff80000000
#define PHYS(symbol) ((symbol) - IMAGE_BASE)
#define TABLE_FLAGS (X86_PTE_P | X86_PTE_W)
#define LARGE_FLAGS (X86_PTE_P | X86_PTE_W | X86_PTE_PS)
#define CPUID_EXTENDED 0x80000000
#define CPUID_EXTENDED_FEATURES 0x80000001
#define CPUID_EDX_NX (1 << 20)
#define CPUID_EDX_HUGE_PAGES (1 << 26)
#define CPUID_EDX_LONG_MODE (1 << 29)
#define COM2 0x2f8
#define MB1_COMMAND_LINE_OFFSET 16
#define COMMAND_LINE_BYTES 1024

    .section .text.boot, "ax", @progbits
    .code32
    .globl boot_entry
    .type boot_entry, @function
boot_entry:
    cli
    cld
    mov %eax, %ebp
    mov %ebx, %esi
    /* Loaders clear .bss, but an address-field load of an old one need not. */
    mov $PHYS(image_bss_start), %edi
    mov $PHYS(image_end), %ecx
    sub %edi, %ecx
    shr $2, %ecx
    xor %eax, %eax
    rep stosl
    mov %ebp, PHYS(boot_magic)
    mov %esi, PHYS(boot_information)
    mov $PHYS(boot_stacks) + CPU_STACK_MAIN_END, %esp

    mov $CPUID_EXTENDED, %eax
    cpuid
    cmp $CPUID_EXTENDED_FEATURES, %eax
    jb no_long_mode
    mov $CPUID_EXTENDED_FEATURES, %eax
    cpuid
    test $CPUID_EDX_LONG_MODE, %edx
    jz no_long_mode
    test $CPUID_EDX_NX, %edx
    jz no_nx
    mov %edx, %ebp

    /* 2048 entries of 2 MiB. */
    mov $PHYS(boot_directories), %edi
    mov $LARGE_FLAGS, %eax
    mov $2048, %ecx
1:  mov %eax, (%edi)
    add $8, %edi
    add $0x200000, %eax
    loop 1b

    mov $PHYS(boot_directories) + TABLE_FLAGS, %eax
    mov $PHYS(boot_pdpt_low), %edi
    mov $4, %ecx
2:  mov %eax, (%edi)
    add $8, %edi
    add $4096, %eax
    loop 2b

    test $CPUID_EDX_HUGE_PAGES, %ebp
    jz 4f
    /* Entry n maps n GiB: low half n << 30, high half n >> 2. */
    mov $4, %ecx
3:  mov %ecx, %eax
    shl $30, %eax
    or $LARGE_FLAGS, %eax
    mov %eax, (%edi)
    mov %ecx, %eax
    shr $2, %eax
    mov %eax, 4(%edi)
    add $8, %edi
    inc %ecx
    cmp $512, %ecx
    jne 3b

4:  movl $PHYS(boot_directories) + TABLE_FLAGS, PHYS(boot_pdpt_high) + 510 * 8
    movl $PHYS(boot_pdpt_low) + TABLE_FLAGS, PHYS(boot_pml4)
    movl $PHYS(boot_pdpt_low) + TABLE_FLAGS, PHYS(boot_pml4) + 256 * 8
    movl $PHYS(boot_pdpt_high) + TABLE_FLAGS, PHYS(boot_pml4) + 511 * 8

    mov $PHYS(boot_pml4), %eax
    mov %eax, %cr3
    mov $X86_CR4_PAE, %eax
    mov %eax, %cr4
    mov $X86_MSR_EFER, %ecx
    mov $(X86_EFER_LME | X86_EFER_NXE), %eax
    xor %edx, %edx
    wrmsr
    mov $(X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_ET | X86_CR0_MP | X86_CR0_PE), %eax
    mov %eax, %cr0
    lgdtl PHYS(boot_gdt_pointer)
    ljmpl $8, $PHYS(boot_long_mode)

no_long_mode:
    mov $PHYS(text_no_long_mode), %esi
    jmp say
no_nx:
    mov $PHYS(text_no_nx), %esi
say:
    mov $COM2, %edx
5:  lodsb
    test %al, %al
    jz stop
    mov %eax, %ebx
    /* Wait for an empty holding register, but not for ever: there may be no port. */
    add $5, %edx
    mov $100000, %ecx
6:  inb %dx, %al
    test $0x20, %al
    loopz 6b
    sub $5, %edx
    mov %ebx, %eax
    outb %al, %dx
    jmp 5b

/* As stop_machine() does: with onstop=poweroff it ends the emulator. Looks at Multiboot1's command line, or at all that
 * Multiboot2 says, without taking it apart. */
stop:
    mov PHYS(boot_information), %esi
    mov (%esi), %ecx
    cmpl $MB2_LOADER_MAGIC, PHYS(boot_magic)
    je 7f
    cmpl $MB1_LOADER_MAGIC, PHYS(boot_magic)
    jne halt
    test $MB1_INFO_COMMAND_LINE, %ecx
    jz halt
    mov MB1_COMMAND_LINE_OFFSET(%esi), %esi
    mov $COMMAND_LINE_BYTES, %ecx
7:  mov %esi, %ebx
    mov %ecx, %edx
    mov $PHYS(text_option), %edi
    mov $(text_option_end - text_option), %ecx
    repe cmpsb
    je end_emulator
    lea 1(%ebx), %esi
    mov %edx, %ecx
    loop 7b
halt:
    cli
    hlt
    jmp halt
end_emulator:
    mov $PHYS(text_shutdown), %esi
    mov $(text_shutdown_end - text_shutdown), %ecx
    mov $STOP_BOCHS_PORT, %edx
    rep outsb
    mov $STOP_CODE_STOPPED, %eax
    mov $STOP_QEMU_PORT, %edx
    outb %al, %dx
    jmp halt

    .code64
boot_long_mode:
    movabs $boot_high, %rax
    jmp *%rax
boot_high:
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov $boot_stacks + CPU_STACK_MAIN_END, %rsp
    /* The stack protector's canary: from the clock, lowest byte zero so that no string runs over it. */
    rdtsc
    shl $32, %rdx
    or %rdx, %rax
    movabs $0x9e3779b97f4a7c15, %rcx
    imul %rcx, %rax
    shl $8, %rax
    mov %rax, __stack_chk_guard
    mov boot_magic, %edi
    mov boot_information, %esi
    xor %ebp, %ebp
    pushq $0
    jmp hypervisor_main

    .section .rodata
text_no_long_mode:
    .asciz "partita: cannot run: this processor has no 64-bit mode\r\n"
text_no_nx:
    .asciz "partita: cannot run: this processor has no execute-disable bit (NX), or firmware turned it off\r\n"
text_option:
    .ascii "onstop=poweroff"
text_option_end:
text_shutdown:
    .ascii "Shutdown"
text_shutdown_end:
    .balign 8
boot_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdt_end:
boot_gdt_pointer:
    .short boot_gdt_end - boot_gdt - 1
    .long PHYS(boot_gdt)

    .data
    .balign 8
    .globl __stack_chk_guard
__stack_chk_guard:
    .quad 0

    .section .bss.pages, "aw", @nobits
    .balign 4096
boot_pml4:
    .skip 4096
boot_pdpt_low:
    .skip 4096
boot_pdpt_high:
    .skip 4096
boot_directories:
    .skip 4 * 4096

    .bss
    .balign 4
boot_magic:
    .skip 4
boot_information:
    .skip 4

    .section .note.GNU-stack, "", @progbits
