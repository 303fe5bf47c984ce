/* SPDX-License-Identifier: MIT */
/*
 * A guest that lies to its disk, over a real ring: each lie ends the channel with a rescission, and to the next contact
 * the disk is there again, with what was written to it. The disk is the first of the controller, with an ext4 file
 * system at its beginning, which is only read; its last block is written.
 */
#include "hv/abi/hv_status.h"
#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"
#include "hv/lib/str.h"
#include "partitions/child/lib/bus.h"
#include "partitions/child/lib/guest.h"

#define CONTROLLER_TYPE  0xBA6163D9u /* the first four bytes of the GUID */
#define GPADL_ID         77u
#define RING_PAGES       4u /* two for each direction: control and data */
#define OPEN_BYTES       148u
#define DATA_BYTES       512u
#define SUPERBLOCK       2u /* block of ext4's superblock */
#define EXT4_MAGIC_BYTES 0x38u
#define IN_BAND          6u
#define GPA_DIRECT       9u
#define VERSION_WIN10    0x0602u
#define SRB_SUCCESS      1u

/* Operations of the protocol. */
enum {
    EXECUTE_SRB = 3,
    BEGIN = 7,
    END = 8,
    QUERY_VERSION = 9,
    QUERY_PROPERTIES = 10,
};

/* The protocol's packet, of 64 bytes. */
struct PACKED operation {
    uint32_t code;
    uint32_t flags;
    uint32_t status;
    uint8_t body[52];
};

/* A packet of the set-up. */
struct PACKED in_band {
    uint16_t type, offset8, length8, flags;
    uint64_t id;
    struct operation operation;
};

/* A SCSI request with one page of memory. */
struct PACKED gpa_direct {
    uint16_t type, offset8, length8, flags;
    uint64_t id;
    uint32_t rsvd, range_count, byte_count, byte_offset;
    uint64_t page;
    struct operation operation;
};
_Static_assert(sizeof(struct in_band) == 80 && sizeof(struct gpa_direct) == 104, "packets");

static uint32_t *const payload = guest_bus_payload;
static uint8_t rings[RING_PAGES][PAGE_SIZE] ALIGNED(PAGE_SIZE);
static uint8_t data[PAGE_SIZE] ALIGNED(PAGE_SIZE);
static uint32_t relid;
static uint32_t connection_id;
static uint32_t last_block;

/* Index of a ring: 0 where it is written, 1 where it is read. */
static volatile uint32_t *ring_index(uint32_t control_page, uint32_t which)
{
    return (volatile uint32_t *)(void *)rings[control_page] + which;
}

/* Puts a packet into the ring, which is never written round, and signals. */
static void send(const void *packet, uint32_t bytes)
{
    uint32_t at = *ring_index(0, 0);
    uint32_t trailer[2] = {0, at};

    memcpy(rings[1] + at, packet, bytes);
    memcpy(rings[1] + at + bytes, trailer, sizeof(trailer));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    *ring_index(0, 0) = at + bytes + (uint32_t)sizeof(trailer);
    (void)guest_bus_signal(connection_id);
}

/* Takes the next answer; false when none has come in time. */
static bool receive(struct in_band *answer)
{
    uint64_t start = guest_clock();
    uint32_t at = *ring_index(2, 1);

    while (*ring_index(2, 0) == at) {
        if (guest_clock() - start > GUEST_BUS_LIMIT_100NS) {
            return false;
        }
        irq_window();
    }
    memcpy(answer, rings[3] + at, sizeof(*answer));
    *ring_index(2, 1) = at + answer->length8 * 8u + 8;
    return true;
}

static bool set_up(uint32_t code, uint16_t version)
{
    struct in_band packet = {.type = IN_BAND, .offset8 = 2, .length8 = 10, .flags = 1, .id = code};
    struct in_band answer;

    packet.operation.code = code;
    packet.operation.flags = 1;
    memcpy(packet.operation.body, &version, sizeof(version));
    send(&packet, sizeof(packet));
    return receive(&answer) && answer.id == code && answer.operation.status == 0;
}

/* READ(10) or WRITE(10) of one block, from or to `data`. */
static struct gpa_direct make_request(uint8_t code, uint32_t block)
{
    struct gpa_direct packet = {
        .type = GPA_DIRECT,
        .offset8 = 5,
        .length8 = 13,
        .flags = 1,
        .id = block,
        .range_count = 1,
        .byte_count = DATA_BYTES,
        .page = (uint64_t)data >> PAGE_SHIFT,
        .operation = {.code = EXECUTE_SRB, .flags = 1},
    };
    uint8_t *srb = packet.operation.body;
    uint32_t bytes = DATA_BYTES;

    srb[0] = sizeof(packet.operation.body);
    srb[8] = 10;
    srb[9] = 20;
    srb[10] = code == 0x28;
    memcpy(srb + 12, &bytes, sizeof(bytes));
    srb[16] = code;
    for (uint32_t i = 0; i < 4; i++) {
        srb[18 + i] = (uint8_t)(block >> (24 - 8 * i));
    }
    srb[24] = 1;
    srb[44] = 60;
    return packet;
}

static bool transfer(uint8_t code, uint32_t block)
{
    struct gpa_direct packet = make_request(code, block);
    struct in_band answer;

    send(&packet, sizeof(packet));
    return receive(&answer) && answer.id == block && answer.operation.body[2] == SRB_SUCCESS;
}

/* Sends a GPADL of as many pages as the rings have; its status. */
static uint32_t share_pages(uint32_t gpadl_id, uint64_t first_page)
{
    memset(payload, 0, sizeof(guest_bus_payload));
    payload[2] = relid;
    payload[3] = gpadl_id;
    payload[4] = (8 + RING_PAGES * 8) | 1u << 16;
    payload[5] = sizeof(rings);
    for (uint64_t i = 0; i < RING_PAGES; i++) {
        uint64_t page = first_page + i;

        memcpy(&payload[7 + 2 * i], &page, sizeof(page));
    }
    (void)guest_bus_post(BUS_GPADL_HEADER, 28 + RING_PAGES * 8);
    return guest_bus_take() == BUS_GPADL_CREATED ? payload[4] : 1;
}

/* Opens the channel with a GPADL; the status. */
static uint32_t open_channel(uint32_t gpadl_id)
{
    memset(payload, 0, sizeof(guest_bus_payload));
    payload[2] = relid;
    payload[4] = gpadl_id;
    payload[6] = RING_PAGES / 2;
    (void)guest_bus_post(BUS_OPEN, OPEN_BYTES);
    return guest_bus_take() == BUS_OPEN_RESULT ? payload[4] : 1;
}

/* From the contact on to a controller that takes requests. */
static bool connect(void)
{
    bool is_found = false;

    memset(rings, 0, sizeof(rings));
    if (guest_bus_contact(GUEST_BUS_VERSION) != BUS_VERSION_RESPONSE) {
        return false;
    }
    (void)guest_bus_post(BUS_REQUEST_OFFERS, 8);
    while (guest_bus_take() == BUS_OFFER) {
        if (payload[2] == CONTROLLER_TYPE) {
            is_found = true;
            relid = payload[46];
            connection_id = payload[48];
        }
    }
    return is_found && share_pages(GPADL_ID, (uint64_t)rings >> PAGE_SHIFT) == 0 && open_channel(GPADL_ID) == 0 &&
           set_up(BEGIN, 0) && set_up(QUERY_VERSION, VERSION_WIN10) && set_up(QUERY_PROPERTIES, 0) && set_up(END, 0);
}

static bool disconnect(void)
{
    (void)guest_bus_post(BUS_UNLOAD, 8);
    return guest_bus_take() == BUS_UNLOAD_RESPONSE;
}

/* The superblock is there, and the last block has what was written to it. */
static bool is_intact(void)
{
    bool has_magic;

    memset(data, 0, sizeof(data));
    has_magic = transfer(0x28, SUPERBLOCK) && data[EXT4_MAGIC_BYTES] == 0x53 && data[EXT4_MAGIC_BYTES + 1] == 0xEF;
    return has_magic && transfer(0x28, last_block) && data[0] == 0xA5 && data[DATA_BYTES - 1] == 0xA5;
}

static void send_changed(uint32_t what, uint64_t value)
{
    struct gpa_direct packet = make_request(0x28, SUPERBLOCK);

    memcpy((uint8_t *)&packet + what, &value, what == offsetof(struct gpa_direct, page) ? 8 : what < 16 ? 2 : 4);
    send(&packet, sizeof(packet));
}

/* One lie: a field of a packet, or an index of the ring. */
static const struct lie {
    const char *name;
    bool is_index;
    uint32_t what; /* offset in a packet, or which index */
    uint64_t value;
} lies[] = {
    {"length-zero", false, offsetof(struct gpa_direct, length8), 0},
    {"length-beyond-ring", false, offsetof(struct gpa_direct, length8), 0xFFFF},
    {"payload-outside", false, offsetof(struct gpa_direct, offset8), 14},
    {"many-ranges", false, offsetof(struct gpa_direct, range_count), UINT32_MAX},
    {"long-range", false, offsetof(struct gpa_direct, byte_count), UINT32_MAX},
    {"offset-beyond-page", false, offsetof(struct gpa_direct, byte_offset), UINT32_MAX},
    {"page-no-ram", false, offsetof(struct gpa_direct, page), GUEST_HOLE >> PAGE_SHIFT},
    {"page-nowhere", false, offsetof(struct gpa_direct, page), UINT64_MAX},
    {"write-index-outside", true, 0, UINT32_MAX & ~7u},
    {"write-index-odd", true, 0, 4},
    {"answers-index-outside", true, 1, PAGE_SIZE},
};

static void check_lie(const struct lie *lie)
{
    uint32_t type = 0;

    if (connect() && is_intact()) {
        if (lie->is_index) {
            *ring_index(lie->what == 0 ? 0 : 2, lie->what) = (uint32_t)lie->value;
            if (lie->what == 0) {
                (void)guest_bus_signal(connection_id);
            } else {
                send_changed(0, GPA_DIRECT);
            }
        } else {
            send_changed(lie->what, lie->value);
        }
        type = guest_bus_take();
    }
    guest_check(type == BUS_RESCIND && payload[2] == relid && disconnect(), lie->name, "message %u", type);
}

/* Buffers that cannot be, and a block behind the end: refused, and nothing ends. */
static void check_refusals(void)
{
    struct gpa_direct packet = make_request(0x28, last_block + 1);
    struct in_band answer = {0};

    guest_check(share_pages(GPADL_ID + 1, GUEST_HOLE >> PAGE_SHIFT) != 0, "buffer-no-ram", "accepted");
    guest_check(open_channel(GPADL_ID) != 0, "open-again", "accepted");
    send(&packet, sizeof(packet));
    /* A check condition: illegal request, logical block address out of range. */
    guest_check(receive(&answer) && answer.operation.body[2] == 0x84 && (answer.operation.body[18] & 0xF) == 5 &&
                    answer.operation.body[28] == 0x21,
                "behind-the-end", "status %#x, sense %u, %#x", answer.operation.body[2],
                answer.operation.body[18] & 0xFu, answer.operation.body[28]);
}

uint8_t guest_main(void)
{
    last_block = (uint32_t)guest_option("blocks", 0) - 1;
    if (guest_bus_init() && guest_check(connect(), "connect", "no disk")) {
        memset(data, 0xA5, sizeof(data));
        guest_check(transfer(0x2A, last_block), "write", "failed");
        guest_check(is_intact(), "read", "something else");
        check_refusals();
        guest_check(is_intact() && disconnect(), "still-there", "it is not");
        for (uint32_t i = 0; i < ARRAY_SIZE(lies); i++) {
            check_lie(&lies[i]);
        }
        guest_check(connect() && is_intact(), "at-last", "the disk is not as it was");
    }
    return guest_failures();
}
