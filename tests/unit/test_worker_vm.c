/* SPDX-License-Identifier: MIT */
/* A whole VM over a fake host: creation, registers at start, and every kind of intercept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_message.h"
#include "hv/abi/hv_register.h"
#include "hv/lib/bytes.h"
#include "hv/lib/x86/x86_regs.h"
#include "partitions/root/worker/layout.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_kernel.h"

#define MEBIBYTE    UINT64_C(0x100000)
#define RAM_BYTES   (4 * MEBIBYTE)
#define ENTRY_GPA   FAKE_KERNEL_ENTRY_GPA
#define CODE_GPA    UINT64_C(0x200000)
#define DATA_GPA    UINT64_C(0x210000)
#define IOAPIC_GPA  UINT64_C(0xFEC00000)
#define NOWHERE_GPA UINT64_C(0xD0000000)

#define RFLAGS_RF 0x10000u

static struct host_vm *host;
static struct vm *vm;
static void *storage;
static struct hv_message message;

static struct worker_config good_config(void)
{
    return (struct worker_config){
        .memory_bytes = RAM_BYTES,
        .vp_count = 2,
        .kernel = fake_kernel(),
        .kernel_bytes = FAKE_KERNEL_BYTES,
        .command_line = "test",
    };
}

static int setup(void **state)
{
    struct worker_config config = good_config();
    char error[200] = "";

    (void)state;
    host = fake_host_create(RAM_BYTES);
    storage = aligned_alloc(WORKER_STORAGE_ALIGNMENT, (worker_storage_bytes() + 63) / 64 * 64);
    vm = worker_create(storage, host, &config, error, sizeof(error));
    if (vm == NULL) {
        fail_msg("%s", error);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    worker_destroy(vm);
    assert_int_equal(fake_host_armed_timers(host), 0);
    free(storage);
    fake_host_destroy(host);
    return 0;
}

/* ---- Creation ----------------------------------------------------------- */

static void test_ram_layout(void **state)
{
    struct worker_ram_range ranges[WORKER_RAM_RANGES_MAX];

    (void)state;
    assert_int_equal(worker_ram_layout(64 * MEBIBYTE, ranges), 1);
    assert_int_equal(ranges[0].gpa, 0);
    assert_int_equal(ranges[0].length_bytes, 64 * MEBIBYTE);
    assert_int_equal(worker_ram_layout(3072 * MEBIBYTE, ranges), 1);
    assert_int_equal(worker_ram_layout(3072 * MEBIBYTE + 4096, ranges), 2);
    assert_int_equal(ranges[0].length_bytes, 3072 * MEBIBYTE);
    assert_int_equal(ranges[1].gpa, UINT64_C(0x100000000));
    assert_int_equal(ranges[1].length_bytes, 4096);
    assert_int_equal(worker_ram_layout(2 * MEBIBYTE - 4096, ranges), 0);
    assert_int_equal(worker_ram_layout(2 * MEBIBYTE + 1, ranges), 0);
    assert_int_equal(worker_ram_layout(WORKER_MEMORY_MAX_BYTES + 4096, ranges), 0);
    assert_int_equal(worker_ram_layout(WORKER_MEMORY_MAX_BYTES, ranges), 2);
}

static void test_first_registers_32(void **state)
{
    struct hv_x64_segment_register cs = fake_host_register(host, 0, HvX64RegisterCs).segment;

    (void)state;
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterRip).reg64, ENTRY_GPA);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterRax).reg64, 0x2BADB002);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterRbx).reg64, LAYOUT_BOOT_PARAMETERS_GPA);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterRflags).reg64, 2);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterCr0).reg64, 0x11);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterCr4).reg64, 0);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterEfer).reg64, 0);
    assert_int_equal(cs.base, 0);
    assert_int_equal(cs.limit, 0xFFFFFFFF);
    assert_int_equal(cs.selector, 0x10);
    assert_int_equal(cs.attributes, 0xC09B);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterSs).segment.attributes, 0xC093);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterSs).segment.selector, 0x18);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterTr).segment.attributes, 0x8B);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterMsrMtrrDefType).reg64, 0x806);
    assert_int_equal(get_u64(host->ram + 0x6010), UINT64_C(0x00CF9B000000FFFF));
    /* The second VP waits as it was created, but for the memory types. */
    assert_int_equal(host->vps[1].count, 1);
    assert_memory_equal(host->ram + 0xE0000, "RSD PTR ", 8);
    assert_int_equal(host->ended_count, 0);
    assert_int_equal(host->log_lines, 0);
    assert_false(worker_has_ended(vm));
}

/* The smallest bzImage that the loader takes, for the registers of the 64-bit entry. */
static void test_first_registers_64(void **state)
{
    static uint8_t image[0x1000];
    struct worker_config config = good_config();
    char error[200] = "";

    (void)state;
    worker_destroy(vm);
    image[0x1F1] = 1;
    put_u32(image + 0x1F4, 0x60);
    put_u16(image + 0x1FE, 0xAA55);
    image[0x201] = 0x6A;
    memcpy(image + 0x202, "HdrS", 4);
    put_u16(image + 0x206, 0x020F);
    image[0x211] = 1;
    put_u32(image + 0x22C, 0x7FFFFFFF);
    put_u32(image + 0x230, 0x1000);
    put_u16(image + 0x236, 1);
    put_u32(image + 0x238, 255);
    put_u64(image + 0x258, 2 * MEBIBYTE);
    config.kernel = image;
    config.kernel_bytes = sizeof(image);
    vm = worker_create(storage, host, &config, error, sizeof(error));
    if (vm == NULL) {
        fail_msg("%s", error);
    }
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterRip).reg64, 2 * MEBIBYTE + 0x200);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterRsi).reg64, LAYOUT_BOOT_PARAMETERS_GPA);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterCr0).reg64, 0x80000031);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterCr3).reg64, LAYOUT_PAGE_TABLES_GPA);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterCr4).reg64, 0x20);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterEfer).reg64, 0x500);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterCs).segment.attributes, 0xA09B);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterGdtr).table.base, 0x6000);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterGdtr).table.limit, 31);
    assert_int_equal(get_u64(host->ram + 0x6010), UINT64_C(0x00AF9B000000FFFF));
    assert_int_equal(get_u64(host->ram + 0x6018), UINT64_C(0x00CF93000000FFFF));
}

static void expect_refused(const struct worker_config *config, const char *words)
{
    char error[200] = "";

    assert_null(worker_create(storage, host, config, error, sizeof(error)));
    if (strstr(error, words) == NULL) {
        fail_msg("the error is: %s", error);
    }
}

static void test_bad_configurations(void **state)
{
    struct worker_config config = good_config();
    static const uint8_t rubbish[64] = "not a kernel";

    (void)state;
    config.vp_count = 0;
    expect_refused(&config, "0 VPs are not possible: 1 to 1024 are");
    config.vp_count = WORKER_VPS_MAX + 1;
    expect_refused(&config, "1025 VPs are not possible");
    config = good_config();
    config.memory_bytes = MEBIBYTE;
    expect_refused(&config, "1048576 bytes of memory are not possible");
    config.memory_bytes = RAM_BYTES + 1;
    expect_refused(&config, "not possible");
    config = good_config();
    config.kernel = NULL;
    config.kernel_bytes = 0;
    expect_refused(&config, "no kernel");
    config.kernel = rubbish;
    config.kernel_bytes = sizeof(rubbish);
    expect_refused(&config, "neither a bzImage");
    config = good_config();
    config.initrd = rubbish;
    config.initrd_bytes = RAM_BYTES;
    expect_refused(&config, "initrd of 4 MiB does not fit beside the kernel in memory of 4 MiB");
    config = good_config();
    host->refused_name = HvX64RegisterCr0;
    expect_refused(&config, "registers of the first VP (from 0x40002): status 0x5");
    host->refused_name = HvX64RegisterRip;
    expect_refused(&config, "registers of the first VP (from 0x20000): status 0x5");
    /* The memory types are a wish. */
    host->refused_name = HvX64RegisterMsrMtrrDefType;
    assert_non_null(worker_create(storage, host, &config, (char[8]){0}, 8));
    host->ram_bytes = 0x80000;
    expect_refused(&config, "firmware tables");
    host->ram_bytes = RAM_BYTES;
}

/* ---- Intercept messages ------------------------------------------------- */

/* A 64-bit kernel-mode VP at CODE_GPA, as the header and the registers show it. */
static void set_state(struct hv_x64_intercept_message_header *header, uint32_t length, uint8_t access)
{
    static const uint32_t data_segments[] = {HvX64RegisterDs, HvX64RegisterEs, HvX64RegisterSs, HvX64RegisterFs,
                                             HvX64RegisterGs};
    union hv_register_value segment = {.reg128 = {0, 0}};
    uint32_t name = HvX64RegisterCs;

    header->instruction_length_and_cr8 = (uint8_t)length;
    header->intercept_access_type = access;
    header->execution_state = HV_X64_EXECUTION_STATE_CR0_PE | HV_X64_EXECUTION_STATE_EFER_LMA;
    header->cs_segment = (struct hv_x64_segment_register){.limit = 0xFFFFFFFF, .selector = 0x10, .attributes = 0xA09B};
    header->rip = CODE_GPA;
    header->rflags = 0x202;
    fake_host_set_register(host, 0, HvX64RegisterRip, CODE_GPA);
    fake_host_set_register(host, 0, HvX64RegisterRflags, 0x202);
    fake_host_set_register(host, 0, HvX64RegisterCr0, 0x80000011);
    fake_host_set_register(host, 0, HvX64RegisterCr4, 0x20);
    fake_host_set_register(host, 0, HvX64RegisterEfer, 0x500);
    segment.segment = header->cs_segment;
    assert_int_equal(host_set_vp_registers(host, 0, &name, &segment, 1), HV_STATUS_SUCCESS);
    segment.segment.attributes = 0xC093;
    for (size_t i = 0; i < sizeof(data_segments) / sizeof(data_segments[0]); i++) {
        assert_int_equal(host_set_vp_registers(host, 0, &data_segments[i], &segment, 1), HV_STATUS_SUCCESS);
    }
}

static void set_register(uint32_t name, uint64_t value)
{
    fake_host_set_register(host, 0, name, value);
}

static uint64_t get_register(uint32_t name)
{
    return fake_host_register(host, 0, name).reg64;
}

static struct hv_x64_io_port_intercept_message *port_message(uint16_t port, uint8_t info, uint8_t access, uint64_t rax)
{
    struct hv_x64_io_port_intercept_message *payload = (void *)message.payload;

    memset(&message, 0, sizeof(message));
    message.header.message_type = HvMessageTypeX64IoPortIntercept;
    message.header.payload_size_bytes = sizeof(*payload);
    set_state(&payload->header, 2, access);
    payload->port_number = port;
    payload->access_info = info;
    payload->rax = rax;
    set_register(HvX64RegisterRax, rax);
    return payload;
}

/* A memory intercept for these instruction bytes; virtual and physical address are the same. */
static struct hv_x64_memory_intercept_message *memory_message(uint64_t gpa, uint8_t access, const char *code,
                                                              uint32_t count)
{
    struct hv_x64_memory_intercept_message *payload = (void *)message.payload;

    memset(&message, 0, sizeof(message));
    message.header.message_type = HvMessageTypeUnmappedGpa;
    message.header.payload_size_bytes = sizeof(*payload);
    set_state(&payload->header, 0, access);
    payload->memory_access_info = HV_X64_MEMORY_ACCESS_GVA_VALID | HV_X64_MEMORY_ACCESS_GVA_GPA_VALID;
    payload->guest_virtual_address = gpa;
    payload->guest_physical_address = gpa;
    payload->instruction_byte_count = (uint8_t)count;
    memcpy(payload->instruction_bytes, code, count);
    return payload;
}

static enum worker_outcome handle(void)
{
    enum worker_outcome outcome = worker_handle_intercept(vm, 0, &message);

    assert_false(host->is_locked);
    return outcome;
}

static struct worker_counters counters(void)
{
    struct worker_counters copy;

    worker_get_counters(vm, &copy);
    return copy;
}

#define READ_ACCESS  HV_INTERCEPT_ACCESS_READ
#define WRITE_ACCESS HV_INTERCEPT_ACCESS_WRITE
#define STRING       HV_X64_IO_PORT_STRING_OP
#define REP          HV_X64_IO_PORT_REP_PREFIX

static void test_port_out(void **state)
{
    (void)state;
    port_message(0x3F8, 1, WRITE_ACCESS, 0xFFFFFFFFFFFFFF41);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(host->streams[0].count, 1);
    assert_int_equal(host->streams[0].bytes[0], 'A');
    assert_int_equal(get_register(HvX64RegisterRip), CODE_GPA + 2);
    assert_int_equal(get_register(HvX64RegisterRax), 0xFFFFFFFFFFFFFF41);
    port_message(0x2F8, 1, WRITE_ACCESS, 'B');
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(host->streams[1].count, 1);
    assert_int_equal(counters().port_writes, 2);
    assert_int_equal(counters().unhandled_port_accesses, 0);
}

static void test_port_in_sizes(void **state)
{
    (void)state;
    /* The line status of COM1. */
    port_message(0x3FD, 1, READ_ACCESS, 0x1122334455667788);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRax), 0x1122334455667760);
    /* Two bytes of a byte-wide device: line status and modem status. */
    port_message(0x3FD, 2, READ_ACCESS, 0x1122334455667788);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRax), 0x112233445566B060);
    /* Four bytes clear the upper half; behind the range there is nothing. */
    port_message(0x3FD, 4, READ_ACCESS, 0x1122334455667788);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRax), 0xFF00B060);
    /* Nobody: all ones in the size. */
    port_message(0x1234, 1, READ_ACCESS, 0);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRax), 0xFF);
    port_message(0x61, 2, READ_ACCESS, 0);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRax), 0xFFFF);
    port_message(0xCF8, 4, READ_ACCESS, 0);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRax), 0xFFFFFFFF);
    assert_int_equal(counters().unhandled_port_accesses, 3);
    /* The 8042, the 8259 and the PIT are absent. */
    port_message(0x64, 1, READ_ACCESS, 0);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRax), 0xFF);
    port_message(0x21, 1, READ_ACCESS, 0);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRax), 0xFF);
    port_message(0x40, 1, WRITE_ACCESS, 0);
    assert_int_equal(handle(), WORKER_RESUME);
    /* POST codes are accepted silently. */
    port_message(0x80, 1, WRITE_ACCESS, 0);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(counters().unhandled_port_accesses, 6);
}

static void test_port_in_32_bit_mode(void **state)
{
    struct hv_x64_io_port_intercept_message *payload = port_message(0x3FD, 1, READ_ACCESS, 0);

    (void)state;
    payload->header.execution_state = HV_X64_EXECUTION_STATE_CR0_PE;
    payload->header.cs_segment.attributes = 0xC09B;
    payload->header.rip = 0xFFFFFFFF;
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRip), 1);
}

static void test_port_clears_shadow_and_resume_flag(void **state)
{
    struct hv_x64_io_port_intercept_message *payload = port_message(0x80, 1, WRITE_ACCESS, 0);

    (void)state;
    payload->header.rflags |= RFLAGS_RF;
    payload->header.execution_state |= HV_X64_EXECUTION_STATE_INTERRUPT_SHADOW;
    set_register(HvRegisterInterruptState, 3);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRflags), 0x202);
    assert_int_equal(get_register(HvRegisterInterruptState), 2);
}

static void test_port_without_length(void **state)
{
    struct hv_x64_io_port_intercept_message *payload = port_message(0x3F8, 1, WRITE_ACCESS, 'Z');

    (void)state;
    /* out dx, al */
    payload->header.instruction_length_and_cr8 = 0;
    payload->instruction_byte_count = 1;
    payload->instruction_bytes[0] = 0xEE;
    set_register(HvX64RegisterRdx, 0x3F8);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(host->streams[0].bytes[0], 'Z');
    assert_int_equal(get_register(HvX64RegisterRip), CODE_GPA + 1);
}

static void test_port_stall(void **state)
{
    (void)state;
    host->streams[0].room = 0;
    for (uint32_t i = 0; i < 64; i++) {
        port_message(0x3F8, 1, WRITE_ACCESS, 'a');
        assert_int_equal(handle(), WORKER_RESUME);
    }
    port_message(0x3F8, 1, WRITE_ACCESS, 'b');
    assert_int_equal(handle(), WORKER_STALLED);
    assert_int_equal(get_register(HvX64RegisterRip), CODE_GPA);
    /* Two bytes at once wait for the first one. */
    port_message(0x3F8, 2, WRITE_ACCESS, 'b');
    assert_int_equal(handle(), WORKER_STALLED);
    host->streams[0].room = SIZE_MAX;
    worker_stream_writable(vm, HOST_STREAM_COM1);
    assert_int_equal(host->streams[0].count, 64);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(host->streams[0].bytes[64], 'b');
    worker_stream_writable(vm, HOST_STREAM_COUNT);
}

/* rep outsb: RSI, RCX, in pieces when the stream is full. */
static void test_string_out(void **state)
{
    struct hv_x64_io_port_intercept_message *payload = port_message(0x3F8, 1 | STRING | REP, WRITE_ACCESS, 0);

    (void)state;
    memcpy(host->ram + DATA_GPA, "string output", 13);
    payload->instruction_byte_count = 2;
    memcpy(payload->instruction_bytes, "\xF3\x6E", 2);
    set_register(HvX64RegisterRdx, 0x3F8);
    set_register(HvX64RegisterRsi, DATA_GPA);
    set_register(HvX64RegisterRcx, 13);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(host->streams[0].count, 13);
    assert_memory_equal(host->streams[0].bytes, "string output", 13);
    assert_int_equal(get_register(HvX64RegisterRsi), DATA_GPA + 13);
    assert_int_equal(get_register(HvX64RegisterRcx), 0);
    assert_int_equal(get_register(HvX64RegisterRip), CODE_GPA + 2);
    assert_int_equal(counters().port_strings, 1);
    /* One translation for all of it. */
    assert_int_equal(host->translate_calls, 1);
}

static void test_string_out_stalls(void **state)
{
    struct hv_x64_io_port_intercept_message *payload = port_message(0x3F8, 1 | STRING | REP, WRITE_ACCESS, 0);

    (void)state;
    host->streams[0].room = 6;
    payload->instruction_byte_count = 2;
    memcpy(payload->instruction_bytes, "\xF3\x6E", 2);
    set_register(HvX64RegisterRdx, 0x3F8);
    set_register(HvX64RegisterRsi, DATA_GPA);
    set_register(HvX64RegisterRcx, 100);
    assert_int_equal(handle(), WORKER_STALLED);
    assert_int_equal(get_register(HvX64RegisterRcx), 30);
    assert_int_equal(get_register(HvX64RegisterRsi), DATA_GPA + 70);
    assert_int_equal(get_register(HvX64RegisterRip), CODE_GPA);
    host->streams[0].room = SIZE_MAX;
    worker_stream_writable(vm, HOST_STREAM_COM1);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRcx), 0);
    assert_int_equal(host->streams[0].count, 100);
}

static void test_string_in_faults(void **state)
{
    struct hv_x64_io_port_intercept_message *payload = port_message(0x3F8, 1 | STRING, READ_ACCESS, 0);

    (void)state;
    payload->instruction_byte_count = 1;
    payload->instruction_bytes[0] = 0x6C;
    host->translation_count = 1;
    host->translations[0] = (struct fake_translation){
        .gva_page = 0x555,
        .result = HOST_TRANSLATE_NOT_PRESENT,
    };
    assert_int_equal(worker_stream_input(vm, HOST_STREAM_COM1, "q", 1), 1);
    set_register(HvX64RegisterRdx, 0x3F8);
    set_register(HvX64RegisterRdi, 0x555123);
    assert_int_equal(handle(), WORKER_RESUME);
    /* #PF for a write to an absent page; the byte is still there. */
    assert_int_equal(fake_host_register(host, 0, HvRegisterPendingEvent0).reg128.low_part,
                     1 | (1u << 8) | (14u << 16) | (UINT64_C(2) << 32));
    assert_int_equal(fake_host_register(host, 0, HvRegisterPendingEvent0).reg128.high_part, 0x555123);
    assert_int_equal(get_register(HvX64RegisterRip), CODE_GPA);
    set_register(HvRegisterPendingEvent0, 0);
    host->translation_count = 0;
    set_register(HvX64RegisterRdi, DATA_GPA);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(host->ram[DATA_GPA], 'q');
    assert_int_equal(get_register(HvX64RegisterRip), CODE_GPA + 1);
    assert_int_equal(counters().exceptions_injected, 1);
}

static void test_mmio_ioapic(void **state)
{
    struct hv_x64_memory_intercept_message *payload;

    (void)state;
    /* mov dword [rbx], 1 */
    payload = memory_message(IOAPIC_GPA, WRITE_ACCESS, "\xC7\x03\x01\x00\x00\x00", 6);
    payload->header.execution_state |= HV_X64_EXECUTION_STATE_INTERRUPT_SHADOW;
    set_register(HvX64RegisterRbx, IOAPIC_GPA);
    set_register(HvRegisterInterruptState, 1);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRip), CODE_GPA + 6);
    assert_int_equal(get_register(HvRegisterInterruptState), 0);
    /* The address came with the message. */
    assert_int_equal(host->translate_calls, 0);
    /* mov eax, [rbx + 0x10] */
    memory_message(IOAPIC_GPA + 0x10, READ_ACCESS, "\x8B\x43\x10", 3);
    set_register(HvX64RegisterRbx, IOAPIC_GPA);
    set_register(HvX64RegisterRax, UINT64_MAX);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRax), 0x00170020);
    assert_int_equal(get_register(HvX64RegisterRip), CODE_GPA + 3);
    assert_int_equal(counters().mmio_accesses, 2);
    assert_int_equal(counters().unhandled_mmio_accesses, 0);
}

static void test_mmio_mapped_elsewhere(void **state)
{
    struct hv_x64_memory_intercept_message *payload;

    (void)state;
    /* The guest maps the IO-APIC at a virtual address of its own, and the message does not know it. */
    payload = memory_message(IOAPIC_GPA + 0x10, READ_ACCESS, "\x8B\x43\x10", 3);
    payload->memory_access_info = 0;
    host->translation_count = 1;
    host->translations[0] = (struct fake_translation){
        .gva_page = 0xFFFFFFFFFF5FB,
        .gpa_page = IOAPIC_GPA >> 12,
    };
    set_register(HvX64RegisterRbx, 0xFFFFFFFFFF5FB000);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(host->translate_calls, 1);
    assert_int_equal(get_register(HvX64RegisterRax), 0);
}

static void test_mmio_fetches_instruction(void **state)
{
    (void)state;
    /* None in the message: from guest memory, across a page boundary that the instruction does not reach. */
    memory_message(NOWHERE_GPA, READ_ACCESS, "", 0);
    memcpy(host->ram + CODE_GPA, "\x48\x8B\x03", 3);
    set_register(HvX64RegisterRbx, NOWHERE_GPA);
    set_register(HvX64RegisterRax, 0);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRax), UINT64_MAX);
    /* Too few of them: one byte is not all of it. */
    memory_message(NOWHERE_GPA, READ_ACCESS, "\x48", 1);
    set_register(HvX64RegisterRbx, NOWHERE_GPA);
    set_register(HvX64RegisterRax, 0);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRax), UINT64_MAX);
    assert_int_equal(get_register(HvX64RegisterRip), CODE_GPA + 3);
    /* The last bytes of a page, the next page absent. */
    struct hv_x64_memory_intercept_message *payload = memory_message(NOWHERE_GPA, READ_ACCESS, "", 0);

    payload->header.rip = CODE_GPA + 0xFFD;
    set_register(HvX64RegisterRip, CODE_GPA + 0xFFD);
    memcpy(host->ram + CODE_GPA + 0xFFD, "\x48\x8B\x03", 3);
    host->translation_count = 1;
    host->translations[0] = (struct fake_translation){
        .gva_page = (CODE_GPA >> 12) + 1,
        .result = HOST_TRANSLATE_NOT_PRESENT,
    };
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRip), CODE_GPA + 0x1000);
    /* The next page absent, and the instruction not at its end: a page fault for the fetch of that page. */
    memory_message(NOWHERE_GPA, READ_ACCESS, "", 0)->header.rip = CODE_GPA + 0xFFE;
    set_register(HvX64RegisterRip, CODE_GPA + 0xFFE);
    memcpy(host->ram + CODE_GPA + 0xFFE, "\x48\x8B", 2);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRip), CODE_GPA + 0xFFE);
    assert_int_equal(fake_host_register(host, 0, HvRegisterPendingEvent0).reg128.low_part, 1 | (1u << 8) | (14u << 16));
    assert_int_equal(fake_host_register(host, 0, HvRegisterPendingEvent0).reg128.high_part, CODE_GPA + 0x1000);
    /* The instruction's own page is gone meanwhile: likewise, the guest finds out. */
    host->translations[0].gva_page = CODE_GPA >> 12;
    memory_message(NOWHERE_GPA, READ_ACCESS, "", 0);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(fake_host_register(host, 0, HvRegisterPendingEvent0).reg128.low_part, 1 | (1u << 8) | (14u << 16));
    /* With NX or SMEP the error code says that it was a fetch. */
    memory_message(NOWHERE_GPA, READ_ACCESS, "", 0);
    set_register(HvX64RegisterEfer, 0x500 | X86_EFER_NXE);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(fake_host_register(host, 0, HvRegisterPendingEvent0).reg128.low_part >> 32, X86_PF_FETCH);
    memory_message(NOWHERE_GPA, READ_ACCESS, "", 0);
    set_register(HvX64RegisterCr4, 0x20 | X86_CR4_SMEP);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(fake_host_register(host, 0, HvRegisterPendingEvent0).reg128.low_part >> 32, X86_PF_FETCH);
    assert_int_equal(host->ended_count, 0);
}

static void test_mmio_unmapped(void **state)
{
    static const struct {
        const char *code;
        uint32_t length;
        uint64_t rax;
    } reads[] = {
        {"\x8A\x03", 2, 0x11223344556677FF},         /* mov al, [rbx] */
        {"\x66\x8B\x03", 3, 0x112233445566FFFF},     /* mov ax, [rbx] */
        {"\x8B\x03", 2, 0x00000000FFFFFFFF},         /* mov eax, [rbx] */
        {"\x0F\xB6\x03", 3, 0xFF},                   /* movzx eax, byte [rbx] */
        {"\x48\x0F\xBE\x03", 4, 0xFFFFFFFFFFFFFFFF}, /* movsx rax, byte [rbx] */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
        memory_message(NOWHERE_GPA, READ_ACCESS, reads[i].code, reads[i].length);
        set_register(HvX64RegisterRbx, NOWHERE_GPA);
        set_register(HvX64RegisterRax, 0x1122334455667788);
        assert_int_equal(handle(), WORKER_RESUME);
        assert_int_equal(get_register(HvX64RegisterRax), reads[i].rax);
        assert_int_equal(get_register(HvX64RegisterRip), CODE_GPA + reads[i].length);
    }
    /* or dword [rbx], 1: read and written, and nothing comes of it. */
    memory_message(NOWHERE_GPA, WRITE_ACCESS, "\x83\x0B\x01", 3);
    set_register(HvX64RegisterRbx, NOWHERE_GPA);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(counters().unhandled_mmio_accesses, 5 + 2);
    assert_int_equal(host->ended_count, 0);
}

/* An access half in RAM and half beyond its end, and one over the end of the IO-APIC. */
static void test_mmio_crosses_boundaries(void **state)
{
    (void)state;
    /* mov [rbx], rax */
    memory_message(RAM_BYTES, WRITE_ACCESS, "\x48\x89\x03", 3);
    set_register(HvX64RegisterRbx, RAM_BYTES - 3);
    set_register(HvX64RegisterRax, 0x8877665544332211);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_memory_equal(host->ram + RAM_BYTES - 3, "\x11\x22\x33", 3);
    memory_message(RAM_BYTES, READ_ACCESS, "\x48\x8B\x03", 3);
    set_register(HvX64RegisterRbx, RAM_BYTES - 3);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRax), 0xFFFFFFFFFF332211);
    memory_message(IOAPIC_GPA + 0xFFF, READ_ACCESS, "\x8B\x03", 2);
    set_register(HvX64RegisterRbx, IOAPIC_GPA + 0xFFF);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRax), 0xFFFFFF00);
}

/* movups between an XMM register and a device, in two halves. */
static void test_mmio_vector(void **state)
{
    (void)state;
    memory_message(NOWHERE_GPA, READ_ACCESS, "\x0F\x10\x0B", 3);
    set_register(HvX64RegisterRbx, NOWHERE_GPA);
    set_register(HvX64RegisterCr4, X86_CR4_OSFXSR);
    set_register(HvX64RegisterXmm1, 0x1111);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(counters().unhandled_mmio_accesses, 2);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterXmm1).reg128.low_part, UINT64_MAX);
    assert_int_equal(fake_host_register(host, 0, HvX64RegisterXmm1).reg128.high_part, UINT64_MAX);
    /* movups [rbx], xmm1, half of it in RAM. */
    memory_message(RAM_BYTES, WRITE_ACCESS, "\x0F\x11\x0B", 3);
    set_register(HvX64RegisterRbx, RAM_BYTES - 8);
    set_register(HvX64RegisterCr4, X86_CR4_OSFXSR);
    set_register(HvX64RegisterXmm1, 0x1111);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_memory_equal(host->ram + RAM_BYTES - 8, "\x11\x11\0\0\0\0\0\0", 8);
    assert_int_equal(get_register(HvX64RegisterRip), CODE_GPA + 3);
}

static void test_mmio_not_emulatable(void **state)
{
    (void)state;
    /* pxor xmm0, [rbx] */
    memory_message(NOWHERE_GPA, READ_ACCESS, "\x66\x0F\xEF\x03", 4);
    set_register(HvX64RegisterRbx, NOWHERE_GPA);
    assert_int_equal(handle(), WORKER_ENDED);
    assert_int_equal(host->end_reason, HOST_VM_EMULATION_FAILED);
    assert_non_null(strstr(host->log, "cannot emulate the instruction at 0x200000"));
}

static void test_code_outside_ram(void **state)
{
    (void)state;
    memory_message(NOWHERE_GPA, HV_INTERCEPT_ACCESS_EXECUTE, "", 0);
    assert_int_equal(handle(), WORKER_RESUME);
    /* #UD, without error code. */
    assert_int_equal(fake_host_register(host, 0, HvRegisterPendingEvent0).reg128.low_part, 1 | (6u << 16));
    assert_int_equal(host->ended_count, 0);
    assert_int_equal(host->log_lines, 1);
    /* A guest that does it for ever fills no log. */
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(handle(), WORKER_RESUME);
    }
    assert_int_equal(host->log_lines, 10);
    fake_host_advance(host, 100000000);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(host->log_lines, 12);
    assert_non_null(strstr(host->log, "991 more lines were dropped"));
}

static void test_access_during_delivery(void **state)
{
    struct hv_x64_memory_intercept_message *payload = memory_message(NOWHERE_GPA, READ_ACCESS, "\x90", 1);

    (void)state;
    payload->header.execution_state |= HV_X64_EXECUTION_STATE_INTERRUPTION_PENDING;
    assert_int_equal(handle(), WORKER_ENDED);
    assert_int_equal(host->end_reason, HOST_VM_EMULATION_FAILED);
    assert_non_null(strstr(host->log, "during interrupt delivery"));
}

static void test_undecodable(void **state)
{
    (void)state;
    /* The code was changed under the processor: an invalid opcode in 64-bit mode. */
    memory_message(NOWHERE_GPA, READ_ACCESS, "\x06\x90", 2);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(fake_host_register(host, 0, HvRegisterPendingEvent0).reg128.low_part, 1 | (6u << 16));
    /* More than 15 bytes: a general protection fault. */
    memory_message(NOWHERE_GPA, READ_ACCESS, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66", 15);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(fake_host_register(host, 0, HvRegisterPendingEvent0).reg128.low_part, 1 | (1u << 8) | (13u << 16));
}

static void test_translation_failures(void **state)
{
    static const struct {
        enum host_translate_result result;
        uint32_t error_code;
    } faults[] = {
        {HOST_TRANSLATE_NOT_PRESENT, 0x4},
        {HOST_TRANSLATE_PRIVILEGE, 0x5},
        {HOST_TRANSLATE_BAD_FLAGS, 0xD},
    };

    (void)state;
    host->translation_count = 1;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct hv_x64_memory_intercept_message *payload = memory_message(NOWHERE_GPA, READ_ACCESS, "\x8B\x03", 2);

        host->translations[0] = (struct fake_translation){.gva_page = 0x777, .result = faults[i].result};
        payload->header.execution_state |= 3;
        set_register(HvX64RegisterRbx, 0x777008);
        assert_int_equal(handle(), WORKER_RESUME);
        assert_int_equal(fake_host_register(host, 0, HvRegisterPendingEvent0).reg128.low_part,
                         1 | (1u << 8) | (14u << 16) | ((uint64_t)faults[i].error_code << 32));
    }
    /* An overlay page is not the worker's to touch. */
    host->translations[0].result = HOST_TRANSLATE_OVERLAY;
    assert_int_equal(handle(), WORKER_ENDED);
    assert_int_equal(host->end_reason, HOST_VM_HOST_FAILED);
}

static void test_hypervisor_refuses(void **state)
{
    (void)state;
    port_message(0x80, 1, WRITE_ACCESS, 0);
    host->set_status = HV_STATUS_INVALID_VP_STATE;
    assert_int_equal(handle(), WORKER_ENDED);
    assert_int_equal(host->end_reason, HOST_VM_HOST_FAILED);
    assert_int_equal(host->end_status, HV_STATUS_INVALID_VP_STATE);
    assert_non_null(strstr(host->log, "status 0x15"));
}

static void test_hypervisor_refuses_to_read(void **state)
{
    (void)state;
    memory_message(IOAPIC_GPA, READ_ACCESS, "\x8B\x03", 2);
    host->get_status = HV_STATUS_INVALID_VP_STATE;
    assert_int_equal(handle(), WORKER_ENDED);
    assert_int_equal(host->end_reason, HOST_VM_HOST_FAILED);
}

static void test_triple_fault(void **state)
{
    struct hv_x64_unrecoverable_exception_message *payload = (void *)message.payload;

    (void)state;
    memset(&message, 0, sizeof(message));
    message.header.message_type = HvMessageTypeUnrecoverableException;
    payload->header.rip = 0x12345;
    assert_int_equal(handle(), WORKER_ENDED);
    assert_int_equal(host->ended_count, 1);
    assert_int_equal(host->end_reason, HOST_VM_TRIPLE_FAULT);
    assert_int_equal(host->vps[1].kicks, 1);
    assert_true(worker_has_ended(vm));
    assert_non_null(strstr(host->log, "triple fault at RIP 0x12345"));
    /* Whatever comes afterwards is not handled any more. */
    port_message(0x3F8, 1, WRITE_ACCESS, 'A');
    assert_int_equal(handle(), WORKER_ENDED);
    assert_int_equal(host->streams[0].count, 0);
    assert_int_equal(host->ended_count, 1);
}

static void test_halt_and_unknown(void **state)
{
    (void)state;
    memset(&message, 0, sizeof(message));
    message.header.message_type = HvMessageTypeX64Halt;
    assert_int_equal(handle(), WORKER_HALTED);
    message.header.message_type = HvMessageTypeX64MsrIntercept;
    assert_int_equal(handle(), WORKER_ENDED);
    assert_int_equal(host->end_reason, HOST_VM_UNHANDLED_INTERCEPT);
    assert_int_equal(host->end_status, HvMessageTypeX64MsrIntercept);
    assert_non_null(strstr(host->log, "0x80010001 (MSR) is not handled"));
}

/* Writes the lower half of the IO-APIC's entry for pin 4. */
static void program_ioapic(uint8_t vector, uint8_t delivery_mode, bool is_masked)
{
    uint8_t store[7] = {0xC7, 0x43, 0x10, vector, delivery_mode, is_masked ? 1 : 0, 0};

    memory_message(IOAPIC_GPA, WRITE_ACCESS, "\xC7\x03\x18\x00\x00\x00", 6);
    set_register(HvX64RegisterRbx, IOAPIC_GPA);
    assert_int_equal(handle(), WORKER_RESUME);
    memory_message(IOAPIC_GPA + 0x10, WRITE_ACCESS, (const char *)store, sizeof(store));
    assert_int_equal(handle(), WORKER_RESUME);
}

static void set_flags(uint32_t vp_index, uint64_t rflags)
{
    uint32_t name = HvX64RegisterRflags;
    union hv_register_value value = {.reg64 = rflags};

    assert_int_equal(host_set_vp_registers(host, vp_index, &name, &value, 1), HV_STATUS_SUCCESS);
}

/* Two looks of a second each; whether the VM has ended then. */
static bool ends_in_two_looks(void)
{
    fake_host_advance(host, 20000000);
    return worker_has_ended(vm);
}

static void set_all_flags(uint64_t rflags)
{
    set_flags(0, rflags);
    set_flags(1, rflags);
}

/* Nothing wakes VPs with interrupts disabled, as they are at reset, but another VP or a device's NMI or INIT. */
static void test_halted(void **state)
{
    (void)state;
    set_all_flags(X86_RFLAGS_FIXED);
    assert_false(ends_in_two_looks()); /* they run */
    host->blocked_signals = 5;
    fake_host_advance(host, 10000000);
    host->blocked_signals = 6; /* one was woken, and is blocked again */
    fake_host_advance(host, 10000000);
    assert_false(worker_has_ended(vm));
    host->blocked_signals = 0;
    fake_host_advance(host, 10000000);
    host->blocked_signals = 7;
    fake_host_advance(host, 10000000);
    assert_false(worker_has_ended(vm));
    fake_host_advance(host, 10000000);
    assert_true(worker_has_ended(vm));
    assert_int_equal(host->ended_count, 1);
    assert_int_equal(host->end_reason, HOST_VM_HALTED);
    assert_int_equal(host->vps[1].kicks, 1);
}

static void test_not_halted(void **state)
{
    (void)state;
    host->blocked_signals = 5;
    set_flags(0, X86_RFLAGS_FIXED);
    set_flags(1, X86_RFLAGS_FIXED | X86_RFLAGS_IF);
    assert_false(ends_in_two_looks());
    set_flags(1, X86_RFLAGS_FIXED);
    host->get_status = HV_STATUS_INVALID_VP_STATE;
    assert_false(ends_in_two_looks());
    host->get_status = HV_STATUS_SUCCESS;
    for (uint8_t mode = 4; mode <= 5; mode++) {
        host->blocked_signals = 0;
        assert_false(ends_in_two_looks());
        program_ioapic(0x31, mode, false);
        set_all_flags(X86_RFLAGS_FIXED);
        host->blocked_signals = 5;
        assert_false(ends_in_two_looks());
    }
    program_ioapic(0x31, 4, true);
    set_all_flags(X86_RFLAGS_FIXED);
    assert_true(ends_in_two_looks());
}

static void test_debug_exit(void **state)
{
    (void)state;
    port_message(0xF4, 1, READ_ACCESS, 0);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRax), 0xFF);
    port_message(0xF4, 4, WRITE_ACCESS, 0xFFFFFF2A);
    assert_int_equal(handle(), WORKER_ENDED);
    assert_int_equal(host->end_reason, HOST_VM_EXIT);
    assert_int_equal(host->end_status, 0x2A);
}

static void test_power_off_and_reset_ports(void **state)
{
    (void)state;
    /* A 32-bit write to the PCI address port is no write to the reset port inside it. */
    port_message(0xCF8, 4, WRITE_ACCESS, 0x80000600);
    assert_int_equal(handle(), WORKER_RESUME);
    port_message(0x604, 2, WRITE_ACCESS, 0x3401);
    assert_int_equal(handle(), WORKER_ENDED);
    assert_int_equal(host->end_reason, HOST_VM_POWER_OFF);
    assert_string_equal(worker_end_reason_text(HOST_VM_POWER_OFF), "power off");
}

static void test_reset_port(void **state)
{
    (void)state;
    port_message(0xCF9, 1, WRITE_ACCESS, 6);
    assert_int_equal(handle(), WORKER_ENDED);
    assert_int_equal(host->end_reason, HOST_VM_RESET);
}

/* From a key press to the interrupt, the EOI message, and the guest's reading of the byte. */
static void test_serial_input_interrupts(void **state)
{
    struct hv_x64_apic_eoi_message *eoi = (void *)message.payload;

    (void)state;
    memory_message(IOAPIC_GPA, WRITE_ACCESS, "\xC7\x03\x18\x00\x00\x00", 6);
    set_register(HvX64RegisterRbx, IOAPIC_GPA);
    assert_int_equal(handle(), WORKER_RESUME);
    memory_message(IOAPIC_GPA + 0x10, WRITE_ACCESS, "\xC7\x43\x10\x35\x00\x00\x00", 7);
    assert_int_equal(handle(), WORKER_RESUME);
    port_message(0x3FC, 1, WRITE_ACCESS, 0x08);
    assert_int_equal(handle(), WORKER_RESUME);
    port_message(0x3F9, 1, WRITE_ACCESS, 0x01);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(worker_stream_input(vm, HOST_STREAM_COM1, "xy", 2), 1);
    assert_int_equal(host->interrupt_count, 1);
    assert_int_equal(host->interrupts[0].vector, 0x35);
    port_message(0x3F8, 1, READ_ACCESS, 0);
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(get_register(HvX64RegisterRax), 'x');
    assert_int_equal(host->streams[0].input_wanted, 1);
    assert_int_equal(worker_stream_input(vm, HOST_STREAM_COUNT, "y", 1), 0);
    memset(&message, 0, sizeof(message));
    message.header.message_type = HvMessageTypeX64ApicEoi;
    eoi->interrupt_vector = 0x35;
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(counters().apic_eois, 1);
    /* The SCI through the power button, level-triggered, with its EOI. */
    memory_message(IOAPIC_GPA, WRITE_ACCESS, "\xC7\x03\x22\x00\x00\x00", 6);
    assert_int_equal(handle(), WORKER_RESUME);
    memory_message(IOAPIC_GPA + 0x10, WRITE_ACCESS, "\xC7\x43\x10\x39\x80\x00\x00", 7);
    assert_int_equal(handle(), WORKER_RESUME);
    port_message(0x602, 2, WRITE_ACCESS, 0x0100);
    assert_int_equal(handle(), WORKER_RESUME);
    worker_command(vm, "power-button");
    assert_int_equal(host->interrupt_count, 2);
    memset(&message, 0, sizeof(message));
    message.header.message_type = HvMessageTypeX64ApicEoi;
    eoi->interrupt_vector = 0x39;
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(host->interrupt_count, 3);
    port_message(0x600, 2, WRITE_ACCESS, 0x0100);
    assert_int_equal(handle(), WORKER_RESUME);
    memset(&message, 0, sizeof(message));
    message.header.message_type = HvMessageTypeX64ApicEoi;
    eoi->interrupt_vector = 0x39;
    assert_int_equal(handle(), WORKER_RESUME);
    assert_int_equal(host->interrupt_count, 3);
}

/* Arbitrary messages and instruction bytes: the sanitizers watch. */
static void test_random_messages(void **state)
{
    static const uint32_t types[] = {HvMessageTypeX64IoPortIntercept, HvMessageTypeUnmappedGpa,
                                     HvMessageTypeGpaIntercept, HvMessageTypeX64ApicEoi};
    struct worker_config config = good_config();
    uint32_t random = 1;

    (void)state;
    for (uint32_t round = 0; round < 100000; round++) {
        uint8_t *bytes = (uint8_t *)&message;

        for (size_t i = 0; i < 16 + 128; i++) {
            random = random * 1664525 + 1013904223;
            bytes[i] = (uint8_t)(random >> 24);
        }
        message.header.message_type = types[round % 4];
        for (uint32_t i = 0; i < 18; i++) {
            random = random * 1664525 + 1013904223;
            set_register(HvX64RegisterRax + i, ((uint64_t)random << 20) >> (random >> 27));
        }
        host->interrupt_count = 0;
        host->streams[0].count = 0;
        host->streams[1].count = 0;
        host->log[0] = '\0';
        if (handle() == WORKER_ENDED) {
            assert_int_equal(host->ended_count, 1);
            host->ended_count = 0;
            worker_destroy(vm);
            vm = worker_create(storage, host, &config, (char[8]){0}, 8);
            assert_non_null(vm);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ram_layout),
        cmocka_unit_test_setup_teardown(test_first_registers_32, setup, teardown),
        cmocka_unit_test_setup_teardown(test_first_registers_64, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_configurations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port_in_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port_in_32_bit_mode, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port_clears_shadow_and_resume_flag, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port_without_length, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port_stall, setup, teardown),
        cmocka_unit_test_setup_teardown(test_string_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_string_out_stalls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_string_in_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mmio_ioapic, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mmio_mapped_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mmio_fetches_instruction, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mmio_unmapped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mmio_crosses_boundaries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mmio_vector, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mmio_not_emulatable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_code_outside_ram, setup, teardown),
        cmocka_unit_test_setup_teardown(test_access_during_delivery, setup, teardown),
        cmocka_unit_test_setup_teardown(test_undecodable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_translation_failures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hypervisor_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hypervisor_refuses_to_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_triple_fault, setup, teardown),
        cmocka_unit_test_setup_teardown(test_halt_and_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_halted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_halted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_debug_exit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_power_off_and_reset_ports, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reset_port, setup, teardown),
        cmocka_unit_test_setup_teardown(test_serial_input_interrupts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_messages, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
