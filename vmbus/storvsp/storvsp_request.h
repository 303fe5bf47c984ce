/* SPDX-License-Identifier: MIT */
#ifndef STORVSP_STORVSP_REQUEST_H
#define STORVSP_STORVSP_REQUEST_H

/* What storvsp.c, which moves packets, and storvsp_operation.c, which knows what they mean, do for each other. */

#include "vmbus/storvsp/storvsp.h"

/* Carries out a packet that was just read: `ranges` are its data. It is finished sooner or later. */
void storvsp_operate(struct storvsp_request *request, const struct gpa_ranges *ranges);

/* Fills the answer to an SRB whose command is finished. */
void storvsp_fill_srb(struct storvsp_request *request);

/* Sets the status of an answer that is not an SRB's. */
void storvsp_fill_status(struct storvsp_request *request, uint32_t status);

/* Gives up all commands of a unit, or with SCSI_UNITS_MAX of all units. */
void storvsp_abort(struct storvsp *controller, uint32_t lun, enum scsi_abort cause);

/* The packet is answered, or will be when there is room. The request is not the caller's any more. */
void storvsp_answer(struct storvsp_request *request);

/* A command of the packet is under way: looks after it from now on. */
void storvsp_watch(struct storvsp_request *request);

#endif
