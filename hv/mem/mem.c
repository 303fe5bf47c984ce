/* SPDX-License-Identifier: MIT */
/*
 * Where the hypervisor lives: picks the reserved range, moves the image there and gives the address space its final
 * shape. Pages inside the range are page_pool.c's, table entries paging.c's business; second-level tables belong to
 * hv/partition.
 */
#include "hv/mem/mem.h"

#include "hv/boot/acpi.h"
#include "hv/boot/boot.h"
#include "hv/boot/memory_map.h"
#include "hv/cpu/asm.h"
#include "hv/cpu/stacks.h"
#include "hv/debug/debug.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/mem/layout.h"
#include "hv/mem/mem_init.h"
#include "hv/mem/page_pool.h"
#include "hv/mem/paging.h"

#define POOL_BYTES_BASE         MIB(8)
#define POOL_BYTES_PER_CPU      KIB(512)
/* Second-level tables for all RAM in 4 KiB pages, and our own: 1/512 and what is above that, and 2 bytes a page
 * (owners). */
#define TABLE_SHARE             400
#define RESERVED_BYTES_MIN      MIB(4)
/* What a root can start in at all; a larger demand is the root image's to state. */
#define ROOT_RAM_BYTES_MIN      MIB(8)
#define PROVISIONAL_BYTES       GIB(4)
#define PROVISIONAL_HUGE_BYTES  GIB(512)
#define CPUID_EXTENDED_FEATURES 0x80000001
#define CPUID_EDX_HUGE_PAGES    (1u << 26)
#define OPTION_MAX              32

static struct mem_range reserved;                      /* [I] after mem_init() */
static uint64_t image_target = MEM_IMAGE_LOAD_ADDRESS; /* [I] physical address of image_start */
static uint64_t next_device_address = MEM_DEVICE_BASE; /* boot processor, boot only */
static uint64_t ram_end;                               /* [I] */

static uint64_t image_bytes(void)
{
    return (uint64_t)(image_end - image_start);
}

void *mem_from_spa(spa_t address)
{
    return (void *)(MEM_DIRECT_MAP_BASE + address.value);
}

spa_t mem_to_spa(const void *address)
{
    uint64_t value = (uint64_t)address;

    if (range_contains_address(MEM_DIRECT_MAP_BASE, MEM_DIRECT_MAP_BYTES, value)) {
        return spa(value - MEM_DIRECT_MAP_BASE);
    }
    ASSERT(range_contains_address((uint64_t)image_start, image_bytes(), value));
    return spa(value - (uint64_t)image_start + image_target);
}

struct mem_range mem_reserved_range(void)
{
    return reserved;
}

uint64_t mem_ram_end(void)
{
    return ram_end;
}

bool mem_is_root_ram(spa_t address, uint64_t bytes)
{
    const struct boot_info *info = boot_info();

    return range_is_valid(address.value, bytes) &&
           !range_overlaps(address.value, bytes, reserved.start.value, reserved.bytes) &&
           memory_map_is_ram(info->memory, info->memory_count, address.value, bytes);
}

void *mem_map_device(spa_t address, size_t bytes)
{
    uint64_t first = align_down_u64(address.value, PAGE_SIZE);
    uint64_t end;

    if (!range_add_u64(address.value, bytes, &end) || !range_align_up_u64(end, PAGE_SIZE, &end) ||
        end - first > MEM_DEVICE_END - next_device_address) {
        return NULL;
    }
    uint64_t virtual_address = next_device_address;
    if (!paging_map(virtual_address, spa(first), end - first, X86_PTE_W | X86_PTE_PCD | X86_PTE_PWT | X86_PTE_NX,
                    false)) {
        return NULL;
    }
    next_device_address += end - first;
    return (void *)(virtual_address + (address.value - first));
}

/* Bytes that the hypervisor takes: by option, or by the machine's size. */
static uint64_t wanted_bytes(uint64_t ram_bytes)
{
    char text[OPTION_MAX];
    uint64_t bytes =
        image_bytes() + POOL_BYTES_BASE + POOL_BYTES_PER_CPU * acpi_info()->cpu_count + ram_bytes / TABLE_SHARE;

    if (boot_option("hvmem", text, sizeof(text))) {
        uint64_t least = align_up_u64(image_bytes(), LARGE_PAGE_SIZE) + RESERVED_BYTES_MIN;
        if (!str_parse_size(text, &bytes) || bytes < least || bytes > ram_bytes) {
            stop_machine("option hvmem=%s: a size from %lluM to this machine's RAM is needed", text,
                         (unsigned long long)(least / MIB(1)));
        }
    }
    return align_up_u64(bytes, LARGE_PAGE_SIZE);
}

/* Picks the reserved range: high, but below 4 GiB if it fits, so that the low megabytes stay the root's. */
static void pick_reserved_range(void)
{
    const struct boot_info *info = boot_info();
    struct memory_map_hole holes[BOOT_MODULE_MAX + 1];
    size_t hole_count = 0;
    uint64_t ram_bytes = memory_map_ram_bytes(info->memory, info->memory_count);
    uint64_t bytes = wanted_bytes(ram_bytes);
    bool has_huge_pages = (cpuid(CPUID_EXTENDED_FEATURES, 0).edx & CPUID_EDX_HUGE_PAGES) != 0;
    uint64_t start;

    /* The loader's own structures are not avoided: all of them have been copied. */
    holes[hole_count++] = (struct memory_map_hole){.start = MEM_IMAGE_LOAD_ADDRESS, .bytes = image_bytes()};
    for (uint32_t i = 0; i < info->module_count; i++) {
        holes[hole_count++] =
            (struct memory_map_hole){.start = info->modules[i].start.value, .bytes = info->modules[i].bytes};
    }
    bool is_found = ram_bytes >= bytes + ROOT_RAM_BYTES_MIN &&
                    (memory_map_find_room(info->memory, info->memory_count, holes, hole_count, bytes, LARGE_PAGE_SIZE,
                                          PROVISIONAL_BYTES, &start) ||
                     (has_huge_pages && memory_map_find_room(info->memory, info->memory_count, holes, hole_count, bytes,
                                                             LARGE_PAGE_SIZE, PROVISIONAL_HUGE_BYTES, &start)));
    if (!is_found) {
        stop_machine("too little memory: no %llu MiB in one piece for the hypervisor in %llu MiB of RAM",
                     (unsigned long long)(bytes / MIB(1)), (unsigned long long)(ram_bytes / MIB(1)));
    }
    reserved = (struct mem_range){.start = spa(start), .bytes = bytes};
}

/* Maps one part of the image, [from, to), to its place in the reserved range. */
static bool map_image_part(const uint8_t *from, const uint8_t *to, uint64_t flags)
{
    uint64_t target = reserved.start.value + (uint64_t)(from - image_start);

    return paging_map((uint64_t)from, spa(target), (uint64_t)(to - from), flags, false);
}

/* The boot processor's stacks without their guard pages, and all writable data around them. */
static bool map_image_data(void)
{
    const uint8_t *stacks_end = boot_stacks + CPU_STACKS_BYTES;
    const uint64_t flags = X86_PTE_W | X86_PTE_NX;

    if (!map_image_part(image_rodata_end, boot_stacks, flags) || !map_image_part(stacks_end, image_end, flags)) {
        return false;
    }
    for (uint64_t offset = 0; offset < CPU_STACKS_BYTES; offset += PAGE_SIZE) {
        const uint8_t *page = boot_stacks + offset;
        if (!cpu_stack_is_guard(offset) && !map_image_part(page, page + PAGE_SIZE, flags)) {
            return false;
        }
    }
    return true;
}

static bool map_direct(void)
{
    const struct boot_info *info = boot_info();

    for (uint32_t i = 0; i < info->memory_count; i++) {
        const struct boot_memory *memory = &info->memory[i];
        uint64_t start = align_up_u64(memory->start, PAGE_SIZE);
        uint64_t end = align_down_u64(memory->start + memory->bytes, PAGE_SIZE);
        if (memory->type != BOOT_MEMORY_RAM || start >= end || start >= MEM_DIRECT_MAP_BYTES) {
            continue;
        }
        end = min_u64(end, MEM_DIRECT_MAP_BYTES);
        if (!paging_map(MEM_DIRECT_MAP_BASE + start, spa(start), end - start, X86_PTE_W | X86_PTE_NX, true)) {
            return false;
        }
        ram_end = end;
    }
    return true;
}

/*
 * Copies the image and goes over to it. One instruction sequence without a store between the copy and the switch: the
 * copy includes the stack that this runs on.
 */
static void move_image(spa_t target, spa_t root)
{
    const uint8_t *source = image_start;
    void *destination = mem_from_spa(target);
    uint64_t count = image_bytes() / sizeof(uint64_t);

    image_target = target.value;
    __asm__ volatile("rep movsq\n\t"
                     "mov %[root], %%cr3"
                     : "+S"(source), "+D"(destination), "+c"(count)
                     : [root] "r"(root.value)
                     : "memory");
}

void mem_init(void)
{
    pick_reserved_range();

    uint64_t image_space = align_up_u64(image_bytes(), PAGE_SIZE);
    page_pool_init(spa_add(reserved.start, image_space), reserved.bytes - image_space);

    bool is_mapped = paging_create() && map_image_part(image_start, image_text_end, 0) &&
                     map_image_part(image_text_end, image_rodata_end, X86_PTE_NX) && map_image_data() && map_direct();
    if (!is_mapped) {
        stop_machine("too little memory: %llu MiB for the hypervisor do not hold its page tables (option hvmem=)",
                     (unsigned long long)(reserved.bytes / MIB(1)));
    }
    move_image(reserved.start, paging_root());
    /* The root gets the old place; it must not learn the stack protector's canary from it. */
    memset(mem_from_spa(spa(MEM_IMAGE_LOAD_ADDRESS)), 0, image_bytes());

    const struct boot_info *info = boot_info();
    log_line("memory: %llu MiB; hypervisor at 0x%llx-0x%llx (%llu KiB image, %llu pages free)",
             (unsigned long long)(memory_map_ram_bytes(info->memory, info->memory_count) / MIB(1)),
             (unsigned long long)reserved.start.value, (unsigned long long)(reserved.start.value + reserved.bytes - 1),
             (unsigned long long)(image_bytes() / KIB(1)), (unsigned long long)page_free_count());
}
