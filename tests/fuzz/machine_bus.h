/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_MACHINE_BUS_H
#define FUZZ_MACHINE_BUS_H

/* A VMBus with providers on the fake host, for the targets that drive its control plane and its rings. */

#include <stdbool.h>
#include <stdint.h>

#include "tests/unit/fake_host.h"
#include "tests/unit/vmbus_guest.h"
#include "vmbus/bus.h"
#include "vmbus/ic/heartbeat.h"
#include "vmbus/ic/kvp.h"
#include "vmbus/ic/shutdown.h"
#include "vmbus/ic/timesync.h"
#include "vmbus/ic/vss.h"
#include "vmbus/keyboard/keyboard.h"
#include "vmbus/mouse/mouse.h"
#include "vmbus/video/video.h"

#define FUZZ_BUS_RAM_BYTES    (UINT64_C(128) * 4096)
#define FUZZ_BUS_VPS          4u
#define FUZZ_BUS_RECORDERS    6u
/* Where devices may have memory. */
#define FUZZ_BUS_WINDOW       UINT64_C(0xE0000000)
#define FUZZ_BUS_WINDOW_BYTES UINT64_C(0x01000000)

/* The bus and what is on it. Recorders 4 and 5 are sub-channels of number 0; none is offered yet. */
struct fuzz_bus {
    struct host_vm *host;
    struct vmbus *bus;
    struct recorder recorders[FUZZ_BUS_RECORDERS];
    struct gpadl *held[FUZZ_BUS_RECORDERS]; /* a GPADL that this recorder uses, or null */
    struct heartbeat heartbeat;
    struct shutdown shutdown;
    struct timesync timesync;
    struct kvp kvp;
    struct vss vss;
    struct keyboard keyboard;
    struct mouse mouse;
    struct video video;
    uint32_t owed_answers; /* of shutdown, kvp and vss */
};

/* Makes the bus; its RAM is zero, and the same on each call. */
struct fuzz_bus *fuzz_bus_create(void);

/* Posts a message of the guest. */
void fuzz_bus_post(struct fuzz_bus *fuzz, uint32_t connection_id, const uint8_t *bytes, uint32_t length_bytes);

/* What holds between any two entries. Takes the messages that came to the guest. */
void fuzz_bus_check(struct fuzz_bus *fuzz);

/* Ends it: the guest is reset, what closes is closed, and then nothing of the guest's may be left. */
void fuzz_bus_destroy(struct fuzz_bus *fuzz);

#endif
