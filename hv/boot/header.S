/* SPDX-License-Identifier: MIT */
/*
 * What boot loaders look for: a Multiboot1 header with address fields (QEMU's -kernel takes an ELF64 only so) and a
 * Multiboot2 header (GRUB on BIOS and UEFI; without an EFI entry tag it hands over in 32-bit protected mode on both).
 */
#include "hv/boot/multiboot_format.h"

#define PHYS(symbol) ((symbol) - 0xffffffff80000000)
#define MB1_FLAGS (MB1_HEADER_PAGE_ALIGN | MB1_HEADER_MEMORY_INFO | MB1_HEADER_ADDRESSES)

    .section .multiboot, "a", @progbits
    .balign 8
mb1_header:
    .long MB1_HEADER_MAGIC
    .long MB1_FLAGS
    .long -(MB1_HEADER_MAGIC + MB1_FLAGS)
    .long PHYS(mb1_header)
    .long PHYS(image_start)
    .long PHYS(image_bss_start)
    .long PHYS(image_end)
    .long PHYS(boot_entry)

    .balign 8
mb2_header:
    .long MB2_HEADER_MAGIC
    .long MB2_HEADER_I386
    .long mb2_header_end - mb2_header
    .long -(MB2_HEADER_MAGIC + MB2_HEADER_I386 + (mb2_header_end - mb2_header))

    /* Wanted from the loader in any case: command line, modules, memory map. */
mb2_request:
    .short MB2_HEADER_TAG_REQUEST, 0
    .long mb2_request_end - mb2_request
    .long MB2_TAG_COMMAND_LINE, MB2_TAG_MODULE, MB2_TAG_MEMORY_MAP
mb2_request_end:

    /* Wanted if it has them: the loader's name and the ACPI root pointers. */
    .balign 8
mb2_request_optional:
    .short MB2_HEADER_TAG_REQUEST, MB2_HEADER_TAG_OPTIONAL
    .long mb2_request_optional_end - mb2_request_optional
    .long MB2_TAG_LOADER_NAME, MB2_TAG_ACPI_OLD, MB2_TAG_ACPI_NEW
mb2_request_optional_end:

    .balign 8
    .short MB2_HEADER_TAG_MODULE_ALIGN, 0
    .long 8

    .balign 8
    .short MB2_HEADER_TAG_END, 0
    .long 8
mb2_header_end:

    .section .note.GNU-stack, "", @progbits
