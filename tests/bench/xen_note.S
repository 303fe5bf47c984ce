/* SPDX-License-Identifier: MIT */
/* The ELF note by which Xen finds the PVH entry of a kernel. */

#define XEN_ELFNOTE_PHYS32_ENTRY 18

    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY /* bytes of the name, of the value; type */
    .asciz "Xen"
    .long guest_entry32
    .section .note.GNU-stack, "", @progbits
