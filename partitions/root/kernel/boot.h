/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_BOOT_H
#define KERNEL_BOOT_H

/* What the machine and its loader say: PVH start info, minroot's command line, ACPI tables. All of it is copied at
 * boot. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "partitions/root/kernel/layout.h"

struct acpi_info;

#define BOOT_RANGE_MAX   128
#define BOOT_MODULE_MAX  32
#define BOOT_TEXT_BYTES  2048
#define BOOT_WORDS_BYTES 512
#define BOOT_RANGE_RAM   1u /* type of a range; all others are not for us */

/* One range of the memory map, as in the start info. */
struct boot_range {
    uint64_t start;
    uint64_t bytes;
    uint32_t type;
    uint32_t rsvd;
};
_Static_assert(sizeof(struct boot_range) == 24, "range of the start info");

/* One module: where it lies, its argument string, and the last word of that. */
struct boot_module {
    uint64_t start;
    uint64_t bytes;
    char name[32];
    char words[BOOT_WORDS_BYTES];
};

/* Everything that was handed over. */
struct boot_info {
    uint32_t range_count;
    uint32_t module_count;
    uint64_t rsdp;
    struct boot_range ranges[BOOT_RANGE_MAX];
    struct boot_module modules[BOOT_MODULE_MAX];
    char command_line[BOOT_TEXT_BYTES];
};

/* The command line: vps=N memory=SIZE children=N frames=0|1 vmbus=0|1 net=0|1 disks=N spare=MASK append="..."
 * test=NAME; also the words of a module "batch". */
struct options {
    const struct boot_module *kernel; /* of all children; null: found by its name */
    uint64_t vp_count;
    uint64_t memory_bytes;
    uint64_t child_count;
    uint64_t disk_count;          /* of each child, out of the machine's virtio block devices in their order */
    uint64_t spare_disks;         /* bit i: disk i, in memory or not, is there only after "disk-add" */
    bool is_framed;               /* frames on the console, even with one child */
    bool has_vmbus;               /* the children find a VMBus */
    bool has_network;             /* and a network adapter at a switch between them */
    char append[BOOT_TEXT_BYTES]; /* for the children's kernel */
    char test[32];                /* self-tests instead of children; "" if none */
};

/* Where ISA interrupt 4, of the first UART, arrives. */
struct uart_route {
    uint64_t ioapic; /* address; 0: unknown */
    uint32_t ioapic_id;
    uint32_t pin;
    bool is_level;
    bool is_active_low;
};

/* How to switch the machine off. */
struct power_off {
    uint16_t pm1a_control; /* port; 0: no way was found */
    uint16_t pm1b_control;
    uint8_t pm1a_sleep_type;
    uint8_t pm1b_sleep_type;
};

/* Copies the start info. False: it is not one, or has more than fits (already printed). */
MUST_CHECK bool boot_read(uint64_t start_info);
const struct boot_info *boot_info(void);

/* Module by name; null if there is none. */
const struct boot_module *boot_module(const char *name);

/* The next module with that name behind `before` (null: the first one); null if there is none. */
const struct boot_module *boot_next_module(const struct boot_module *before, const char *name);

/* Parses the command line. False: one line into `error` says what is wrong; *options is as far as it was understood. */
MUST_CHECK bool options_parse(const char *command_line, struct options *options, char *error, size_t error_bytes);

/* Reads the ACPI tables; what is missing or broken is left out. */
void acpi_init(uint64_t rsdp);
const struct acpi_info *acpi_info(void);
struct uart_route acpi_uart_route(void);
struct power_off acpi_power_off(void);

#endif
