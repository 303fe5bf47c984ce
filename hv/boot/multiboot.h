/* SPDX-License-Identifier: MIT */
#ifndef BOOT_MULTIBOOT_H
#define BOOT_MULTIBOOT_H

/* Reads what a Multiboot loader left in memory into a struct boot_info. Trusts no number in it. Builds hosted. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/boot/boot.h"
#include "hv/lib/compiler.h"

/* Physical memory as the parsers see it: `bytes` readable bytes from physical address `start` on. */
struct boot_window {
    const uint8_t *content;
    uint64_t start;
    uint64_t bytes;
};

/* Where [address, address + bytes) is in the window; null if it is not all there. */
const void *boot_window_at(const struct boot_window *window, uint64_t address, uint64_t bytes);

/*
 * Fills `info` (all of it except the RSDP where the loader gives none). `magic` is what the loader left in EAX,
 * `information` the address it left in EBX. False, with one sentence in `why`, if anything necessary is missing, lies
 * outside the window or contradicts itself.
 */
MUST_CHECK bool multiboot_parse(const struct boot_window *window, uint32_t magic, uint32_t information,
                                struct boot_info *info, char *why, size_t why_size);

/*
 * Looks for the ACPI root pointer where PC firmware leaves it: the first KiB of the EBDA, then 0xE0000 to 0xFFFFF.
 * Fills rsdp, rsdp_copy and rsdp_bytes and returns true if there is one whose checksum is right.
 */
MUST_CHECK bool multiboot_scan_rsdp(const struct boot_window *window, struct boot_info *info);

#endif
