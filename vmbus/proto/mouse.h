/* SPDX-License-Identifier: MIT */
/* Messages of the synthetic mouse, a HID device, in a pipe. */
#ifndef PROTO_MOUSE_H
#define PROTO_MOUSE_H

#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "vmbus/proto/ring_format.h"

#define MOUSE_VERSION 0x00020000u

#define MOUSE_PROTOCOL_REQUEST    0u
#define MOUSE_PROTOCOL_RESPONSE   1u
#define MOUSE_INITIAL_DEVICE_INFO 2u
#define MOUSE_DEVICE_INFO_ACK     3u /* a byte that says nothing follows */
#define MOUSE_INPUT_REPORT        4u

/* What the drivers of guests look for. */
#define MOUSE_VENDOR_ID  0x045Eu
#define MOUSE_PRODUCT_ID 0x0621u

/* Begins each message. */
struct mouse_header {
    struct vmbus_pipe_header pipe;
    uint32_t type;
    uint32_t size_bytes; /* of what follows */
};
_Static_assert(sizeof(struct mouse_header) == 16, "mouse_header");

/* MOUSE_PROTOCOL_REQUEST. */
struct mouse_request {
    struct mouse_header header;
    uint32_t version;
};
_Static_assert(sizeof(struct mouse_request) == 20, "mouse_request");

/* MOUSE_PROTOCOL_RESPONSE; MOUSE_RESPONSE_BYTES of it are sent, since Linux drops a message that is longer. */
struct mouse_response {
    struct mouse_header header;
    uint32_t version;
    uint8_t is_accepted;
    uint8_t rsvd[3];
};
_Static_assert(offsetof(struct mouse_response, is_accepted) == 20, "is_accepted");
_Static_assert(sizeof(struct mouse_response) == 24, "mouse_response");
#define MOUSE_RESPONSE_BYTES 21u

/* Descriptor of a device with one report descriptor (USB, Device Class Definition for HID, HID Descriptor). */
struct mouse_hid_descriptor {
    uint8_t length_bytes;
    uint8_t type; /* MOUSE_DESCRIPTOR_HID */
    uint16_t version_bcd;
    uint8_t country;
    uint8_t descriptor_count;
    uint8_t report_type; /* MOUSE_DESCRIPTOR_REPORT */
    uint16_t report_descriptor_bytes;
} PACKED;
_Static_assert(sizeof(struct mouse_hid_descriptor) == 9, "mouse_hid_descriptor");

#define MOUSE_DESCRIPTOR_HID    0x21u
#define MOUSE_DESCRIPTOR_REPORT 0x22u

/* MOUSE_INITIAL_DEVICE_INFO; the report descriptor follows. */
struct mouse_device_info {
    struct mouse_header header;
    uint32_t attributes_bytes; /* of the attributes, up to and with rsvd */
    uint16_t vendor_id;
    uint16_t product_id;
    uint16_t version;
    uint16_t rsvd[11];
    struct mouse_hid_descriptor hid;
} PACKED;
_Static_assert(offsetof(struct mouse_device_info, hid) == 48, "hid");
_Static_assert(sizeof(struct mouse_device_info) == 57, "mouse_device_info");
#define MOUSE_ATTRIBUTES_BYTES 32u

/* MOUSE_INPUT_REPORT, as the report descriptor describes it. */
struct mouse_report {
    struct mouse_header header;
    uint8_t buttons; /* a bit for each that is down */
    uint16_t x;      /* 0 to MOUSE_POSITION_MAX over the screen */
    uint16_t y;
    int16_t wheel; /* steps away from the user since the last report */
} PACKED;
_Static_assert(sizeof(struct mouse_report) == 23, "mouse_report");

#define MOUSE_POSITION_MAX 32767u
#define MOUSE_BUTTON_COUNT 5u

#endif
