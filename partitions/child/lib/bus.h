/* SPDX-License-Identifier: MIT */
#ifndef LIB_BUS_H
#define LIB_BUS_H

/* VMBus as a bare guest has it: messages by SINT 2 and connection 4, signals. Offsets and numbers in guests are written
 * out: they are the guest's own view of the protocol. */

#include <stdbool.h>
#include <stdint.h>

#define GUEST_BUS_CONNECTION  4u
#define GUEST_BUS_VERSION     0x00050003u
#define GUEST_BUS_LIMIT_100NS (20000 * GUEST_CLOCK_100NS_PER_MS)

/* Types of messages. */
enum {
    BUS_OFFER = 1,
    BUS_RESCIND = 2,
    BUS_REQUEST_OFFERS = 3,
    BUS_ALL_OFFERS_DELIVERED = 4,
    BUS_OPEN = 5,
    BUS_OPEN_RESULT = 6,
    BUS_GPADL_HEADER = 8,
    BUS_GPADL_CREATED = 10,
    BUS_INITIATE_CONTACT = 14,
    BUS_VERSION_RESPONSE = 15,
    BUS_UNLOAD = 16,
    BUS_UNLOAD_RESPONSE = 17,
    BUS_TL_CONNECT_REQUEST = 21,
    BUS_TL_CONNECT_RESULT = 23,
};

/* Of the message that was taken, or is to be posted; its first two elements are the type and 0. */
extern uint32_t guest_bus_payload[60];

/* Enables hypercalls, the SynIC and interrupts for messages; false: hypercalls are refused. */
bool guest_bus_init(void);

/* Posts `bytes` bytes of the payload as a message of this type, again while buffers are short; status. */
uint16_t guest_bus_post(uint32_t type, uint32_t bytes);

/* Takes the next message into the payload; its type, or 0 when none has come in time. */
uint32_t guest_bus_take(void);

/* Asks for this version, with messages by our SINT; the type of the answer. */
uint32_t guest_bus_contact(uint32_t version);

/* Signals a connection; status. */
uint16_t guest_bus_signal(uint32_t connection_id);

#endif
