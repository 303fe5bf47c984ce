/* SPDX-License-Identifier: MIT */
/* The modern PCI transport and split queues. A device that is asked for something has a limit to answer in. */
#include "partitions/root/device/virtio.h"

#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "partitions/root/device/machine.h"

/* Capabilities of the transport: offsets in them, and kinds. */
#define CAPABILITY_KIND              0u
#define CAPABILITY_BAR               4u
#define CAPABILITY_OFFSET            8u
#define CAPABILITY_LENGTH            12u
#define CAPABILITY_NOTIFY_MULTIPLIER 16u
#define CAPABILITY_KIND_SHIFT        24
#define CAPABILITY_BAR_MASK          0xFFu
#define KIND_COMMON                  1u
#define KIND_NOTIFY                  2u
#define KIND_CONFIG                  4u

/* Registers of the common part. */
#define COMMON_DEVICE_FEATURE_SELECT 0u
#define COMMON_DEVICE_FEATURE        4u
#define COMMON_DRIVER_FEATURE_SELECT 8u
#define COMMON_DRIVER_FEATURE        12u
#define COMMON_CONFIG_VECTOR         16u
#define COMMON_STATUS                20u
#define COMMON_QUEUE_SELECT          22u
#define COMMON_QUEUE_SIZE            24u
#define COMMON_QUEUE_VECTOR          26u
#define COMMON_QUEUE_ENABLE          28u
#define COMMON_QUEUE_NOTIFY_OFFSET   30u
#define COMMON_QUEUE_DESCRIPTORS     32u
#define COMMON_QUEUE_AVAILABLE       40u
#define COMMON_QUEUE_USED            48u
#define COMMON_BYTES                 56u
#define VECTOR_FIRST                 0u
#define DOORBELL_BYTES               2u

#define STATUS_ACKNOWLEDGE 0x01u
#define STATUS_DRIVER      0x02u
#define STATUS_DRIVER_OK   0x04u
#define STATUS_FEATURES_OK 0x08u
#define STATUS_NEEDS_RESET 0x40u
#define STATUS_NOT_THERE   0xFFu

#define USED_NO_NOTIFY  0x1u
#define RESET_READS_MAX 100000u

static uint32_t read_common(const struct virtio_device *device, uint32_t at, uint32_t width_bytes)
{
    return machine_read(device->common.address + at, width_bytes);
}

static void write_common(const struct virtio_device *device, uint32_t at, uint32_t width_bytes, uint32_t value)
{
    machine_write(device->common.address + at, width_bytes, value);
}

static void write_common64(const struct virtio_device *device, uint32_t at, const void *memory)
{
    uint64_t value = (uint64_t)memory;

    write_common(device, at, 4, (uint32_t)value);
    write_common(device, at + 4, 4, (uint32_t)(value >> 32));
}

/* The registers of one kind; the first capability that has them counts. Returns its offset, or 0. */
static uint32_t find_part(uint16_t function, uint32_t kind, uint32_t bytes, struct pci_region *region)
{
    uint32_t at = 0;

    while ((at = pci_find_capability(function, PCI_CAPABILITY_VENDOR, at)) != 0) {
        uint32_t bar = machine_pci_read(function, at + CAPABILITY_BAR) & CAPABILITY_BAR_MASK;
        uint32_t length = machine_pci_read(function, at + CAPABILITY_LENGTH);

        if (machine_pci_read(function, at + CAPABILITY_KIND) >> CAPABILITY_KIND_SHIFT == kind && length >= bytes &&
            pci_find_region(function, bar, machine_pci_read(function, at + CAPABILITY_OFFSET), length, region) &&
            machine_map(region->address, region->bytes)) {
            return at;
        }
    }
    return 0;
}

const char *virtio_find(struct virtio_device *device, uint16_t function, uint32_t config_bytes)
{
    uint32_t notify = find_part(function, KIND_NOTIFY, DOORBELL_BYTES, &device->notify);

    device->function = function;
    if (notify == 0 || find_part(function, KIND_COMMON, COMMON_BYTES, &device->common) == 0 ||
        find_part(function, KIND_CONFIG, config_bytes, &device->config) == 0) {
        return "its registers are not where we can reach them";
    }
    device->notify_multiplier = machine_pci_read(function, notify + CAPABILITY_NOTIFY_MULTIPLIER);
    return pci_enable_interrupt(function) ? NULL : "it has no MSI-X interrupt that can be routed";
}

/* False: it goes on as if nothing had been said. */
static bool reset(const struct virtio_device *device)
{
    uint32_t reads = 0;

    write_common(device, COMMON_STATUS, 1, 0);
    while (read_common(device, COMMON_STATUS, 1) != 0 && reads < RESET_READS_MAX) {
        reads++;
    }
    return reads < RESET_READS_MAX;
}

static void add_status(const struct virtio_device *device, uint32_t bit)
{
    write_common(device, COMMON_STATUS, 1, read_common(device, COMMON_STATUS, 1) | bit);
}

const char *virtio_begin(struct virtio_device *device, uint64_t wanted, uint64_t needed)
{
    uint64_t offered = 0;

    needed |= VIRTIO_FEATURE_VERSION_1;
    if (!reset(device)) {
        return "it cannot be reset";
    }
    pci_set_master(device->function, true);
    add_status(device, STATUS_ACKNOWLEDGE);
    add_status(device, STATUS_DRIVER);
    for (uint32_t half = 0; half < 2; half++) {
        write_common(device, COMMON_DEVICE_FEATURE_SELECT, 4, half);
        offered |= (uint64_t)read_common(device, COMMON_DEVICE_FEATURE, 4) << (half * 32);
    }
    device->features = offered & (wanted | needed);
    if ((device->features & needed) != needed) {
        return "it lacks features";
    }
    for (uint32_t half = 0; half < 2; half++) {
        write_common(device, COMMON_DRIVER_FEATURE_SELECT, 4, half);
        write_common(device, COMMON_DRIVER_FEATURE, 4, (uint32_t)(device->features >> (half * 32)));
    }
    add_status(device, STATUS_FEATURES_OK);
    return (read_common(device, COMMON_STATUS, 1) & STATUS_FEATURES_OK) != 0 ? NULL : "it refuses its own features";
}

const char *virtio_set_queue(const struct virtio_device *device, struct virtio_queue *queue, uint16_t index)
{
    struct virtio_ring *ring = &queue->ring;
    uint64_t doorbell;

    memset(queue, 0, sizeof(*queue));
    queue->index = index;
    write_common(device, COMMON_QUEUE_SELECT, 2, index);
    if (read_common(device, COMMON_QUEUE_SIZE, 2) < VIRTIO_QUEUE_SLOTS) {
        return "its queue is too short";
    }
    doorbell = (uint64_t)read_common(device, COMMON_QUEUE_NOTIFY_OFFSET, 2) * device->notify_multiplier;
    if (!range_contains(0, device->notify.bytes, doorbell, DOORBELL_BYTES)) {
        return "its queue's register lies outside of the others";
    }
    queue->doorbell = device->notify.address + doorbell;
    write_common(device, COMMON_QUEUE_SIZE, 2, VIRTIO_QUEUE_SLOTS);
    write_common64(device, COMMON_QUEUE_DESCRIPTORS, ring->descriptors);
    write_common64(device, COMMON_QUEUE_AVAILABLE, &ring->available_flags);
    write_common64(device, COMMON_QUEUE_USED, &ring->used_flags);
    write_common(device, COMMON_CONFIG_VECTOR, 2, VECTOR_FIRST);
    write_common(device, COMMON_QUEUE_VECTOR, 2, VECTOR_FIRST);
    if (read_common(device, COMMON_QUEUE_VECTOR, 2) != VECTOR_FIRST) {
        return "it has no room for an interrupt";
    }
    write_common(device, COMMON_QUEUE_ENABLE, 2, 1);
    return NULL;
}

void virtio_go(const struct virtio_device *device)
{
    add_status(device, STATUS_DRIVER_OK);
}

void virtio_stop(const struct virtio_device *device)
{
    (void)reset(device);
    pci_set_master(device->function, false); /* Whether it has listened or not. */
}

bool virtio_has_failed(const struct virtio_device *device)
{
    uint32_t status = read_common(device, COMMON_STATUS, 1);

    return status == STATUS_NOT_THERE || (status & STATUS_NEEDS_RESET) != 0;
}

uint32_t virtio_read_config(const struct virtio_device *device, uint32_t offset, uint32_t width_bytes)
{
    return machine_read(device->config.address + offset, width_bytes);
}

void virtio_give(struct virtio_queue *queue, uint32_t slot, uint64_t address, uint32_t length_bytes, uint16_t flags)
{
    struct virtio_ring *ring = &queue->ring;

    ring->descriptors[slot] =
        (struct virtio_descriptor){.address = address, .length_bytes = length_bytes, .flags = flags};
    ring->available[ring->available_index % VIRTIO_QUEUE_SLOTS] = (uint16_t)slot;
    bitmap_set(queue->given, slot);
    /* The device sees the slot before the index. */
    __atomic_store_n(&ring->available_index, (uint16_t)(ring->available_index + 1), __ATOMIC_RELEASE);
}

void virtio_notify(struct virtio_queue *queue)
{
    /* The index, before the flag is read that the device sets and clears before it looks at the index. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if ((READ_ONCE(queue->ring.used_flags) & USED_NO_NOTIFY) == 0) {
        machine_write(queue->doorbell, DOORBELL_BYTES, queue->index);
    }
}

enum virtio_result virtio_take(struct virtio_queue *queue, struct virtio_used *used)
{
    const struct virtio_ring *ring = &queue->ring;
    const struct virtio_used *next = &ring->used[queue->next_used % VIRTIO_QUEUE_SLOTS];

    /* Before what the device has written behind it. */
    if (__atomic_load_n(&ring->used_index, __ATOMIC_ACQUIRE) == queue->next_used) {
        return VIRTIO_EMPTY;
    }
    *used = (struct virtio_used){.slot = READ_ONCE(next->slot), .length_bytes = READ_ONCE(next->length_bytes)};
    if (used->slot >= VIRTIO_QUEUE_SLOTS || !bitmap_test(queue->given, used->slot)) {
        return VIRTIO_CORRUPT;
    }
    bitmap_clear(queue->given, used->slot);
    queue->next_used++;
    return VIRTIO_OK;
}
