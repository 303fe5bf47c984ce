/* SPDX-License-Identifier: MIT */
/*
 * A storage controller on the bus under packets, sound and damaged, of several channels; with disks that are slow,
 * stall, fail, come and go, a guest that takes its answers late or starts anew, and time. Holds: each packet that wants
 * an answer has exactly one, of the right form, on its channel; requests of the controller and of the back-ends agree;
 * the back-ends get what vmbus/block.h promises (fake_disk.c); memory that the guest did not name stays as it is; in
 * the end nothing is under way.
 */
#include <stdlib.h>
#include <string.h>

#include "hv/lib/bytes.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/storvsp_guest.h"

#define OPERATIONS_MAX  200u
#define RAM_PAGES       512u
#define FIRST_RING_PAGE 16u
#define RING_PAGES      3u
#define GUARD_PAGE      300u
#define DATA_PAGE       301u
#define DATA_PAGES      32u
#define PAGE            4096u
#define DISK_BYTES      (UINT64_C(64) << 10)
#define DISKS           3u
#define CHANNELS        (1u + STOR_SUB_CHANNELS)
#define PACKETS_MAX     1024u
#define GUARD_BYTE      0xA5
#define VMBUS_5_3       0x00050003u

/* A packet that was sent. */
struct sent {
    uint32_t channel;
    uint32_t data_bytes;
    bool is_srb;
    bool is_due; /* its answer has yet to come */
};

static struct guest guest;
static struct storvsp controller;
static struct fake_disk disks[DISKS];
static struct guest_channel channels[CHANNELS];
static uint32_t channel_count; /* that are open */
static struct sent sent[PACKETS_MAX];
static uint32_t sent_count; /* the transaction id of a packet is its index and 1 */

static const struct guid identities[DISKS] = {{.data1 = 1}, {.data1 = 2}, {.data1 = 3}};
static const enum scsi_kind kinds[DISKS] = {SCSI_DISK, SCSI_DISK, SCSI_DVD};

static void detached(struct storvsp *of, uint32_t lun)
{
    FUZZ_CHECK(of == &controller && lun < DISKS && disks[lun].pending_count == 0);
}

static void make_machine(void)
{
    size_t units = (vmbus_storage_bytes() + VMBUS_STORAGE_ALIGNMENT - 1) / VMBUS_STORAGE_ALIGNMENT;

    guest.host = fake_host_create(RAM_PAGES * PAGE);
    guest.bus = aligned_alloc(VMBUS_STORAGE_ALIGNMENT, units * VMBUS_STORAGE_ALIGNMENT);
    FUZZ_CHECK(guest.bus != NULL);
    for (uint32_t i = 0; i < DISKS; i++) {
        fake_disk_create(&disks[i], DISK_BYTES, i == 1 ? PAGE : 512);
    }
}

static void create(struct fuzz_input *input)
{
    struct storvsp_config config = {.sub_channels_max = STOR_SUB_CHANNELS, .detached = detached};
    uint8_t flags = fuzz_u8(input);

    if (guest.host == NULL) {
        make_machine();
    }
    memset(guest.host->ram + FIRST_RING_PAGE * PAGE, 0, (RAM_PAGES - FIRST_RING_PAGE) * PAGE);
    memset(guest.host->ram + GUARD_PAGE * PAGE, GUARD_BYTE, PAGE);
    memset(guest.host->ram + (DATA_PAGE + DATA_PAGES) * PAGE, GUARD_BYTE, PAGE);
    guest.host->log[0] = '\0';
    guest.host->log_lines = 0;
    fake_now_100ns = 5000000000;
    FUZZ_CHECK(vmbus_create(guest.bus, guest.host, GUEST_VPS) == guest.bus);
    config.bus = guest.bus;
    config.host = guest.host;
    host_vm_lock(guest.host);
    FUZZ_CHECK(storvsp_create(&controller, &config));
    for (uint32_t i = 0; i < DISKS; i++) {
        struct block_disk *disk = &disks[i].disk;

        memset(disks[i].bytes, 0, DISK_BYTES);
        disks[i].is_holding = false;
        disks[i].is_stuck = false;
        disks[i].result = BLOCK_OK;
        disk->byte_count = kinds[i] == SCSI_DISK && (flags & 0x03) == 2 ? DISK_BYTES / 2 : DISK_BYTES;
        disk->is_read_only = kinds[i] == SCSI_DVD || (flags & 0x03) == 1;
        disk->has_write_cache = (flags & 0x04) == 0;
        disk->can_force = (flags & 0x08) == 0;
        disk->can_unmap = (flags & 0x30) != 0x10;
        disk->is_zero_when_unmapped = (flags & 0x30) != 0x20;
        disk->can_write_zeroes = (flags & 0x40) == 0;
        disk->can_verify = (flags & 0x80) == 0;
        FUZZ_CHECK(storvsp_attach(&controller, i, kinds[i], &identities[i], disk));
    }
    host_vm_unlock(guest.host);
}

/* Ends requests of a disk until none is left. */
static void complete_all(struct fuzz_input *input)
{
    for (uint32_t i = 0; i < DISKS; i++) {
        host_vm_lock(guest.host);
        while (fake_disk_complete(&disks[i], fuzz_below(input, 4) == 0 ? BLOCK_FAILED : BLOCK_OK)) {
        }
        host_vm_unlock(guest.host);
    }
}

static void take_messages(void)
{
    guest.host->synic.taken = guest.host->synic.posted;
}

/* The guest begins as if it had just been loaded, with rings that are as before. */
static void connect(void)
{
    struct guest_offer offer;

    take_messages();
    guest.next_page = FIRST_RING_PAGE;
    sent_count = 0;
    guest_connect(&guest, VMBUS_5_3, &offer);
    guest_open(&guest, &channels[0], &offer, RING_PAGES, 0);
    channel_count = 1;
}

/* Most inputs are to get behind the set-up. */
static void set_up(void)
{
    static const uint32_t operations[] = {7, 9, 10, 8};

    for (uint32_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        uint8_t body[52] = {0x02, 0x06};

        FUZZ_CHECK(stor_call(&channels[0], operations[i], body, NULL) == 0);
    }
}

static void open_sub_channels(void)
{
    uint8_t body[52] = {STOR_SUB_CHANNELS};
    struct guest_offer offers[STOR_SUB_CHANNELS];

    FUZZ_CHECK(stor_call(&channels[0], 13, body, NULL) == 0);
    for (uint32_t i = 0; i < STOR_SUB_CHANNELS; i++) {
        guest_expect_offer(&guest, &offers[i]);
    }
    for (uint32_t i = 0; i < STOR_SUB_CHANNELS; i++) {
        guest_open(&guest, &channels[channel_count++], &offers[i], RING_PAGES, 0);
    }
}

/* The answer is what the guest's driver can take. */
static void check_srb(const uint8_t *srb, const struct sent *packet)
{
    uint8_t status = srb[2];
    uint8_t sense_bytes = srb[9];
    uint32_t transfer_bytes = get_u32(srb + 12);

    FUZZ_CHECK(status == 0x01 || status == 0x04 || status == 0x84 || status == 0x06 || status == 0x0E ||
               status == 0x20);
    FUZZ_CHECK((status & 0x3F) == 0x04 ? srb[3] == 2 || (srb[3] == 0x18 && sense_bytes == 0) : srb[3] == 0);
    FUZZ_CHECK((status == 0x84) == (sense_bytes != 0));
    FUZZ_CHECK(sense_bytes <= 18 && (sense_bytes == 0 || srb[16] == 0x70));
    FUZZ_CHECK(status == 0x01 ? transfer_bytes <= packet->data_bytes : transfer_bytes == 0);
    for (uint32_t i = sense_bytes; i < 20; i++) {
        FUZZ_CHECK(srb[16 + i] == 0);
    }
}

/* Takes a packet of the host; false when there is none. */
static bool take(uint32_t channel)
{
    static struct guest_packet packet;
    const uint8_t *payload = packet.bytes + 16;
    struct sent *answered;

    if (!guest_read(&channels[channel], &packet)) {
        return false;
    }
    FUZZ_CHECK(packet.payload_offset == 16 && packet.length <= 16 + 64 && packet.flags == 0);
    if (packet.transaction_id == 0) {
        FUZZ_CHECK(channel == 0 && packet.type == 6 && packet.length == 16 + 64 && get_u32(payload) == 11);
        return true;
    }
    FUZZ_CHECK(packet.type == 11 && packet.transaction_id <= sent_count);
    answered = &sent[packet.transaction_id - 1];
    FUZZ_CHECK(answered->is_due && answered->channel == channel);
    answered->is_due = false;
    FUZZ_CHECK(get_u32(payload) == 1 && get_u32(payload + 4) == 0);
    if (answered->is_srb && get_u32(payload + 8) == 0) {
        check_srb(payload + 12, answered);
    }
    return true;
}

/* Some ranges in the data pages; returns their bytes, and how many bytes lie in them. */
static uint32_t make_ranges(struct fuzz_input *input, uint8_t *ranges, uint32_t *data_bytes)
{
    uint32_t count = 1 + fuzz_below(input, 4) % 3;
    uint32_t length = 8;

    put_u32(ranges, 0);
    put_u32(ranges + 4, count);
    *data_bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        static const uint16_t sizes[] = {512, 4096, 2048, 24, 8, 36, 8192, 65};
        uint32_t unit_bytes = sizes[fuzz_below(input, 8)];
        uint32_t bytes = unit_bytes * (1 + fuzz_below(input, 4));
        uint32_t offset = fuzz_below(input, 4) == 0 ? fuzz_u16(input) % PAGE : 0;
        uint32_t pages = (offset + bytes + PAGE - 1) / PAGE;

        put_u32(ranges + length, bytes);
        put_u32(ranges + length + 4, offset);
        length += 8;
        for (uint32_t k = 0; k < pages; k++) {
            put_u64(ranges + length, DATA_PAGE + fuzz_u8(input) % DATA_PAGES);
            length += 8;
        }
        *data_bytes += bytes;
    }
    return length;
}

static void make_cdb(struct fuzz_input *input, uint8_t *cdb)
{
    static const uint8_t codes[] = {0x00, 0x03, 0x08, 0x0A, 0x12, 0x16, 0x17, 0x1A, 0x1B, 0x1E, 0x25,
                                    0x28, 0x2A, 0x2F, 0x35, 0x41, 0x42, 0x43, 0x46, 0x4A, 0x5A, 0x5E,
                                    0x5F, 0x88, 0x8A, 0x8F, 0x91, 0x93, 0x9E, 0xA0, 0xA8, 0xAA};

    if (fuzz_below(input, 4) == 0) {
        fuzz_fill(input, cdb, 16);
    } else {
        /* Small numbers where blocks and lengths are. */
        cdb[1] = fuzz_u8(input);
        for (uint32_t i = 0; i < 3; i++) {
            uint32_t at = fuzz_below(input, 16);

            cdb[at] = fuzz_u8(input);
        }
    }
    cdb[0] = codes[fuzz_below(input, sizeof(codes))];
}

static void make_srb(struct fuzz_input *input, uint8_t *packet, uint32_t data_bytes)
{
    uint8_t *srb = packet + 12;
    uint8_t odd = fuzz_u8(input);

    put_u32(packet, 3);
    srb[7] = (uint8_t)fuzz_below(input, DISKS + 1);
    srb[8] = 16;
    srb[9] = 20;
    put_u32(srb + 12, data_bytes);
    make_cdb(input, srb + 16);
    put_u32(srb + 44, fuzz_below(input, 64));
    if (odd < 16) {
        srb[odd] = fuzz_u8(input);
    }
}

static void send(struct fuzz_input *input)
{
    static uint8_t ranges[1024];
    uint8_t packet[80] = {0};
    uint32_t channel = fuzz_below(input, channel_count);
    uint8_t form = fuzz_u8(input);
    uint32_t data_bytes = 0, ranges_bytes = 0, length = 64;
    struct sent *entry = &sent[sent_count];

    if (sent_count == PACKETS_MAX) {
        return;
    }
    if ((form & 0x03) != 0) {
        ranges_bytes = make_ranges(input, ranges, &data_bytes);
    }
    if ((form & 0x3C) == 0x04) {
        length = 8 * (1 + fuzz_below(input, 10));
        fuzz_fill(input, packet, length);
    } else if ((form & 0x3C) == 0x08) {
        put_u32(packet, 4 + fuzz_below(input, 11));
        fuzz_fill(input, packet + 12, 8);
    } else {
        make_srb(input, packet, data_bytes);
    }
    if ((form & 0xC0) == 0xC0 && ranges_bytes != 0) {
        uint32_t at = fuzz_u16(input) % ranges_bytes;

        /* The lowest byte of a page number would name another page of RAM, such as a ring's, and be right. */
        ranges[at % 8 == 0 ? at + 1 : at] ^= fuzz_u8(input);
    }
    *entry = (struct sent){
        .channel = channel,
        .data_bytes = data_bytes,
        .is_srb = get_u32(packet) == 3 && length >= 64,
        .is_due = (form & 0x3C) != 0x0C,
    };
    if (guest_write(&channels[channel], ranges_bytes != 0 ? 9 : 6, entry->is_due ? 1 : 0, sent_count + 1, ranges,
                    ranges_bytes, packet, length)) {
        sent_count++;
    }
}

static void complete(struct fuzz_input *input)
{
    static const enum block_result results[] = {BLOCK_OK,       BLOCK_OK,     BLOCK_OK,  BLOCK_MEDIUM_ERROR,
                                                BLOCK_NO_SPACE, BLOCK_FAILED, BLOCK_GONE};
    struct fake_disk *disk = &disks[fuzz_below(input, DISKS)];
    uint32_t count = 1 + fuzz_below(input, 16);
    enum block_result result = results[fuzz_below(input, 7)];

    host_vm_lock(guest.host);
    while (count-- != 0 && fake_disk_complete(disk, result)) {
    }
    host_vm_unlock(guest.host);
}

static void change_disk(struct fuzz_input *input)
{
    uint8_t behaviour = fuzz_u8(input);
    uint32_t lun = fuzz_below(input, DISKS);
    struct fake_disk *disk = &disks[lun];
    struct scsi_unit *unit = &controller.target.units[lun];
    bool is_present = unit->kind != SCSI_ABSENT && !unit->is_leaving;

    host_vm_lock(guest.host);
    switch (behaviour & 0x07) {
    case 0:
        if (unit->kind == SCSI_ABSENT) {
            FUZZ_CHECK(storvsp_attach(&controller, lun, kinds[lun], &identities[lun], &disk->disk));
        }
        break;
    case 1:
        if (is_present) {
            FUZZ_CHECK(storvsp_detach(&controller, lun) == (disk->pending_count == 0));
        }
        break;
    case 2:
        if (is_present && kinds[lun] == SCSI_DVD) {
            FUZZ_CHECK(storvsp_set_disc(&controller, lun, (behaviour & 0x08) != 0 ? &disk->disk : NULL) ==
                       (disk->pending_count == 0));
        }
        break;
    case 3:
        /* Only upwards: requests that are under way stay inside. */
        if (is_present && kinds[lun] == SCSI_DISK && disk->disk.byte_count == DISK_BYTES / 2) {
            disk->disk.byte_count = DISK_BYTES;
            storvsp_disk_resized(&controller, lun);
        }
        break;
    case 4:
        disk->result = (enum block_result)(BLOCK_MEDIUM_ERROR + behaviour / 64);
        break;
    case 5:
        disk->result = BLOCK_OK;
        break;
    default:
        disk->is_holding = (behaviour & 0x08) != 0;
        disk->is_stuck = (behaviour & 0x10) != 0;
        break;
    }
    host_vm_unlock(guest.host);
}

/* The guest closes the controller, or is gone without a word, and comes again. */
static void restart(struct fuzz_input *input)
{
    uint8_t form = fuzz_u8(input);

    if ((form & 0x01) != 0) {
        guest_post_relid(&guest, 7, channels[0].relid);
    }
    if ((form & 0x02) == 0) {
        for (uint32_t i = 0; i < DISKS; i++) {
            disks[i].is_stuck = false;
        }
    }
    if ((form & 0x03) != 0) {
        complete_all(input);
    }
    if ((form & 0x02) != 0) {
        for (uint32_t i = 0; i < DISKS; i++) {
            disks[i].is_stuck = false;
        }
    }
    connect();
    FUZZ_CHECK(controller.active_count == 0);
    if ((form & 0x0C) != 0) {
        for (uint32_t i = 0; i < DISKS; i++) {
            disks[i].is_holding = disks[i].is_holding && (form & 0x10) != 0;
        }
        set_up();
    }
}

static void operate(struct fuzz_input *input)
{
    static const uint32_t steps_ms[] = {10, 1000, 30000, 61000};
    uint32_t count;

    switch (fuzz_below(input, 16)) {
    case 0:
    case 1:
        complete(input);
        break;
    case 2:
    case 3:
        change_disk(input);
        break;
    case 4:
        fake_host_advance(guest.host, steps_ms[fuzz_below(input, 4)] * UINT64_C(10000));
        break;
    case 5:
        restart(input);
        break;
    case 6:
        fuzz_fill(input, guest.host->ram + (DATA_PAGE + fuzz_u8(input) % DATA_PAGES) * PAGE, 32);
        break;
    case 7:
    case 8:
        count = fuzz_below(input, 32);
        for (uint32_t i = 0; i < channel_count; i++) {
            for (uint32_t k = 0; k < count && take(i); k++) {
            }
        }
        break;
    case 9:
        if (controller.state == STORVSP_STATE_READY && channel_count == 1 && controller.sub_channel_count == 0 &&
            controller.active_count == 0) {
            while (take(0)) {
            }
            open_sub_channels();
        }
        break;
    default:
        send(input);
        break;
    }
    guest_let_call_back(&guest);
    /* Whoever broke the protocol has lost the device until it connects again. */
    if (guest_channel_state(&guest, channels[0].relid) != VMBUS_CHANNEL_OPEN) {
        complete_all(input);
        connect();
        FUZZ_CHECK(controller.active_count == 0);
    }
}

/* Requests are where they are counted. */
static void check(void)
{
    uint32_t in_use = 0, pending = 0, of_units = 0, overdue = 0;

    FUZZ_CHECK(!guest.host->is_locked);
    for (uint32_t i = 0; i < STORVSP_CHANNELS_MAX; i++) {
        in_use += controller.channels[i].request_count;
    }
    FUZZ_CHECK(in_use + controller.free_count == STORVSP_REQUESTS_MAX);
    FUZZ_CHECK(list_count(&controller.free_requests) == controller.free_count);
    for (uint32_t i = 0; i < DISKS; i++) {
        const struct scsi_unit *unit = &controller.target.units[i];

        pending += disks[i].pending_count;
        of_units += unit->pending_count;
        overdue += unit->overdue_count;
        FUZZ_CHECK(unit->overdue_count <= unit->pending_count);
    }
    FUZZ_CHECK(overdue == controller.target.overdue_count);
    FUZZ_CHECK(controller.active_count == pending && of_units == pending);
}

static void check_guard(uint32_t page)
{
    static uint8_t guard[PAGE];

    memset(guard, GUARD_BYTE, sizeof(guard));
    FUZZ_CHECK(memcmp(guest.host->ram + page * PAGE, guard, PAGE) == 0);
}

/* Everything that is due is answered, and nothing is left. */
static void finish(struct fuzz_input *input)
{
    bool is_going = true;

    while (is_going) {
        is_going = controller.active_count != 0;
        complete_all(input);
        guest_let_call_back(&guest);
        for (uint32_t i = 0; i < channel_count; i++) {
            while (take(i)) {
                is_going = true;
            }
        }
    }
    check();
    for (uint32_t i = 0; i < sent_count; i++) {
        FUZZ_CHECK(!sent[i].is_due);
    }
    check_guard(GUARD_PAGE);
    check_guard(DATA_PAGE + DATA_PAGES);
    host_vm_lock(guest.host);
    vmbus_destroy(guest.bus);
    storvsp_destroy(&controller);
    host_vm_unlock(guest.host);
    FUZZ_CHECK(storvsp_is_quiet(&controller));
    FUZZ_CHECK(fake_host_armed_timers(guest.host) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {.bytes = bytes, .left = size};

    create(&input);
    connect();
    if (fuzz_below(&input, 8) != 0) {
        set_up();
    }
    for (uint32_t i = 0; i < OPERATIONS_MAX && input.left != 0; i++) {
        operate(&input);
        check();
    }
    finish(&input);
    return 0;
}
