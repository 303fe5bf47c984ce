/* SPDX-License-Identifier: MIT */
/*
 * Guests whose processor is Unicorn. Those of partitions/child run from guest_begin() on, in the 64-bit mode that their
 * start-up code makes. The test is the root: it loads them, answers their accesses to ports and to a device, and
 * judges them by their exit status as `./partita test guest` does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_msr.h"
#include "hv/lib/x86/x86_execute.h"
#include "hv/mem/mem.h"
#include "hv/partition/pvh_format.h"
#include "partitions/child/lib/layout.h"
#include "tests/sim/sim.h"
#include "tests/uc/guests.h"
#include "tests/uc/uc_backend.h"

#define CHILD_PAGES    512u /* 2 MiB of RAM from GPA 0 */
#define BOOT_INFO_GPA  0x5000u
#define CODE_GPA       0x8000u
#define CALL_PAGE_GPA  0x9000u
#define INPUT_GPA      0xa000u
#define STACK_GPA      0xc000u
#define DEVICE_GPA     0xd0000000u
#define DEVICE_BYTES   64u
#define FILE_BYTES_MAX (1u << 20)
#define COM1           0x3f8u
#define COM1_STATUS    0x3fdu
#define COM1_EMPTY     0x20u
#define DISPATCHES_MAX 50000u
#define CONSOLE_BYTES  8192u
#define SLICE_100NS    10000u

/** What an ELF file's symbol table holds. */
struct elf64_symbol {
    uint32_t name;
    uint8_t info, other;
    uint16_t section;
    uint64_t value, size;
};

/** As much of a section header as is needed. */
struct elf64_section {
    uint32_t name, type;
    uint64_t flags, address, offset, size;
    uint32_t link, info;
    uint64_t alignment, entry_size;
};

#define ELF_SECTION_SYMBOLS      2u
#define ELF_SECTION_TABLE_OFFSET 0x28u
#define ELF_SECTION_COUNT_OFFSET 0x3cu

static uint8_t file[FILE_BYTES_MAX];
static size_t file_bytes;
static uint64_t child;
static struct vp *vp0;
static uint64_t ram; /* page number of the child's GPA 0 in the root */
static uint8_t device[DEVICE_BYTES];
static char console[CONSOLE_BYTES];
static size_t console_bytes;

/* The child's RAM. */
static uint8_t *child_ram(uint64_t address)
{
    return (uint8_t *)mem_from_spa(spa_from_page(ram)) + address;
}

static int start(void **state)
{
    (void)state;
    sim_start(1);
    uc_start();
    child = sim_create_child(400);
    vp0 = sim_create_vp(child, 0);
    ram = sim_pages(CHILD_PAGES, 1);
    memset(child_ram(0), 0, CHILD_PAGES * PAGE_SIZE);
    sim_map(child, 0, ram, CHILD_PAGES / 2);
    sim_map(child, CHILD_PAGES / 2, ram + CHILD_PAGES / 2, CHILD_PAGES / 2);
    console_bytes = 0;
    memset(device, 0, sizeof(device));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    uc_stop();
    (void)sim_destroy_child(child);
    sim_stop();
    return 0;
}

static void read_file(const char *name)
{
    char path[512];
    FILE *stream;

    (void)snprintf(path, sizeof(path), "%s/%s.elf", GUEST_FOLDER, name);
    stream = fopen(path, "rb");
    if (stream == NULL) {
        fail_msg("%s cannot be read", path);
        return;
    }
    file_bytes = fread(file, 1, sizeof(file), stream);
    assert_int_equal(fclose(stream), 0);
    assert_in_range(file_bytes, 1, sizeof(file) - 1);
}

/* The address of a symbol of the file. */
static uint64_t symbol(const char *name)
{
    uint64_t table;
    uint16_t count;

    memcpy(&table, file + ELF_SECTION_TABLE_OFFSET, sizeof(table));
    memcpy(&count, file + ELF_SECTION_COUNT_OFFSET, sizeof(count));
    for (uint16_t index = 0; index < count; index++) {
        struct elf64_section section;
        struct elf64_section names;

        memcpy(&section, file + table + index * sizeof(section), sizeof(section));
        if (section.type != ELF_SECTION_SYMBOLS) {
            continue;
        }
        memcpy(&names, file + table + section.link * sizeof(names), sizeof(names));
        for (uint64_t at = 0; at < section.size; at += sizeof(struct elf64_symbol)) {
            struct elf64_symbol entry;

            memcpy(&entry, file + section.offset + at, sizeof(entry));
            if (strcmp((const char *)file + names.offset + entry.name, name) == 0) {
                return entry.value;
            }
        }
    }
    fail_msg("no symbol %s", name);
    return 0;
}

static void load_segments(void)
{
    const struct elf64_header *header = (const void *)file;

    for (uint16_t index = 0; index < header->program_count; index++) {
        struct elf64_program program;

        memcpy(&program, file + header->program_offset + index * sizeof(program), sizeof(program));
        if (program.type == ELF_PT_LOAD) {
            assert_true(program.physical_address + program.memory_bytes <= CHILD_PAGES * PAGE_SIZE);
            memcpy(child_ram(program.physical_address), file + program.offset, program.file_bytes);
        }
    }
}

static void set_register(uint32_t name, union hv_register_value value)
{
    struct {
        struct hv_input_vp_registers header;
        struct hv_register_assoc element;
    } input = {.header = {.partition_id = child}, .element = {.name = name, .value = value}};

    assert_int_equal(sim_rep_call(HvCallSetVpRegisters, 1, &input, sizeof(input), NULL, 0),
                     hv_hypercall_result(HV_STATUS_SUCCESS, 1));
}

static void set_register64(uint32_t name, uint64_t value)
{
    set_register(name, (union hv_register_value){.reg64 = value});
}

/* The state in which start.S calls guest_begin(). */
static void enter_guest(void)
{
    union hv_register_value code = {.segment = {.limit = UINT32_MAX, .selector = GUEST_CS, .attributes = 0xa09b}};
    union hv_register_value data = {.segment = {.limit = UINT32_MAX, .selector = GUEST_DS, .attributes = 0xc093}};

    set_register64(HvX64RegisterRip, symbol("guest_begin"));
    set_register64(HvX64RegisterRdi, BOOT_INFO_GPA);
    set_register64(HvX64RegisterRsp, symbol("guest_stacks") + GUEST_STACK_BYTES - 8);
    set_register(HvX64RegisterCs, code);
    set_register(HvX64RegisterSs, data);
    uc_set_gdt(vp0, symbol("guest_gdt"), (uint32_t)(symbol("guest_gdt_end") - symbol("guest_gdt") - 1));
}

/* Answers a port access; false: the guest has ended with *status. */
static bool answer_port(uint8_t *status)
{
    struct hv_x64_io_port_intercept_message message;
    bool is_out;

    memcpy(&message, vp0->intercept_page->payload, sizeof(message));
    is_out = message.header.intercept_access_type == HV_INTERCEPT_ACCESS_WRITE;
    if (is_out && message.port_number == UC_GUEST_EXIT_PORT) {
        *status = (uint8_t)message.rax;
        return false;
    }
    if (is_out && message.port_number == COM1 && console_bytes < CONSOLE_BYTES - 1) {
        console[console_bytes++] = (char)message.rax;
    } else if (!is_out) {
        uint64_t value = message.port_number == COM1_STATUS ? COM1_EMPTY : 0xff;

        set_register64(HvX64RegisterRax, (message.rax & ~UINT64_C(0xff)) | value);
    }
    set_register64(HvX64RegisterRip, message.header.rip + hv_x64_intercept_instruction_length(&message.header));
    return true;
}

static uint8_t *find_memory(uint64_t linear, unsigned size)
{
    if (linear >= DEVICE_GPA && linear + size <= DEVICE_GPA + DEVICE_BYTES) {
        return device + (linear - DEVICE_GPA);
    }
    assert_true(linear + size <= CHILD_PAGES * PAGE_SIZE);
    return child_ram(linear);
}

static enum x86_access_status read_memory(void *context, uint64_t linear, unsigned size, void *data,
                                          struct x86_fault *fault)
{
    (void)context, (void)fault;
    memcpy(data, find_memory(linear, size), size);
    return X86_ACCESS_OK;
}

static enum x86_access_status write_memory(void *context, uint64_t linear, unsigned size, const void *data,
                                           struct x86_fault *fault)
{
    (void)context, (void)fault;
    memcpy(find_memory(linear, size), data, size);
    return X86_ACCESS_OK;
}

/* Executes the instruction that has touched the device, and writes the registers back. */
static void emulate(void)
{
    static const struct x86_memory_ops ops = {.read = read_memory, .write = write_memory};
    struct x86_cpu cpu;
    struct x86_insn insn;
    struct x86_fault fault;

    vp_get_x86_cpu(vp0, &cpu);
    assert_int_equal(x86_decode(&insn, child_ram(cpu.rip), X86_INSN_LENGTH_MAX, x86_cpu_mode(&cpu)), X86_DECODE_OK);
    assert_int_equal(x86_execute(&cpu, &insn, &ops, NULL, &fault), X86_EXECUTE_DONE);
    for (uint32_t index = 0; index < X86_GPR_COUNT; index++) {
        set_register64(HvX64RegisterRax + index, cpu.gpr[index]);
    }
    set_register64(HvX64RegisterRip, cpu.rip);
    set_register64(HvX64RegisterRflags, cpu.rflags);
}

/* Runs the guest to its end; its exit status. */
static uint8_t run_guest(void)
{
    uint32_t flags = 0;
    uint8_t status = 0xff;

    for (uint32_t count = 0; count < DISPATCHES_MAX; count++) {
        struct hv_output_dispatch_vp output = sim_dispatch(child, 0, flags);

        flags = 0;
        if (output.dispatch_event != HV_VP_DISPATCH_EVENT_INTERCEPT) {
            /* A slice is over, or the guest waits: time goes on. */
            machine_advance_100ns(SLICE_100NS);
            continue;
        }
        if (vp0->intercept_page->header.message_type == HvMessageTypeUnmappedGpa) {
            emulate();
        } else if (vp0->intercept_page->header.message_type != HvMessageTypeX64IoPortIntercept) {
            fail_msg("intercept %#x", vp0->intercept_page->header.message_type);
        } else if (!answer_port(&status)) {
            console[console_bytes] = '\0';
            fprintf(stderr, "%s%llu instructions\n", console, (unsigned long long)uc_insn_count(vp0));
            return status;
        }
        flags = HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND;
    }
    fail_msg("the guest does not end");
    return status;
}

static void run_bare_guest(const char *name)
{
    read_file(name);
    load_segments();
    enter_guest();
    assert_int_equal(run_guest(), 0);
    assert_non_null(strstr(console, "PASS "));
    assert_null(strstr(console, "FAIL "));
}

static void test_hello(void **state)
{
    (void)state;
    run_bare_guest("hello");
}

static void test_hypercall(void **state)
{
    (void)state;
    run_bare_guest("hypercall");
}

static void test_cpuid(void **state)
{
    (void)state;
    run_bare_guest("cpuid");
}

static void test_apic(void **state)
{
    (void)state;
    run_bare_guest("apic");
}

static void test_clock(void **state)
{
    (void)state;
    run_bare_guest("clock");
}

static void test_synic(void **state)
{
    (void)state;
    run_bare_guest("synic");
}

/* The guest's instructions on a device, executed by hv/lib/x86, and the ones between them by the processor. */
static void test_mmio(void **state)
{
    static const uint8_t expected[DEVICE_BYTES] = {
        0x54, 0x33, 0x22, 0x99, 0x33, 0,    0,    0,
        0xdd, 0xcc, 0xbb, 0xaa, 0xff, 0xff, 0xff, 0xff, /* to xadd */
        0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
        0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, /* rep movsl */
        0x10, 0x11, 0x13, 0x13, 0x14, 0x15, 0x16, 0x17,
        0x00, 0x10, 0,    0,    0,    0,    0,    0x0a, /* push, pop, incw, shrq */
        0x01,                                           /* sete */
    };

    (void)state;
    memcpy(child_ram(CODE_GPA), uc_mmio_guest, (size_t)(uc_mmio_end - uc_mmio_guest));
    for (uint8_t byte = 0; byte < 16; byte++) {
        child_ram(INPUT_GPA)[byte] = (uint8_t)(0x10 + byte);
    }
    device[41] = 0;
    memcpy(device + 40, "\x05\x00\x01\x00\x00\x00\x00\xa0", 8);
    set_register64(HvX64RegisterRip, CODE_GPA);
    set_register64(HvX64RegisterRsp, STACK_GPA);
    set_register64(HvX64RegisterRbx, DEVICE_GPA);
    set_register64(HvX64RegisterRsi, INPUT_GPA);
    assert_int_equal(run_guest(), 0);
    assert_memory_equal(device, expected, sizeof(device));
}

/* One VP starts another one by a hypercall, and sees what it writes. */
static void test_smp_start(void **state)
{
    struct hv_input_start_virtual_processor input = {.partition_id = HV_PARTITION_ID_SELF, .vp_index = 1};
    union hv_register_value code = {.segment = {.limit = UINT32_MAX, .selector = GUEST_CS, .attributes = 0xa09b}};
    struct vp *vp1 = sim_create_vp(child, 1);

    (void)state;
    sim_partition(child)->privileges |= HV_START_VIRTUAL_PROCESSOR;
    memcpy(child_ram(CODE_GPA), uc_smp_guest, (size_t)(uc_smp_end - uc_smp_guest));
    input.vp_context.rip = CODE_GPA + (uint64_t)(uc_smp_other - uc_smp_guest);
    input.vp_context.rsp = STACK_GPA;
    input.vp_context.rflags = X86_RFLAGS_FIXED;
    input.vp_context.cs = code.segment;
    input.vp_context.cr0 = X86_CR0_PE;
    input.vp_context.efer = X86_EFER_LME | X86_EFER_LMA;
    memcpy(child_ram(INPUT_GPA), &input, sizeof(input));
    set_register64(HvRegisterGuestOsId, HV_GUEST_OS_ID_OPEN_SOURCE | 0x10000);
    set_register64(HvX64RegisterHypercall, CALL_PAGE_GPA | HV_X64_MSR_HYPERCALL_ENABLE);
    set_register64(HvX64RegisterRip, CODE_GPA);
    set_register64(HvX64RegisterRsp, STACK_GPA + PAGE_SIZE);
    set_register64(HvX64RegisterRax, CALL_PAGE_GPA);
    set_register64(HvX64RegisterRcx, HvCallStartVirtualProcessor);
    set_register64(HvX64RegisterRdx, INPUT_GPA);
    set_register64(HvX64RegisterRbx, STACK_GPA - sizeof(uint64_t));
    assert_int_equal(sim_dispatch(child, 1, 0).dispatch_state, HV_VP_DISPATCH_STATE_BLOCKED);
    assert_int_equal(sim_dispatch(child, 0, 0).dispatch_event, HV_VP_DISPATCH_EVENT_NONE);
    assert_int_equal(uc_insn_count(vp1), 0);
    assert_int_equal(sim_dispatch(child, 1, 0).dispatch_state, HV_VP_DISPATCH_STATE_BLOCKED);
    assert_int_equal(uc_insn_count(vp1), 2);
    assert_int_equal(run_guest(), 0);
}

/* A guest that loads an empty IDT: the root hears of it. */
static void test_triple_fault(void **state)
{
    uint32_t flags = 0;
    uint8_t status;

    (void)state;
    read_file("triple");
    load_segments();
    enter_guest();
    for (uint32_t count = 0; count < DISPATCHES_MAX; count++) {
        assert_int_equal(sim_dispatch(child, 0, flags).dispatch_event, HV_VP_DISPATCH_EVENT_INTERCEPT);
        if (vp0->intercept_page->header.message_type == HvMessageTypeUnrecoverableException) {
            return;
        }
        assert_true(answer_port(&status));
        flags = HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND;
    }
    fail_msg("no triple fault");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_hello), TEST(test_hypercall), TEST(test_cpuid),     TEST(test_apic),         TEST(test_clock),
        TEST(test_synic), TEST(test_mmio),      TEST(test_smp_start), TEST(test_triple_fault),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
