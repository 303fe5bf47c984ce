/* SPDX-License-Identifier: MIT */
/* The floor's start and end, its second-level tables, and the loading of the guest: a Multiboot1 image, module 0, which
 * lies in memory as it lies in the file. */
#include "tests/bench/floor.h"

#include "hv/lib/str.h"
#include "partitions/child/bench.h"

#define MULTIBOOT_MAGIC      0x1BADB002u
#define MULTIBOOT_SEARCH     8192u
#define MULTIBOOT_WORDS      16u /* offset of the command line in the information */
#define BOCHS_EXIT_PORT      0x8900u
#define UART_LINE_CONTROL    (GUEST_COM1 + 3)
#define UART_8_BITS          3u
#define UART_LINE_STATUS     (GUEST_COM1 + 5)
#define UART_IDLE            0x40u
#define TABLE_ENTRIES        512u
#define GIB_COUNT            4u
#define LARGE_SHIFT          21
#define PAGE_SHIFT           12
#define CPUID_EXTENDED       0x80000001u
#define CPUID_ECX_SVM        (1u << 2)
#define CPUID_VENDOR_AMD_EBX 0x68747541u

/* The address fields of a Multiboot1 header. */
struct multiboot_header {
    uint32_t magic, flags, checksum;
    uint32_t header_address, load_address, load_end, bss_end, entry;
};

uint64_t floor_gpr[16];
uint64_t floor_hypercall_msr;
const uint8_t *floor_hypercall_instruction;

static uint64_t root_table[TABLE_ENTRIES] ALIGNED(4096);
static uint64_t gib_table[TABLE_ENTRIES] ALIGNED(4096);
static uint64_t large_tables[GIB_COUNT * TABLE_ENTRIES] ALIGNED(4096);
static uint64_t small_table[TABLE_ENTRIES] ALIGNED(4096);
static uint8_t information[128] ALIGNED(16);
static uint64_t leaf_bits;

_Static_assert(BENCH_SMALL_END - BENCH_SMALL_START <= TABLE_ENTRIES << PAGE_SHIFT, "one table is enough");

uint64_t floor_build_tables(struct floor_format format)
{
    leaf_bits = format.leaf;
    root_table[0] = (uint64_t)gib_table | format.table;
    for (uint64_t i = 0; i < GIB_COUNT; i++) {
        gib_table[i] = (uint64_t)&large_tables[i * TABLE_ENTRIES] | format.table;
    }
    for (uint64_t i = 0; i < ARRAY_SIZE(large_tables); i++) {
        uint64_t gpa = i << LARGE_SHIFT;

        if (gpa < BENCH_LARGE_START || gpa >= BENCH_LARGE_END) {
            large_tables[i] = gpa | format.leaf | FLOOR_LARGE;
        }
    }
    large_tables[BENCH_SMALL_START >> LARGE_SHIFT] = (uint64_t)small_table | format.table;
    return (uint64_t)root_table;
}

void floor_touch(uint64_t gpa)
{
    if (gpa < BENCH_LARGE_START) {
        uint64_t page = gpa >> PAGE_SHIFT;

        small_table[page % TABLE_ENTRIES] = page << PAGE_SHIFT | leaf_bits;
    } else {
        uint64_t page = gpa >> LARGE_SHIFT;

        large_tables[page] = page << LARGE_SHIFT | leaf_bits | FLOOR_LARGE;
    }
}

void floor_set_hypercall_page(uint64_t value)
{
    static const uint8_t ret = 0xC3;
    uint8_t *page = (uint8_t *)(value & HV_X64_MSR_PAGE_GPFN_MASK);

    floor_hypercall_msr = value;
    if (page != NULL) {
        memcpy(page, floor_hypercall_instruction, 3);
        page[3] = ret;
    }
}

void floor_end(uint8_t status)
{
    while ((inb(UART_LINE_STATUS) & UART_IDLE) == 0) {
        cpu_relax();
    }
    for (const char *letter = "Shutdown"; *letter != '\0'; letter++) {
        outb(BOCHS_EXIT_PORT, (uint8_t)*letter);
    }
    guest_exit(status);
}

void floor_unexpected(uint64_t code, uint64_t rip)
{
    guest_print("FAIL floor: exit %#llx at %#llx\n", (unsigned long long)code, (unsigned long long)rip);
    floor_end(UINT8_MAX);
}

/* Puts the image where its header says; returns its entry point, 0: not such an image. */
static uint64_t load(const uint8_t *file, uint32_t bytes)
{
    for (uint32_t at = 0; at + sizeof(struct multiboot_header) <= bytes && at < MULTIBOOT_SEARCH; at += 4) {
        struct multiboot_header header;

        memcpy(&header, file + at, sizeof(header));
        if (header.magic == MULTIBOOT_MAGIC && header.magic + header.flags + header.checksum == 0) {
            uint32_t offset = at - (header.header_address - header.load_address);
            uint32_t length = header.load_end - header.load_address;

            memmove((void *)(uint64_t)header.load_address, file + offset, length);
            memset((void *)(uint64_t)header.load_end, 0, header.bss_end - header.load_end);
            return header.entry;
        }
    }
    return 0;
}

uint8_t guest_main(void)
{
    struct guest_module module;
    struct floor_entry entry = {.information = (uint64_t)information};
    uint32_t words;
    uint32_t leaf[4];

    /* Not every firmware has left the port like this. */
    outb(UART_LINE_CONTROL, UART_8_BITS);
    if (!guest_find_module(0, &module)) {
        guest_print("FAIL floor: no module\n");
        return 1;
    }
    words = (uint32_t)module.words;
    memcpy(information + MULTIBOOT_WORDS, &words, sizeof(words));
    entry.rip = load((const uint8_t *)module.start, module.bytes);
    if (entry.rip == 0) {
        guest_print("FAIL floor: module 0 is no Multiboot image\n");
        return 1;
    }
    cpuid(CPUID_EXTENDED, 0, leaf);
    if ((leaf[2] & CPUID_ECX_SVM) != 0) {
        floor_svm_run(&entry);
    }
    floor_vmx_run(&entry);
}
