/* SPDX-License-Identifier: MIT */
/*
 * What the guest's packets mean: the set-up in its order, SRBs, resets. A request that cannot be is answered with its
 * cause; only a packet that is none closes the channel (storvsp.c).
 */
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "vmbus/storvsp/storvsp_request.h"

#define TIMEOUT_DEFAULT_SECONDS 60u
#define TIMEOUT_MAX_SECONDS     3600u
#define SECOND_100NS            UINT64_C(10000000)

void storvsp_fill_status(struct storvsp_request *request, uint32_t status)
{
    request->packet.operation = STORVSP_COMPLETE_IO;
    request->packet.flags = 0;
    request->packet.status = status;
}

static void answer_status(struct storvsp_request *request, uint32_t status)
{
    storvsp_fill_status(request, status);
    storvsp_answer(request);
}

/* Takes the set-up one step on if it is there. */
static uint32_t advance(struct storvsp *controller, enum storvsp_state from, enum storvsp_state to)
{
    if (controller->state != from) {
        return STORVSP_STATUS_INVALID_DEVICE_STATE;
    }
    controller->state = to;
    return STORVSP_STATUS_SUCCESS;
}

static uint32_t query_version(struct storvsp *controller, const struct storvsp_packet *packet)
{
    uint16_t version = packet->version.version;

    if (controller->state == STORVSP_STATE_BEGUN && version != STORVSP_VERSION_WIN8 &&
        version != STORVSP_VERSION_WIN8_1 && version != STORVSP_VERSION_WIN10) {
        return STORVSP_STATUS_REVISION_MISMATCH;
    }
    return advance(controller, STORVSP_STATE_BEGUN, STORVSP_STATE_VERSIONED);
}

static uint32_t query_properties(struct storvsp *controller, struct storvsp_packet *packet)
{
    uint32_t sub_channels = controller->config.sub_channels_max;

    memset(&packet->srb, 0, sizeof(packet->srb));
    packet->properties.sub_channels_max = (uint16_t)sub_channels;
    packet->properties.flags = sub_channels != 0 ? STORVSP_PROPERTY_MULTI_CHANNEL : 0;
    packet->properties.transfer_bytes_max = SCSI_TRANSFER_BYTES_MAX;
    return advance(controller, STORVSP_STATE_VERSIONED, STORVSP_STATE_QUERIED);
}

/* Offers as many sub-channels as the guest wants, once for each opening. Linux asks behind the set-up's end. */
static uint32_t create_sub_channels(struct storvsp *controller, const struct storvsp_packet *packet)
{
    uint32_t count = packet->sub_channel_count;

    if (controller->state < STORVSP_STATE_QUERIED || controller->sub_channel_count != 0) {
        return STORVSP_STATUS_INVALID_DEVICE_STATE;
    }
    if (count == 0 || count > controller->config.sub_channels_max) {
        return STORVSP_STATUS_INVALID_PARAMETER;
    }
    for (uint32_t i = 1; i <= count; i++) {
        struct vsp *vsp = &controller->channels[i].vsp;

        /* One that is still closing from an earlier opening is not free yet. */
        if (vsp->channel != NULL || !vsp_offer(controller->config.bus, vsp)) {
            while (--i != 0) {
                vsp_rescind(&controller->channels[i].vsp);
            }
            return STORVSP_STATUS_INSUFFICIENT_RESOURCES;
        }
    }
    controller->sub_channel_count = count;
    return STORVSP_STATUS_SUCCESS;
}

void storvsp_fill_srb(struct storvsp_request *request)
{
    const struct scsi_command *command = &request->command;
    struct storvsp_srb *srb = &request->packet.srb;
    bool has_sense = command->status == SCSI_STATUS_CHECK_CONDITION;
    uint8_t sense_bytes = has_sense ? (uint8_t)min_u32(srb->sense_bytes, SCSI_SENSE_BYTES) : 0;

    storvsp_fill_status(request, STORVSP_STATUS_SUCCESS);
    memset(srb->cdb_or_sense, 0, sizeof(srb->cdb_or_sense));
    srb->scsi_status = SCSI_STATUS_GOOD;
    srb->sense_bytes = 0;
    srb->transfer_bytes = command->transferred_bytes;
    if (command->status == SCSI_STATUS_GOOD) {
        srb->srb_status = STORVSP_SRB_SUCCESS;
    } else if (scsi_find_unit(command->target, command->lun) == NULL) {
        srb->srb_status = STORVSP_SRB_INVALID_LUN;
    } else if (command->is_aborted && command->abort == SCSI_ABORT_RESET) {
        srb->srb_status = STORVSP_SRB_BUS_RESET;
    } else {
        srb->srb_status = STORVSP_SRB_ERROR | (sense_bytes != 0 ? STORVSP_SRB_AUTOSENSE_VALID : 0);
        srb->scsi_status = command->status;
        srb->sense_bytes = sense_bytes;
        memcpy(srb->cdb_or_sense, command->sense, sense_bytes);
    }
}

static void answer_srb_status(struct storvsp_request *request, uint8_t srb_status)
{
    struct storvsp_srb *srb = &request->packet.srb;

    storvsp_fill_status(request, STORVSP_STATUS_SUCCESS);
    memset(srb->cdb_or_sense, 0, sizeof(srb->cdb_or_sense));
    srb->srb_status = srb_status;
    srb->scsi_status = SCSI_STATUS_GOOD;
    srb->sense_bytes = 0;
    srb->transfer_bytes = 0;
    storvsp_answer(request);
}

/* The SRB's idea of the direction counts for nothing: the command says it, and all the memory is the guest's. */
static void execute(struct storvsp_request *request, const struct gpa_ranges *ranges)
{
    struct storvsp *controller = request->channel->controller;
    struct scsi_command *command = &request->command;
    const struct storvsp_srb *srb = &request->packet.srb;
    uint32_t timeout_seconds = srb->timeout_seconds == 0 ? TIMEOUT_DEFAULT_SECONDS : srb->timeout_seconds;
    bool is_target = srb->path == 0 && srb->target == 0 && srb->lun < SCSI_UNITS_MAX;

    if (controller->state != STORVSP_STATE_READY) {
        answer_status(request, STORVSP_STATUS_INVALID_DEVICE_STATE);
        return;
    }
    if (request->answer_bytes < sizeof(request->packet) || srb->cdb_bytes == 0 || srb->cdb_bytes > SCSI_CDB_BYTES ||
        srb->transfer_bytes > ranges->total_bytes) {
        answer_srb_status(request, STORVSP_SRB_INVALID_REQUEST);
        return;
    }
    command->target = &controller->target;
    command->lun = is_target ? srb->lun : SCSI_UNITS_MAX;
    memset(command->cdb, 0, sizeof(command->cdb));
    memcpy(command->cdb, srb->cdb_or_sense, srb->cdb_bytes);
    command->data = *ranges;
    command->data_bytes = srb->transfer_bytes;
    if (scsi_execute(command)) {
        storvsp_fill_srb(request);
        storvsp_answer(request);
        return;
    }
    request->deadline_100ns = host_monotonic_100ns() + min_u32(timeout_seconds, TIMEOUT_MAX_SECONDS) * SECOND_100NS;
    storvsp_watch(request);
}

/* Ends the commands of one unit or of all, and is answered when they have ended (storvsp.c). */
static void reset(struct storvsp_request *request, uint32_t lun)
{
    struct storvsp *controller = request->channel->controller;

    if (controller->state != STORVSP_STATE_READY) {
        answer_status(request, STORVSP_STATUS_INVALID_DEVICE_STATE);
        return;
    }
    for (uint32_t i = 0; i < SCSI_UNITS_MAX; i++) {
        struct scsi_unit *unit = scsi_find_unit(&controller->target, i);

        if (unit != NULL && (lun == i || lun == SCSI_UNITS_MAX)) {
            scsi_reset_unit(unit);
        }
    }
    request->state = STORVSP_REQUEST_RESETTING;
    request->command.lun = lun;
    controller->resetting_count++;
    storvsp_abort(controller, lun, SCSI_ABORT_RESET);
}

void storvsp_operate(struct storvsp_request *request, const struct gpa_ranges *ranges)
{
    struct storvsp *controller = request->channel->controller;
    struct storvsp_packet *packet = &request->packet;
    bool is_primary = request->channel == &controller->channels[0];

    if (!is_primary && packet->operation >= STORVSP_BEGIN_INITIALIZATION) {
        answer_status(request, STORVSP_STATUS_INVALID_DEVICE_STATE);
        return;
    }
    switch (packet->operation) {
    case STORVSP_EXECUTE_SRB:
        execute(request, ranges);
        break;
    case STORVSP_RESET_LUN:
        if (packet->srb.lun < SCSI_UNITS_MAX) {
            reset(request, packet->srb.lun);
        } else {
            answer_status(request, STORVSP_STATUS_INVALID_PARAMETER);
        }
        break;
    case STORVSP_RESET_ADAPTER:
    case STORVSP_RESET_BUS:
        reset(request, SCSI_UNITS_MAX);
        break;
    case STORVSP_BEGIN_INITIALIZATION:
        answer_status(request, advance(controller, STORVSP_STATE_OPENED, STORVSP_STATE_BEGUN));
        break;
    case STORVSP_QUERY_PROTOCOL_VERSION:
        answer_status(request, query_version(controller, packet));
        break;
    case STORVSP_QUERY_PROPERTIES:
        answer_status(request, query_properties(controller, packet));
        break;
    case STORVSP_END_INITIALIZATION:
        answer_status(request, advance(controller, STORVSP_STATE_QUERIED, STORVSP_STATE_READY));
        break;
    case STORVSP_CREATE_SUB_CHANNELS:
        answer_status(request, create_sub_channels(controller, packet));
        break;
    default:
        answer_status(request, STORVSP_STATUS_INVALID_DEVICE_REQUEST);
        break;
    }
}
