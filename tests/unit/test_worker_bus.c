/* SPDX-License-Identifier: MIT */
/* The bus of a VM over a fake host, and what the VM's configuration puts on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bytes.h"
#include "hv/lib/guid.h"
#include "partitions/root/worker/layout.h"
#include "partitions/root/worker/vm.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_kernel.h"
#include "vmbus/block_memory.h"

#define RAM_BYTES UINT64_C(0x400000)

static struct host_vm *host;
static struct vm *vm;
static void *storage;

static struct worker_config good_config(void)
{
    return (struct worker_config){
        .memory_bytes = RAM_BYTES,
        .vp_count = 2,
        .kernel = fake_kernel(),
        .kernel_bytes = FAKE_KERNEL_BYTES,
    };
}

static void expect_refused(const struct worker_config *config, const char *words)
{
    char error[200] = "";

    assert_null(worker_create(storage, host, config, error, sizeof(error)));
    assert_non_null(strstr(error, words));
}

static int setup(void **state)
{
    struct worker_config config = good_config();
    char error[200] = "";

    (void)state;
    host = fake_host_create(RAM_BYTES);
    storage = aligned_alloc(WORKER_STORAGE_ALIGNMENT, (worker_storage_bytes() + 63) / 64 * 64);
    vm = worker_create(storage, host, &config, error, sizeof(error));
    assert_non_null(vm);
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

/* INITIATE_CONTACT for version 5.3, SINT 2 of VP 0. */
static void post_contact(void)
{
    uint8_t contact[40] = {0};

    put_u32(contact, 14);
    put_u32(contact + 8, 0x00050003);
    put_u64(contact + 16, 2);
    worker_message(vm, 4, 1, contact, sizeof(contact));
    assert_false(host->is_locked);
}

static bool firmware_names(const char *text)
{
    uint64_t gpa = LAYOUT_ACPI_GPA;

    while (gpa < LAYOUT_ACPI_GPA + LAYOUT_ACPI_BYTES && strcmp((const char *)host->ram + gpa, text) != 0) {
        gpa++;
    }
    return gpa < LAYOUT_ACPI_GPA + LAYOUT_ACPI_BYTES;
}

static void test_without_vmbus(void **state)
{
    (void)state;
    assert_false(firmware_names("VMBus"));
    assert_int_equal(host->synic.connection_count, 0);
    /* Nothing is open, so nothing comes; if it did, nobody would take it. */
    post_contact();
    worker_event(vm, 0x2001);
    worker_messages_wanted(vm);
    assert_int_equal(host->synic.posted, 0);
}

/* The adapter is at the switch as long as the VM is there, and without a port there is no VM. */
static void test_network(void **state)
{
    static struct net_switch network;
    struct worker_config config = good_config();
    struct switch_port *others = calloc(SWITCH_PORTS_MAX, sizeof(*others));
    const struct switch_port_config child = {.user = SWITCH_CHILD};
    char error[200] = "";

    (void)state;
    assert_non_null(others);
    worker_destroy(vm);
    config.has_vmbus = true;
    config.network = &network;
    config.number = 3;
    vm = worker_create(storage, host, &config, error, sizeof(error));
    assert_non_null(vm);
    assert_ptr_equal(network.ports[0], &vm->bus.port);
    assert_int_equal(vm->bus.adapter.config.address[5], 3);
    worker_destroy(vm);
    assert_null(network.ports[0]);
    for (uint32_t i = 0; i < SWITCH_PORTS_MAX; i++) {
        assert_true(switch_connect(&network, &others[i], &child));
    }
    expect_refused(&config, "cannot make its VMBus");
    config.network = NULL;
    vm = worker_create(storage, host, &config, error, sizeof(error));
    assert_non_null(vm);
    assert_null(vm->bus.port.owner);
    free(others);
}

static void test_vmbus(void **state)
{
    struct worker_config config = good_config();
    char error[200] = "";

    (void)state;
    worker_destroy(vm);
    config.has_vmbus = true;
    vm = worker_create(storage, host, &config, error, sizeof(error));
    assert_non_null(vm);
    /* Connections 1 and 4, and the device of the bus for the guest. */
    assert_int_equal(host->synic.connection_count, 2);
    assert_true(firmware_names("VMBus"));
    /* An answer that finds no room goes when there is some. */
    host->synic.room = 0;
    post_contact();
    assert_int_equal(host->synic.posted, 0);
    host->synic.room = UINT32_MAX;
    worker_messages_wanted(vm);
    assert_false(host->is_locked);
    assert_int_equal(host->synic.posted, 1);
    assert_int_equal(get_u32(host->synic.messages[0].payload), 15);
    assert_int_equal(host->synic.messages[0].payload[8], 1);
    /* No channel has this connection. */
    worker_event(vm, 0x2001);
    assert_false(host->is_locked);
    worker_destroy(vm);
    assert_int_equal(host->synic.connection_count, 0);
    /* What was opened before a refusal is closed again, be it the environment's or that of the kernel. */
    host->synic.connections_allowed = 1;
    expect_refused(&config, "cannot make its VMBus");
    assert_int_equal(host->synic.connection_count, 0);
    host->synic.connections_allowed = 0;
    config.kernel_bytes = 0;
    expect_refused(&config, "no kernel");
    assert_int_equal(host->synic.connection_count, 0);
    config = good_config();
    vm = worker_create(storage, host, &config, error, sizeof(error));
    assert_non_null(vm);
}

/* Channels on the VM's bus that are a storage controller's. */
static uint32_t storage_channels(void)
{
    uint32_t count = 0;

    for (uint32_t relid = 1; relid <= VMBUS_CHANNELS_MAX; relid++) {
        struct vmbus_channel_info info;

        vmbus_get_channel(vm->bus.vmbus, relid, &info);
        count += info.state != VMBUS_CHANNEL_FREE && strcmp(info.name, "storvsp") == 0 ? 1 : 0;
    }
    return count;
}

static void test_disks(void **state)
{
    static uint8_t bytes[SCSI_UNITS_MAX + 1][512];
    static struct block_memory memory[SCSI_UNITS_MAX + 1];
    struct block_disk *disks[SCSI_UNITS_MAX + 1];
    struct worker_config config = good_config();
    char error[200] = "";

    (void)state;
    for (uint32_t i = 0; i < ARRAY_SIZE(disks); i++) {
        assert_true(block_memory_init(&memory[i], bytes[i], sizeof(bytes[i]), false));
        disks[i] = &memory[i].disk;
    }
    worker_destroy(vm);
    config.disks = disks;
    config.disk_count = 2;
    expect_refused(&config, "its disks need a VMBus");
    config.has_vmbus = true;
    vm = worker_create(storage, host, &config, error, sizeof(error));
    assert_non_null(vm);
    assert_int_equal(storage_channels(), 1);
    for (uint32_t lun = 0; lun < 3; lun++) {
        const struct scsi_unit *unit = &vm->bus.storage.target.units[lun];

        assert_ptr_equal(unit->disk, lun < 2 ? disks[lun] : NULL);
        assert_int_equal(unit->kind, lun < 2 ? SCSI_DISK : SCSI_ABSENT);
    }
    /* A guest tells disks apart by their identities. */
    assert_false(guid_equal(&vm->bus.storage.target.units[0].identity, &vm->bus.storage.target.units[1].identity));
    worker_destroy(vm);
    config.spare_disks = 2;
    vm = worker_create(storage, host, &config, error, sizeof(error));
    assert_non_null(vm);
    assert_int_equal(vm->bus.storage.target.units[0].kind, SCSI_DISK);
    assert_int_equal(vm->bus.storage.target.units[1].kind, SCSI_ABSENT);
    worker_destroy(vm);
    config.spare_disks = 0;
    config.disk_count = SCSI_UNITS_MAX + 1;
    expect_refused(&config, "cannot make its VMBus");
    assert_int_equal(host->synic.connection_count, 0);
    config.disk_count = 0;
    vm = worker_create(storage, host, &config, error, sizeof(error));
    assert_non_null(vm);
    assert_int_equal(storage_channels(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_vmbus, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vmbus, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_network, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
