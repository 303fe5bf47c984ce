/* SPDX-License-Identifier: MIT */
/*
 * An empty symbol table, for the first of the image's two links and for programs that have none. symbols.py writes
 * the real one; both define the same four names.
 */
    .section .symbols, "a", @progbits
    .balign 4
    .weak symbol_count
    .weak symbol_addresses
    .weak symbol_name_offsets
    .weak symbol_names
    /* Data, else tools take a weak name without a type for a function. */
    .type symbol_count, @object
    .type symbol_addresses, @object
    .type symbol_name_offsets, @object
    .type symbol_names, @object
symbol_count:
    .long 0
symbol_addresses:
symbol_name_offsets:
symbol_names:
    .byte 0

    .section .note.GNU-stack, "", @progbits
