/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_OFFER_H
#define VMBUS_OFFER_H

/* What the guest is told of channels: offers and rescissions, and who holds which relid. */

#include <stdbool.h>

struct channel;
struct vmbus;

/* Offers every channel that the guest does not know and may know now. */
void offer_pending(struct vmbus *bus);

/* Takes one channel back from the guest; it closes if it is open. With `is_detaching` its struct vsp becomes free. */
void offer_rescind(struct channel *channel, bool is_detaching);

/* Rescinds the sub-channels of the device that the channel belongs to. */
void offer_rescind_sub_channels(struct channel *channel);

/* Rescinds all channels of the device that the channel belongs to; the primary is kept for the next guest. */
void offer_rescind_device(struct channel *channel);

/* The guest does not hold the relid any more; nothing of it is in use. */
void offer_released(struct channel *channel);

/* The provider gets its struct vsp back. */
void offer_detach(struct channel *channel);

#endif
