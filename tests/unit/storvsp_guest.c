/* SPDX-License-Identifier: MIT */
/* The guest's side of storage, after Linux's hv_storvsc. */
#include "tests/unit/storvsp_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bytes.h"

#define VMBUS_5_3    0x00050003u
#define PACKET_BYTES 64u
#define PAGE         4096u

static struct stor *stor_of(struct storvsp *controller)
{
    return CONTAINER_OF(controller, struct stor, controller);
}

static void detached(struct storvsp *controller, uint32_t lun)
{
    stor_of(controller)->detached_count++;
    stor_of(controller)->detached_lun = lun;
}

void stor_create(struct stor *stor)
{
    static const struct guid identity = {0x01234567, 0x89AB, 0xCDEF, {1, 2, 3, 4, 5, 6, 7, 8}};
    struct storvsp_config config = {
        .instance = {.data1 = 0x99887766},
        .sub_channels_max = STOR_SUB_CHANNELS,
        .detached = detached,
    };

    memset(stor, 0, sizeof(*stor));
    guest_create(&stor->guest);
    config.bus = stor->guest.bus;
    config.host = stor->guest.host;
    fake_disk_create(&stor->disk, STOR_DISK_BYTES, 512);
    stor->data_page = guest_pages(&stor->guest, STOR_DATA_PAGES);
    stor->data = stor->guest.host->ram + stor->data_page * PAGE;
    host_vm_lock(stor->guest.host);
    assert_true(storvsp_create(&stor->controller, &config));
    assert_true(storvsp_attach(&stor->controller, 0, SCSI_DISK, &identity, &stor->disk.disk));
    host_vm_unlock(stor->guest.host);
}

void stor_destroy(struct stor *stor)
{
    host_vm_lock(stor->guest.host);
    storvsp_destroy(&stor->controller);
    host_vm_unlock(stor->guest.host);
    guest_destroy(&stor->guest);
    assert_true(storvsp_is_quiet(&stor->controller));
    fake_disk_destroy(&stor->disk);
}

void stor_open(struct stor *stor, uint32_t ring_pages)
{
    guest_connect(&stor->guest, VMBUS_5_3, &stor->offer);
    guest_open(&stor->guest, &stor->channel, &stor->offer, ring_pages, 0);
}

void stor_begin(struct stor *stor, uint16_t version)
{
    uint8_t body[52] = {0};

    assert_int_equal(stor_call(&stor->channel, 7, NULL, NULL), 0);
    put_u16(body, version);
    assert_int_equal(stor_call(&stor->channel, 9, body, NULL), 0);
    assert_int_equal(stor_call(&stor->channel, 10, NULL, NULL), 0);
    assert_int_equal(stor_call(&stor->channel, 8, NULL, NULL), 0);
}

void stor_send(struct guest_channel *channel, uint64_t id, uint32_t operation, const uint8_t *body)
{
    uint8_t packet[PACKET_BYTES] = {0};

    put_u32(packet, operation);
    put_u32(packet + 4, 1);
    if (body != NULL) {
        memcpy(packet + 12, body, 52);
    }
    assert_true(guest_send(channel, id, true, packet, sizeof(packet)));
}

uint32_t stor_expect(struct guest_channel *channel, uint64_t id, uint8_t *body)
{
    struct guest_packet packet;
    const uint8_t *payload;

    assert_true(guest_read(channel, &packet));
    payload = packet.bytes + packet.payload_offset;
    assert_int_equal(packet.type, 11);
    assert_int_equal(packet.flags, 0);
    assert_int_equal(packet.transaction_id, id);
    assert_int_equal(packet.length - packet.payload_offset, PACKET_BYTES);
    assert_int_equal(get_u32(payload), 1);
    assert_int_equal(get_u32(payload + 4), 0);
    if (body != NULL) {
        memcpy(body, payload + 12, 52);
    }
    return get_u32(payload + 8);
}

uint32_t stor_call(struct guest_channel *channel, uint32_t operation, const uint8_t *body, uint8_t *answer)
{
    uint64_t id = STOR_ID + operation;

    stor_send(channel, id, operation, body);
    return stor_expect(channel, id, answer);
}

void stor_open_sub_channels(struct stor *stor, struct guest_channel *channels, uint32_t count, uint32_t ring_pages)
{
    uint8_t body[52] = {(uint8_t)count};
    struct guest_offer offers[STOR_SUB_CHANNELS];

    assert_int_equal(stor_call(&stor->channel, 13, body, NULL), 0);
    for (uint32_t i = 0; i < count; i++) {
        guest_expect_offer(&stor->guest, &offers[i]);
        assert_int_equal(offers[i].sub_channel_index, i + 1);
    }
    for (uint32_t i = 0; i < count; i++) {
        guest_open(&stor->guest, &channels[i], &offers[i], ring_pages, i);
    }
}

void stor_expect_enumeration(struct guest_channel *channel)
{
    struct guest_packet packet;

    assert_true(guest_read(channel, &packet));
    assert_int_equal(packet.type, 6);
    assert_int_equal(packet.flags, 0);
    assert_int_equal(packet.transaction_id, 0);
    assert_int_equal(packet.length, 16 + PACKET_BYTES);
    assert_int_equal(get_u32(packet.bytes + 16), 11);
}

/* Like Linux: the length of a CDB follows from its group. */
static uint8_t cdb_bytes(uint8_t operation_code)
{
    static const uint8_t bytes[8] = {6, 10, 10, 16, 16, 12, 16, 16};

    return bytes[operation_code >> 5];
}

bool stor_post(struct stor *stor, struct guest_channel *channel, uint64_t id, uint8_t lun, const uint8_t *cdb,
               uint32_t data_bytes)
{
    uint32_t pages = (data_bytes + PAGE - 1) / PAGE;
    uint8_t packet[PACKET_BYTES] = {0};
    uint8_t ranges[8 + 8 + STOR_DATA_PAGES * 8] = {0};
    uint8_t *srb = packet + 12;

    put_u32(packet, 3);
    put_u32(packet + 4, 1);
    put_u16(srb, 52);
    srb[5] = stor->path;
    srb[6] = stor->target;
    srb[7] = lun;
    srb[8] = cdb_bytes(cdb[0]);
    srb[9] = 20;
    srb[10] = data_bytes != 0 ? 1 : 2;
    put_u32(srb + 12, data_bytes);
    memcpy(srb + 16, cdb, srb[8]);
    put_u32(srb + 44, 60);
    if (data_bytes == 0) {
        return guest_write(channel, 6, 1, id, NULL, 0, packet, sizeof(packet));
    }
    put_u32(ranges + 4, 1);
    put_u32(ranges + 8, data_bytes);
    for (uint32_t i = 0; i < pages; i++) {
        put_u64(ranges + 16 + 8 * i, stor->data_page + i);
    }
    return guest_write(channel, 9, 1, id, ranges, 16 + 8 * pages, packet, sizeof(packet));
}

bool stor_take(struct guest_channel *channel, struct stor_answer *answer)
{
    struct guest_packet packet;
    const uint8_t *payload = packet.bytes + 16;
    const uint8_t *srb = payload + 12;

    if (!guest_read(channel, &packet)) {
        return false;
    }
    assert_int_equal(packet.type, 11);
    assert_int_equal(packet.flags, 0);
    assert_int_equal(packet.length, 16 + PACKET_BYTES);
    assert_int_equal(get_u32(payload), 1);
    *answer = (struct stor_answer){
        .status = get_u32(payload + 8),
        .srb_status = srb[2],
        .scsi_status = srb[3],
        .sense_bytes = srb[9],
        .transfer_bytes = get_u32(srb + 12),
        .id = packet.transaction_id,
    };
    memcpy(answer->sense, srb + 16, 20);
    return true;
}

struct stor_answer stor_scsi(struct stor *stor, uint8_t lun, const uint8_t *cdb, uint32_t data_bytes)
{
    struct stor_answer answer;

    assert_true(stor_post(stor, &stor->channel, STOR_ID, lun, cdb, data_bytes));
    assert_true(stor_take(&stor->channel, &answer));
    assert_int_equal(answer.id, STOR_ID);
    return answer;
}

void stor_assert_good(const struct stor_answer *answer, uint32_t transfer_bytes)
{
    assert_int_equal(answer->status, 0);
    assert_int_equal(answer->srb_status, 1);
    assert_int_equal(answer->scsi_status, 0);
    assert_int_equal(answer->sense_bytes, 0);
    assert_int_equal(answer->transfer_bytes, transfer_bytes);
}

void stor_assert_sense(const struct stor_answer *answer, uint8_t key, uint16_t asc)
{
    assert_int_equal(answer->status, 0);
    assert_int_equal(answer->srb_status, 0x84);
    assert_int_equal(answer->scsi_status, 2);
    assert_int_equal(answer->sense_bytes, 18);
    assert_int_equal(answer->transfer_bytes, 0);
    assert_int_equal(answer->sense[0], 0x70);
    assert_int_equal(answer->sense[2], key);
    assert_int_equal(answer->sense[7], 10);
    assert_int_equal(answer->sense[12] << 8 | answer->sense[13], asc);
}

void stor_expect_good(struct stor *stor, uint8_t lun, const uint8_t *cdb, uint32_t data_bytes, uint32_t transfer_bytes)
{
    struct stor_answer answer = stor_scsi(stor, lun, cdb, data_bytes);

    stor_assert_good(&answer, transfer_bytes);
}

void stor_expect_sense(struct stor *stor, uint8_t lun, const uint8_t *cdb, uint32_t data_bytes, uint8_t key,
                       uint16_t asc)
{
    struct stor_answer answer = stor_scsi(stor, lun, cdb, data_bytes);

    stor_assert_sense(&answer, key, asc);
}

void stor_complete(struct stor *stor, struct fake_disk *disk, enum block_result result)
{
    host_vm_lock(stor->guest.host);
    assert_true(fake_disk_complete(disk, result));
    host_vm_unlock(stor->guest.host);
}
