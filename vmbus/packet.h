/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_PACKET_H
#define VMBUS_PACKET_H

/* The form of packets from the guest. Looks at copies only. */

#include <stdint.h>

#include "hv/lib/compiler.h"
#include "vmbus/proto/ring_format.h"
#include "vmbus/refusal.h"

struct host_vm;
struct vsp_packet;

/* Length of a packet with its trailer. */
static inline uint32_t packet_ring_bytes(const struct vmbus_packet_header *header)
{
    return header->length8 * 8u + (uint32_t)sizeof(struct vmbus_packet_trailer);
}

/* What can be said of a packet by its header alone; with its trailer it has to fit `available_bytes`. */
MUST_CHECK enum refusal packet_check_header(const struct vmbus_packet_header *header, uint32_t available_bytes);

/* Takes a packet apart that lies whole in `buffer`, its header checked by packet_check_header(). */
MUST_CHECK enum refusal packet_parse(struct host_vm *host, const void *buffer, struct vsp_packet *packet);

#endif
