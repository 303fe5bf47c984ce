/* SPDX-License-Identifier: MIT */
#ifndef UNIT_STORVSP_GUEST_H
#define UNIT_STORVSP_GUEST_H

/*
 * The guest of the storage tests: what Linux's hv_storvsc sends, over the real bus. Like vmbus_guest.h it writes bytes
 * at offsets and knows nothing of vmbus/proto.
 */

#include <stdbool.h>
#include <stdint.h>

#include "tests/unit/fake_disk.h"
#include "tests/unit/vmbus_guest.h"
#include "vmbus/storvsp/storvsp.h"

#define STOR_DATA_PAGES   130u /* of memory for data */
#define STOR_DISK_BYTES   (UINT64_C(32) << 20)
#define STOR_ID           UINT64_C(0x4242)
#define STOR_SUB_CHANNELS 3u
#define STOR_CHANNELS     (1u + STOR_SUB_CHANNELS)

/* A guest with a controller that has one disk, of 512-byte blocks, at LUN 0. */
struct stor {
    struct guest guest;
    struct storvsp controller;
    struct fake_disk disk;
    struct guest_offer offer;
    struct guest_channel channel;
    uint8_t path; /* of the SRBs that follow, as is the target */
    uint8_t target;
    uint64_t data_page; /* the first of STOR_DATA_PAGES */
    uint8_t *data;
    uint32_t detached_count;
    uint32_t detached_lun;
};

/* The answer to an SRB. */
struct stor_answer {
    uint32_t status;
    uint8_t srb_status;
    uint8_t scsi_status;
    uint8_t sense_bytes;
    uint32_t transfer_bytes;
    uint8_t sense[20];
    uint64_t id;
};

/* Makes guest, bus, controller and disk; and their end. Nothing is connected. */
void stor_create(struct stor *stor);
void stor_destroy(struct stor *stor);

/* Connects, opens the channel with rings of `ring_pages`, and goes through the set-up with the protocol's version. */
void stor_open(struct stor *stor, uint32_t ring_pages);
void stor_begin(struct stor *stor, uint16_t version);

/* Sends a packet without data; the 52 bytes behind its header are `body` or zeros. */
void stor_send(struct guest_channel *channel, uint64_t id, uint32_t operation, const uint8_t *body);

/* Takes the answer that must be there, of 64 bytes and for `id`, and returns its status; `body` as above or null. */
uint32_t stor_expect(struct guest_channel *channel, uint64_t id, uint8_t *body);

/* Both in turn, with an id of its own. */
uint32_t stor_call(struct guest_channel *channel, uint32_t operation, const uint8_t *body, uint8_t *answer);

/* Asks for sub-channels and opens them. */
void stor_open_sub_channels(struct stor *stor, struct guest_channel *channels, uint32_t count, uint32_t ring_pages);

/* Takes the packet that says to look for units. */
void stor_expect_enumeration(struct guest_channel *channel);

/* Sends an SRB with `data_bytes` of the guest's data memory. False when the ring is full. */
bool stor_post(struct stor *stor, struct guest_channel *channel, uint64_t id, uint8_t lun, const uint8_t *cdb,
               uint32_t data_bytes);

/* The next answer to an SRB, if there is one. */
bool stor_take(struct guest_channel *channel, struct stor_answer *answer);

/* Sends an SRB on the primary channel and takes its answer. */
struct stor_answer stor_scsi(struct stor *stor, uint8_t lun, const uint8_t *cdb, uint32_t data_bytes);

/* The answer says that all is well, with so many bytes. */
void stor_assert_good(const struct stor_answer *answer, uint32_t transfer_bytes);

/* It is a check condition with this sense key and additional sense code. */
void stor_assert_sense(const struct stor_answer *answer, uint8_t key, uint16_t asc);

/* Both: sends an SRB, and this is the answer. */
void stor_expect_good(struct stor *stor, uint8_t lun, const uint8_t *cdb, uint32_t data_bytes, uint32_t transfer_bytes);
void stor_expect_sense(struct stor *stor, uint8_t lun, const uint8_t *cdb, uint32_t data_bytes, uint8_t key,
                       uint16_t asc);

/* Ends the oldest request of the disk, with the lock. */
void stor_complete(struct stor *stor, struct fake_disk *disk, enum block_result result);

#endif
