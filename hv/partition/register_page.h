/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_REGISTER_PAGE_H
#define PARTITION_REGISTER_PAGE_H

/*
 * The VP register page (HvCallMapVpStatePage, type registers): after an intercept the root finds the common registers
 * there, and what it marks dirty is loaded at the next dispatch, which saves it two register calls for each emulated
 * instruction.
 */

struct vp;

/* Fills the page, if the root has mapped one. VP stopped after an intercept, its extended state saved; VP lock held. */
void register_page_store(struct vp *vp);

/* Loads what the root marked dirty and invalidates the page. The processor that owns the VP, before it enters; VP lock
 * held. */
void register_page_load(struct vp *vp);

#endif
