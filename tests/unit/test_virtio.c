/* SPDX-License-Identifier: MIT */
/* links: partitions/root/device/pci.c partitions/root/device/virtio.c partitions/root/device/virtio_block.c */
/* PCI functions, virtio queues and disks, over devices that work and devices that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "partitions/root/device/virtio_block.h"
#include "tests/unit/fake_virtio.h"

#define SECTORS 2048u

static struct virtio_block *block;
static struct block_request *last_done;
static enum block_result last_result;
static uint32_t done_count;

static void put_config(uint32_t at, uint64_t value, size_t bytes)
{
    memcpy(fake_virtio.device_config + at, &value, bytes);
}

static void done(struct block_request *request, enum block_result result)
{
    last_done = request;
    last_result = result;
    done_count++;
}

/* A disk that can flush, before it is brought up. */
static int make_disk(void **state)
{
    uint16_t function;

    (void)state;
    fake_virtio_reset(VIRTIO_BLOCK_DEVICE_ID);
    fake_virtio.offered |= 1u << 9;
    put_config(0, SECTORS, 8);
    block = calloc(1, sizeof(*block));
    done_count = 0;
    assert_true(pci_find(0x1AF4, VIRTIO_BLOCK_DEVICE_ID, 0, &function));
    assert_int_equal(function, FAKE_VIRTIO_FUNCTION);
    return 0;
}

static int free_disk(void **state)
{
    (void)state;
    free(block);
    return 0;
}

static const char *find(void)
{
    return virtio_find(&block->device, FAKE_VIRTIO_FUNCTION, VIRTIO_BLOCK_CONFIG_BYTES);
}

static void start(void)
{
    assert_null(find());
    assert_null(virtio_block_start(block));
}

static struct block_request flush_request(void)
{
    return (struct block_request){.operation = BLOCK_FLUSH, .done = done};
}

static enum block_result submit(struct block_request *request)
{
    return block->disk.operations->submit(&block->disk, request);
}

/* The device answers the next request; returns its header. */
static struct virtio_block_header answer(uint8_t status, int32_t more_bytes)
{
    const struct virtio_descriptor *descriptor;
    struct virtio_block_header header;
    const struct virtio_descriptor *table;
    uint32_t writable = 0;
    uint32_t at = 0;
    uint32_t slot;

    assert_true(fake_virtio_next(&slot, &descriptor));
    assert_int_equal(descriptor->flags, VIRTIO_INDIRECT);
    table = (const struct virtio_descriptor *)descriptor->address;
    memcpy(&header, (const void *)table[0].address, sizeof(header));
    for (;; at++) {
        assert_true(at < descriptor->length_bytes / sizeof(*table));
        writable += (table[at].flags & VIRTIO_WRITE) != 0 ? table[at].length_bytes : 0;
        if ((table[at].flags & VIRTIO_NEXT) == 0) {
            break;
        }
        assert_int_equal(table[at].next, at + 1);
    }
    assert_int_equal(at + 1, descriptor->length_bytes / sizeof(*table));
    assert_int_equal(table[at].length_bytes, 1);
    *(uint8_t *)table[at].address = status;
    fake_virtio_use(slot, writable + (uint32_t)more_bytes);
    return header;
}

static void test_pci(void **state)
{
    struct pci_region region;
    uint16_t function;

    (void)state;
    assert_false(pci_find(0x1AF4, VIRTIO_BLOCK_DEVICE_ID, 1, &function));
    assert_false(pci_find(0x1AF4, 0x1041, 0, &function));
    assert_true(pci_find_region(FAKE_VIRTIO_FUNCTION, 4, 0x3FF0, 0x10, &region));
    assert_int_equal(region.address, 0xE0003FF0);
    assert_false(pci_find_region(FAKE_VIRTIO_FUNCTION, 4, 0x3FF0, 0x11, &region));
    assert_false(pci_find_region(FAKE_VIRTIO_FUNCTION, 4, UINT64_MAX, 2, &region));
    assert_false(pci_find_region(FAKE_VIRTIO_FUNCTION, 3, 0, 1, &region));
    assert_false(pci_find_region(FAKE_VIRTIO_FUNCTION, 6, 0, 1, &region));
    fake_virtio.config_space[0x7D] = 0x40; /* the last capability leads to the first one */
    assert_int_equal(pci_find_capability(FAKE_VIRTIO_FUNCTION, 0x05, 0), 0);
    assert_int_equal(pci_find_capability(FAKE_VIRTIO_FUNCTION, PCI_CAPABILITY_MSIX, 0), 0x7C);
    fake_virtio.config_space[6] = 0; /* it says that it has none */
    assert_int_equal(pci_find_capability(FAKE_VIRTIO_FUNCTION, PCI_CAPABILITY_MSIX, 0), 0);
}

/* What is wrong with a device is found before it is used. */
static void test_bad_devices(void **state)
{
    (void)state;
    start();
    assert_int_equal(fake_virtio.msix[0], 0xFEE00000);
    assert_int_equal(fake_virtio.msix[2], FAKE_VIRTIO_DATA);
    assert_int_equal(fake_virtio.config_space[0x7F] >> 7, 1);
    fake_virtio.queue_size = 128;
    assert_non_null(virtio_block_start(block));
    fake_virtio.queue_size = 256;
    fake_virtio.notify_offset = 0x40;
    assert_non_null(virtio_block_start(block));
    fake_virtio.notify_offset = 0;
    fake_virtio.has_no_vector = true;
    assert_non_null(virtio_block_start(block));
    fake_virtio.has_no_vector = false;
    fake_virtio.refuses_features = true;
    assert_non_null(virtio_block_start(block));
    fake_virtio.refuses_features = false;
    fake_virtio.offered &= ~VIRTIO_FEATURE_INDIRECT;
    assert_non_null(virtio_block_start(block));
    fake_virtio.offered |= VIRTIO_FEATURE_INDIRECT;
    put_config(0, 0, 8);
    assert_non_null(virtio_block_start(block));
    put_config(0, UINT64_MAX, 8);
    assert_non_null(virtio_block_start(block));
    put_config(0, SECTORS, 8);
    fake_virtio.offered |= 1u << 6;
    put_config(20, 1000, 4);
    assert_non_null(virtio_block_start(block));
    put_config(20, 4096, 4);
    assert_null(virtio_block_start(block));
    fake_virtio.is_deaf = true;
    assert_non_null(virtio_block_start(block));
    assert_int_equal(fake_virtio.config_space[4] & 4, 0); /* no bus master */
    fake_virtio.config_space[0x4E] = 0xFF;                /* a length, of the common part, beyond its registers */
    assert_non_null(find());
}

static void test_disk(void **state)
{
    (void)state;
    fake_virtio.offered |= 1u << 5 | 1u << 13;
    put_config(36, 1u << 20, 4);
    start();
    assert_int_equal(block->disk.byte_count, SECTORS * 512);
    assert_true(block->disk.is_read_only);
    assert_true(block->disk.has_write_cache);
    assert_true(block->disk.can_unmap);
    assert_false(block->disk.can_write_zeroes);
    assert_int_equal(fake_virtio.status, 0x0F);

    struct block_request request = flush_request();

    assert_int_equal(submit(&request), BLOCK_PENDING);
    assert_int_equal(fake_virtio.notify_count, 1);
    assert_false(block->disk.operations->cancel(&block->disk, &request));
    virtio_block_serve(block);
    assert_int_equal(done_count, 0);
    assert_int_equal(answer(0, 0).type, 4);
    virtio_block_serve(block);
    assert_int_equal(done_count, 1);
    assert_int_equal(last_result, BLOCK_OK);

    struct block_request unmap = {.operation = BLOCK_UNMAP, .offset_bytes = 4096, .length_bytes = 8192, .done = done};

    assert_int_equal(submit(&unmap), BLOCK_PENDING);
    assert_int_equal(answer(1, 0).type, 11);
    virtio_block_serve(block);
    assert_int_equal(last_result, BLOCK_MEDIUM_ERROR);
    assert_int_equal(submit(&request), BLOCK_PENDING);
    (void)answer(2, 0);
    virtio_block_serve(block);
    assert_int_equal(last_result, BLOCK_FAILED);
    assert_int_equal(submit(&request), BLOCK_PENDING);
    (void)answer(0, -1); /* it says that it has not even written its status */
    virtio_block_serve(block);
    assert_int_equal(last_result, BLOCK_FAILED);
}

/* More requests than slots wait, and can be given up meanwhile; the device has the others. */
static void test_full(void **state)
{
    static struct block_request requests[VIRTIO_BLOCK_SLOTS + 2];

    (void)state;
    start();
    for (uint32_t i = 0; i < VIRTIO_BLOCK_SLOTS + 2; i++) {
        requests[i] = flush_request();
        assert_int_equal(submit(&requests[i]), BLOCK_PENDING);
    }
    assert_int_equal(fake_virtio.notify_count, VIRTIO_BLOCK_SLOTS);
    assert_true(block->disk.operations->cancel(&block->disk, &requests[VIRTIO_BLOCK_SLOTS]));
    (void)answer(0, 0);
    virtio_block_serve(block);
    assert_int_equal(done_count, 1);
    assert_int_equal(fake_virtio.notify_count, VIRTIO_BLOCK_SLOTS + 1);
    for (uint32_t i = 0; i < VIRTIO_BLOCK_SLOTS; i++) {
        (void)answer(0, 0);
    }
    virtio_block_serve(block);
    assert_int_equal(done_count, VIRTIO_BLOCK_SLOTS + 1);
    assert_ptr_equal(last_done, &requests[VIRTIO_BLOCK_SLOTS + 1]);
}

/* A device that answers what it was not asked fails what it has, and goes on afterwards. */
static void test_lies(void **state)
{
    static const uint32_t slots[] = {VIRTIO_QUEUE_SLOTS, UINT32_MAX, 1};
    struct block_request request = flush_request();

    (void)state;
    start();
    for (uint32_t i = 0; i < ARRAY_SIZE(slots); i++) {
        assert_int_equal(submit(&request), BLOCK_PENDING);
        fake_virtio_use(slots[i], 1);
        virtio_block_serve(block);
        assert_int_equal(done_count, 2 * i + 1);
        assert_int_equal(last_result, BLOCK_FAILED);
        assert_int_equal(submit(&request), BLOCK_PENDING);
        (void)answer(0, 0);
        virtio_block_serve(block);
        assert_int_equal(last_result, BLOCK_OK);
    }
}

/* One that asks for a reset gets it; one that comes back as another disk, or not at all, is gone. */
static void test_gone(void **state)
{
    struct block_request request = flush_request();

    (void)state;
    start();
    assert_int_equal(submit(&request), BLOCK_PENDING);
    fake_virtio.status |= 0x40;
    virtio_block_serve(block);
    assert_int_equal(last_result, BLOCK_FAILED);
    assert_int_equal(submit(&request), BLOCK_PENDING);
    put_config(0, SECTORS - 1, 8);
    fake_virtio.status |= 0x40;
    virtio_block_serve(block);
    assert_int_equal(last_result, BLOCK_GONE);
    assert_int_equal(submit(&request), BLOCK_GONE);
    assert_int_equal(done_count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pci, make_disk, free_disk),
        cmocka_unit_test_setup_teardown(test_bad_devices, make_disk, free_disk),
        cmocka_unit_test_setup_teardown(test_disk, make_disk, free_disk),
        cmocka_unit_test_setup_teardown(test_full, make_disk, free_disk),
        cmocka_unit_test_setup_teardown(test_lies, make_disk, free_disk),
        cmocka_unit_test_setup_teardown(test_gone, make_disk, free_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
