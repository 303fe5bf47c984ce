/* SPDX-License-Identifier: MIT */
/*
 * hv/abi: every header alone with both compilers, freestanding, under the
 * warnings of the tree (sizes and offsets are asserted in the headers); the
 * accessors of packed words; and numbers that clients have compiled in, stated
 * here a second time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_features.h"
#include "hv/abi/hv_hypercall.h"
#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_message.h"
#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_partition.h"
#include "hv/abi/hv_register.h"
#include "hv/abi/hv_status.h"
#include "hv/abi/hv_synic.h"
#include "hv/lib/compiler.h"

static const char *const headers[] = {
    "hv_cpuid.h", "hv_features.h",  "hv_hypercall.h", "hv_intercept.h", "hv_message.h",
    "hv_msr.h",   "hv_partition.h", "hv_register.h",  "hv_status.h",    "hv_synic.h",
};

/* Compiles each header alone; skips when the compiler is not there. */
static void check_headers_alone(const char *compiler)
{
    static const char own_path[] = "tests/unit/test_abi.c";
    char root[512];
    char command[2048];
    const char *path = __FILE__;
    size_t root_length = strlen(path) - strlen(own_path);

    assert_string_equal(path + root_length, own_path);
    assert_true(root_length + 2 < sizeof(root));
    memcpy(root, path, root_length);
    strcpy(root + root_length, ".");
    snprintf(command, sizeof(command), "%s --version >/dev/null 2>&1", compiler);
    if (system(command) != 0) {
        print_message("%s is not installed\n", compiler);
        skip();
    }
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
        int length = snprintf(command, sizeof(command),
                              "%s -x c -std=gnu17 -ffreestanding -fsyntax-only -Wall -Wextra -Wshadow -Wconversion "
                              "-Wcast-qual -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror -I '%s' "
                              "-include '%s/hv/abi/%s' /dev/null",
                              compiler, root, root, headers[i]);

        assert_true(length > 0 && (size_t)length < sizeof(command));
        if (system(command) != 0) {
            fail_msg("%s does not accept hv/abi/%s alone", compiler, headers[i]);
        }
    }
}

static void test_headers_alone_gcc(void **state)
{
    (void)state;
    check_headers_alone("gcc");
}

static void test_headers_alone_clang(void **state)
{
    (void)state;
    check_headers_alone("clang");
}

static void test_control_word(void **state)
{
    uint64_t control = hv_hypercall_control(HvCallFlushVirtualAddressListEx, 3, 0xABC, 0x123);

    (void)state;
    assert_int_equal(control, UINT64_C(0x01230ABC00060014));
    assert_int_equal(hv_hypercall_code(control), 0x14);
    assert_int_equal(hv_hypercall_variable_header_qwords(control), 3);
    assert_int_equal(hv_hypercall_rep_count(control), 0xABC);
    assert_int_equal(hv_hypercall_rep_start(control), 0x123);
    assert_false(hv_hypercall_is_fast(control));
    assert_true(hv_hypercall_is_fast(control | HV_HYPERCALL_FAST));
    assert_int_equal(hv_hypercall_with_rep_start(control, 0x456), UINT64_C(0x04560ABC00060014));
    /* Nothing spills over: too large values are cut to their fields. */
    assert_int_equal(hv_hypercall_control(0, 0x400, 0x1000, 0x1000), 0);
    assert_int_equal(hv_hypercall_with_rep_start(0, 0x1000), 0);

    /* Every bit of the word has exactly one meaning. */
    uint64_t fields[] = {HV_HYPERCALL_CODE_MASK, HV_HYPERCALL_FAST,           HV_HYPERCALL_VARIABLE_HEADER_SIZE_MASK,
                         HV_HYPERCALL_NESTED,    HV_HYPERCALL_REP_COUNT_MASK, HV_HYPERCALL_REP_START_MASK,
                         HV_HYPERCALL_RSVDZ_MASK};
    uint64_t seen = 0;

    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        assert_int_equal(seen & fields[i], 0);
        seen |= fields[i];
    }
    assert_int_equal(seen, UINT64_MAX);
}

static void test_result_word(void **state)
{
    uint64_t result = hv_hypercall_result(HV_STATUS_NO_RESOURCES, 511);

    (void)state;
    assert_int_equal(result, UINT64_C(0x000001FF0000001D));
    assert_int_equal(hv_hypercall_result_status(result), HV_STATUS_NO_RESOURCES);
    assert_int_equal(hv_hypercall_result_reps(result), 511);
    assert_int_equal(hv_hypercall_result_reps(UINT64_MAX), 4095);
    assert_int_equal(hv_hypercall_result_status(UINT64_MAX), 0xFFFF);
}

static void test_register_accessors(void **state)
{
    uint64_t value = hv_pending_interruption(HV_X64_PENDING_EXCEPTION, 14);

    (void)state;
    assert_int_equal(value, 0xE0007);
    value |= HV_PENDING_INTERRUPTION_DELIVER_ERROR_CODE | UINT64_C(0x12345678) << 32;
    assert_int_equal(hv_pending_interruption_type(value), HV_X64_PENDING_EXCEPTION);
    assert_int_equal(hv_pending_interruption_vector(value), 14);
    assert_int_equal(hv_pending_interruption_error_code(value), 0x12345678);
    assert_int_equal(hv_pending_exception_event(6), 0x60001);
    assert_int_equal(hv_pending_event_type(0xA5 << 8 | 5 << 1 | 1), HV_X64_PENDING_EVENT_EXT_INT);
}

static void test_other_accessors(void **state)
{
    struct hv_x64_intercept_message_header header = {.instruction_length_and_cr8 = 0x2F};
    struct hv_port_info port = {.target_sint = 0x89ABC000, .target_vp = 0x12};

    (void)state;
    assert_int_equal(hv_x64_intercept_instruction_length(&header), 15);
    assert_int_equal(hv_x64_intercept_length_and_cr8(3, 15), 0xF3);
    assert_int_equal(hv_x64_intercept_length_and_cr8(0x13, 0x12), 0x23);
    assert_int_equal(hv_port_monitor_address(&port), UINT64_C(0x1289ABC000));
    assert_int_equal(hv_device_id_type(UINT64_C(2) << 62 | 5), HV_DEVICE_TYPE_IOAPIC);
    assert_int_equal(hv_stimer_vector(0xED << 4 | 0xF), 0xED);
    assert_int_equal(hv_stimer_sint(0x2FFFF & ~UINT64_C(0x10000)), 2);
    assert_int_equal(hv_msr_page_gpfn(0x12345FFF), 0x12345);
    assert_int_equal(hv_msr_page_value(0x12345, 1), 0x12345001);
    assert_int_equal(hv_privileges_eax(HV_ACCESS_HYPERCALL_MSRS | HV_ACCESS_VP_INDEX | HV_CREATE_PARTITIONS), 0x60);
    assert_int_equal(hv_privileges_ebx(HV_CREATE_PARTITIONS | HV_CPU_MANAGEMENT | HV_ACCESS_VP_INDEX), 0x1001);
}

/* Numbers that Linux, QEMU and the TLFS agree on. */
static void test_numbers(void **state)
{
    static const char vendor[] = "Microsoft Hv";
    const uint32_t vendor_registers[] = {HV_CPUID_VENDOR_EBX, HV_CPUID_VENDOR_ECX, HV_CPUID_VENDOR_EDX};
    uint32_t interface = HV_CPUID_INTERFACE_HV1;

    (void)state;
    assert_memory_equal(vendor_registers, vendor, 12);
    assert_memory_equal(&interface, "Hv#1", 4);
    assert_int_equal(HvCallDispatchVp, 0xC2);
    assert_int_equal(HvCallGetVpCpuidValues, 0xF4);
    assert_int_equal(HvX64RegisterR15, 0x2000F);
    assert_int_equal(HvX64RegisterRip, 0x20010);
    assert_int_equal(HvX64RegisterTr, 0x60007);
    assert_int_equal(HvX64RegisterMsrMtrrDefType, 0x8000E);
    assert_int_equal(HvX64RegisterMsrMtrrFix4kF8000, 0x8007A);
    assert_int_equal(HvX64RegisterTscAux, 0x8007B);
    assert_int_equal(HvX64RegisterSpecCtrl, 0x80084);
    assert_int_equal(HvX64RegisterTsxCtrl, 0x80088);
    assert_int_equal(HvX64RegisterXss, 0x8008B);
    assert_int_equal(HvX64RegisterInterruptSspTableAddr, 0x80093);
    assert_int_equal(HvX64RegisterTscAdjust, 0x80096);
    assert_int_equal(HvX64RegisterXfdErr, 0x8009A);
    assert_int_equal(HvX64RegisterApicSelfIpi, 0x8483F);
    assert_int_equal(HvRegisterSimp, 0xA0013);
    assert_int_equal(HvRegisterEom, 0xA0014);
    assert_int_equal(HvRegisterStimer3Count, 0xB0007);
    assert_int_equal(HvRegisterVsmPartitionConfig, 0xD0007);
    /* What QEMU 11 asks for as synthetic features of a partition. */
    assert_int_equal(HV_SYNTH_FEATURE_HYPERVISOR_PRESENT | HV_SYNTH_FEATURE_HV1 |
                         HV_SYNTH_FEATURE_ACCESS_PARTITION_REFERENCE_COUNTER | HV_SYNTH_FEATURE_ACCESS_SYNIC_REGS |
                         HV_SYNTH_FEATURE_ACCESS_SYNTHETIC_TIMER_REGS | HV_SYNTH_FEATURE_ACCESS_INTR_CTRL_REGS |
                         HV_SYNTH_FEATURE_ACCESS_HYPERCALL_REGS | HV_SYNTH_FEATURE_ACCESS_VP_INDEX |
                         HV_SYNTH_FEATURE_ACCESS_PARTITION_REFERENCE_TSC | HV_SYNTH_FEATURE_ACCESS_GUEST_IDLE_REG |
                         HV_SYNTH_FEATURE_ACCESS_FREQUENCY_REGS | HV_SYNTH_FEATURE_DIRECT_SYNTHETIC_TIMERS |
                         HV_SYNTH_FEATURE_TLB_FLUSH_HYPERCALLS | HV_SYNTH_FEATURE_SYNTHETIC_CLUSTER_IPI,
                     0x06400FFB);
    assert_int_equal(HV_PROC_FEATURE1_LA57, 1 << 4);
    /* The EBX privileges of a recent Hyper-V child, leaf 3. */
    uint64_t privileges = HV_POST_MESSAGES | HV_SIGNAL_EVENTS | HV_ENABLE_EXTENDED_GVA_RANGES_FLUSH_VA_LIST |
                          HV_ACCESS_VSM | HV_ACCESS_VP_REGISTERS | HV_FAST_HYPERCALL_OUTPUT |
                          HV_ENABLE_EXTENDED_HYPERCALLS | HV_START_VIRTUAL_PROCESSOR;

    assert_int_equal(hv_privileges_ebx(privileges), 0x3B8030);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_alone_gcc),
        cmocka_unit_test(test_headers_alone_clang),
        cmocka_unit_test(test_control_word),
        cmocka_unit_test(test_result_word),
        cmocka_unit_test(test_register_accessors),
        cmocka_unit_test(test_other_accessors),
        cmocka_unit_test(test_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
