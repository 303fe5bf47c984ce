/* SPDX-License-Identifier: MIT */
/*
 * The controller: its channels, the way of packets from ring to ring, commands that take too long, units that come and
 * go. What packets mean is storvsp_operation.c's, what commands do is scsi*.c's.
 *
 * Each entry point ends with settle(): there, what its changes have made possible happens, so that nothing happens in
 * the middle of something else.
 */
#include "vmbus/storvsp/storvsp.h"

#include "hv/lib/fmt.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "vmbus/storvsp/storvsp_request.h"

#define TICK_100NS       UINT64_C(10000000)
#define PACKET_BYTES_MIN 16u /* the header of the protocol, padded */
#define LOG_LINE_BYTES   80u

/* ba6163d9-04a1-4d29-b605-72e2ffb1dc7f */
static const struct guid scsi_controller_type = {
    0xBA6163D9,
    0x04A1,
    0x4D29,
    {0xB6, 0x05, 0x72, 0xE2, 0xFF, 0xB1, 0xDC, 0x7F},
};

/* There is a request for another packet. */
static bool has_request(const struct storvsp *controller)
{
    return controller->free_count > (controller->target.overdue_count == 0 ? STORVSP_REQUESTS_SPARE : 0);
}

static struct storvsp_request *take_request(struct storvsp *controller)
{
    controller->free_count--;
    return CONTAINER_OF(list_pop_head(&controller->free_requests), struct storvsp_request, link);
}

static void put_request(struct storvsp *controller, struct storvsp_request *request)
{
    controller->free_count++;
    list_add_head(&controller->free_requests, &request->link);
}

/* The request is free again. */
static void release(struct storvsp_request *request)
{
    struct storvsp *controller = request->channel->controller;

    if (request->state == STORVSP_REQUEST_RESETTING) {
        controller->resetting_count--;
    }
    request->state = STORVSP_REQUEST_FREE;
    request->channel->request_count--;
    put_request(controller, request);
}

/* Puts an answer into the ring; false when there is no room. A channel that closes takes answers too: they are lost. */
static bool send_answer(struct storvsp_request *request)
{
    if (vsp_complete_packet(&request->channel->vsp, request->transaction_id, &request->packet, request->answer_bytes) ==
        VSP_FULL) {
        return false;
    }
    release(request);
    return true;
}

void storvsp_answer(struct storvsp_request *request)
{
    struct storvsp_channel *channel = request->channel;

    if (!channel->is_open || !request->wants_completion) {
        release(request);
        return;
    }
    if (!list_is_empty(&channel->answers) || !send_answer(request)) {
        if (request->state == STORVSP_REQUEST_RESETTING) {
            channel->controller->resetting_count--;
        }
        request->state = STORVSP_REQUEST_ANSWERING;
        list_add_tail(&channel->answers, &request->link);
    }
}

/* Puts the answers that wait into the ring, in their order; false when there is not room for all. */
static bool send_answers(struct storvsp_channel *channel)
{
    while (!list_is_empty(&channel->answers)) {
        struct storvsp_request *request = CONTAINER_OF(list_first(&channel->answers), struct storvsp_request, link);

        list_remove(&request->link);
        if (!send_answer(request)) {
            list_add_head(&channel->answers, &request->link);
            return false;
        }
    }
    return true;
}

/* Tells the guest to look for units, as soon as there is room. One that is not set up looks by itself. */
static void send_enumeration(struct storvsp *controller)
{
    const struct storvsp_packet packet = {.operation = STORVSP_ENUMERATE_BUS};
    const struct vsp_write write = {
        .type = VMBUS_PACKET_IN_BAND,
        .payload = &packet,
        .payload_bytes = sizeof(packet),
    };

    if (controller->is_enumeration_due && list_is_empty(&controller->channels[0].answers)) {
        controller->is_enumeration_due = vsp_write_packet(&controller->channels[0].vsp, &write) == VSP_FULL;
    }
}

/* The command is finished. */
static void finish(struct storvsp_request *request)
{
    request->channel->controller->active_count--;
    storvsp_fill_srb(request);
    storvsp_answer(request);
}

/* A packet was read into the request's buffer. */
static void accept_packet(struct storvsp_channel *channel, struct storvsp_request *request,
                          const struct vsp_packet *packet)
{
    request->channel = channel;
    request->state = STORVSP_REQUEST_FREE;
    request->wants_completion = packet->wants_completion;
    request->transaction_id = packet->transaction_id;
    request->answer_bytes = min_u32(packet->payload_bytes, sizeof(request->packet));
    channel->request_count++;
    if (packet->type == VMBUS_PACKET_COMPLETION || packet->payload_bytes < PACKET_BYTES_MIN) {
        release(request);
        vsp_fault(&channel->vsp);
        return;
    }
    memset(&request->packet, 0, sizeof(request->packet));
    memcpy(&request->packet, packet->payload, request->answer_bytes);
    storvsp_operate(request, &packet->ranges);
}

/* Reads packets while there are any, and free requests for them. */
static void serve_channel(struct storvsp_channel *channel)
{
    struct storvsp *controller = channel->controller;

    channel->is_waiting = false;
    if (!send_answers(channel)) {
        return; /* The guest is to make room first; then there is a signal. */
    }
    send_enumeration(controller);
    while (channel->is_open && has_request(controller)) {
        struct storvsp_request *request = take_request(controller);
        struct vsp_packet packet;

        if (vsp_read_packet(&channel->vsp, request->buffer, sizeof(request->buffer), &packet) != VSP_OK) {
            put_request(controller, request);
            return;
        }
        accept_packet(channel, request, &packet);
    }
    channel->is_waiting = channel->is_open;
}

/* The next channel that waits and can go on, in turn; null when there is none. */
static struct storvsp_channel *next_waiting(struct storvsp *controller)
{
    for (uint32_t i = 0; i < STORVSP_CHANNELS_MAX; i++) {
        uint32_t index = (controller->next_channel + i) % STORVSP_CHANNELS_MAX;
        struct storvsp_channel *channel = &controller->channels[index];

        if (channel->is_waiting && has_request(controller)) {
            controller->next_channel = index + 1;
            return channel;
        }
    }
    return NULL;
}

/* A command that the reset has ended, or is to end, is under way. */
static bool is_reset_pending(const struct storvsp *controller, uint32_t lun)
{
    for (uint32_t i = 0; i < STORVSP_REQUESTS_MAX; i++) {
        const struct storvsp_request *request = &controller->requests[i];

        if (request->state == STORVSP_REQUEST_ACTIVE && request->command.abort == SCSI_ABORT_RESET &&
            (lun == SCSI_UNITS_MAX || lun == request->command.lun)) {
            return true;
        }
    }
    return false;
}

/* Answers the resets whose commands have ended. */
static void settle_resets(struct storvsp *controller)
{
    for (uint32_t i = 0; i < STORVSP_REQUESTS_MAX && controller->resetting_count != 0; i++) {
        struct storvsp_request *request = &controller->requests[i];

        if (request->state == STORVSP_REQUEST_RESETTING && !is_reset_pending(controller, request->command.lun)) {
            storvsp_fill_status(request, STORVSP_STATUS_SUCCESS);
            storvsp_answer(request);
        }
    }
}

/* Lets go of a unit that leaves, when the back-end has nothing of it any more; true when it did. */
static bool settle_unit(struct storvsp *controller, struct scsi_unit *unit)
{
    if (!unit->is_leaving || unit->pending_count != 0) {
        return false;
    }
    memset(unit, 0, sizeof(*unit));
    controller->leaving_count--;
    return true;
}

static void settle_units(struct storvsp *controller)
{
    for (uint32_t lun = 0; lun < SCSI_UNITS_MAX && controller->leaving_count != 0; lun++) {
        if (settle_unit(controller, &controller->target.units[lun])) {
            controller->config.detached(controller, lun);
        }
    }
}

/* Closes the channels whose requests are all done. This may open them again. */
static void settle_channels(struct storvsp *controller)
{
    for (uint32_t i = 0; i < STORVSP_CHANNELS_MAX && controller->closing_count != 0; i++) {
        struct storvsp_channel *channel = &controller->channels[i];

        if (channel->is_closing && channel->request_count == 0) {
            channel->is_closing = false;
            controller->closing_count--;
            vsp_closed(&channel->vsp);
        }
    }
}

/* What can go on now: resets, units that leave, channels that close, and those that wait for a request. */
static void settle(struct storvsp *controller)
{
    struct storvsp_channel *channel;

    if (controller->is_settling) {
        return;
    }
    controller->is_settling = true;
    do {
        settle_resets(controller);
        settle_units(controller);
        settle_channels(controller);
        channel = next_waiting(controller);
        if (channel != NULL) {
            serve_channel(channel);
        }
    } while (channel != NULL);
    controller->is_settling = false;
}

/* The end of a command that was under way. */
static void command_finished(struct scsi_command *command)
{
    struct storvsp_request *request = CONTAINER_OF(command, struct storvsp_request, command);
    struct storvsp *controller = request->channel->controller;

    finish(request);
    settle(controller);
}

void storvsp_watch(struct storvsp_request *request)
{
    struct storvsp *controller = request->channel->controller;

    request->state = STORVSP_REQUEST_ACTIVE;
    controller->active_count++;
    if (!controller->is_timer_armed) {
        controller->is_timer_armed = true;
        host_timer_arm(&controller->timer, host_monotonic_100ns() + TICK_100NS);
    }
}

void storvsp_abort(struct storvsp *controller, uint32_t lun, enum scsi_abort cause)
{
    for (uint32_t i = 0; i < STORVSP_REQUESTS_MAX; i++) {
        struct storvsp_request *request = &controller->requests[i];

        if (request->state == STORVSP_REQUEST_ACTIVE && (lun == SCSI_UNITS_MAX || lun == request->command.lun) &&
            scsi_abort(&request->command, cause)) {
            finish(request);
        }
    }
}

static void log_overdue(struct storvsp *controller, uint32_t lun)
{
    char line[LOG_LINE_BYTES];

    fmt_snprintf(line, sizeof(line), "storvsp: the disk of LUN %u does not answer in time", lun);
    host_log(controller->config.host, HOST_LOG_WARNING, line);
}

/* Gives up what takes longer than the guest allows, and looks again later while anything is under way. */
static void timer_expired(struct host_timer *timer)
{
    struct storvsp *controller = CONTAINER_OF(timer, struct storvsp, timer);
    uint64_t now = host_monotonic_100ns();

    host_vm_lock(timer->host);
    controller->is_timer_armed = false;
    for (uint32_t i = 0; i < STORVSP_REQUESTS_MAX; i++) {
        struct storvsp_request *request = &controller->requests[i];

        if (request->state != STORVSP_REQUEST_ACTIVE || now < request->deadline_100ns) {
            continue;
        }
        if (!request->command.is_overdue && request->command.unit->overdue_count == 0) {
            log_overdue(controller, request->command.lun);
        }
        if (scsi_abort(&request->command, SCSI_ABORT_TIMEOUT)) {
            finish(request);
        }
    }
    if (controller->active_count != 0) {
        controller->is_timer_armed = true;
        host_timer_arm(timer, now + TICK_100NS);
    }
    settle(controller);
    host_vm_unlock(timer->host);
}

static struct storvsp_channel *channel_of(struct vsp *vsp)
{
    return CONTAINER_OF(vsp, struct storvsp_channel, vsp);
}

static bool open_channel(struct vsp *vsp, const uint8_t *user_data)
{
    struct storvsp_channel *channel = channel_of(vsp);
    struct storvsp *controller = channel->controller;

    (void)user_data;
    channel->is_open = true;
    if (channel == &controller->channels[0]) {
        controller->state = STORVSP_STATE_OPENED;
        controller->sub_channel_count = 0;
        controller->is_enumeration_due = false;
    }
    return true;
}

static void close_channel(struct vsp *vsp)
{
    struct storvsp_channel *channel = channel_of(vsp);
    struct storvsp *controller = channel->controller;

    channel->is_open = false;
    channel->is_waiting = false;
    channel->is_closing = true;
    controller->closing_count++;
    while (!list_is_empty(&channel->answers)) {
        release(CONTAINER_OF(list_pop_head(&channel->answers), struct storvsp_request, link));
    }
    for (uint32_t i = 0; i < STORVSP_REQUESTS_MAX; i++) {
        struct storvsp_request *request = &controller->requests[i];

        if (request->channel != channel) {
            continue;
        }
        if (request->state == STORVSP_REQUEST_RESETTING) {
            release(request);
        } else if (request->state == STORVSP_REQUEST_ACTIVE && scsi_abort(&request->command, SCSI_ABORT_CLOSE)) {
            finish(request);
        }
    }
    settle(controller);
}

static void channel_signalled(struct vsp *vsp)
{
    struct storvsp_channel *channel = channel_of(vsp);

    /* This makes requests free, which serving needs. */
    (void)send_answers(channel);
    channel->is_waiting = true;
    settle(channel->controller);
}

bool storvsp_create(struct storvsp *controller, const struct storvsp_config *config)
{
    static const struct vsp_operations operations = {
        .open = open_channel,
        .close = close_channel,
        .signalled = channel_signalled,
    };

    memset(controller, 0, sizeof(*controller));
    controller->config = *config;
    scsi_init(&controller->target);
    list_init(&controller->free_requests);
    host_timer_init(&controller->timer, config->host, timer_expired);
    for (uint32_t i = 0; i < STORVSP_CHANNELS_MAX; i++) {
        struct storvsp_channel *channel = &controller->channels[i];

        channel->controller = controller;
        channel->vsp.operations = &operations;
        channel->vsp.name = "storvsp";
        channel->vsp.offer.type = scsi_controller_type;
        channel->vsp.offer.instance = config->instance;
        channel->vsp.offer.sub_channel_index = (uint16_t)i;
        list_init(&channel->answers);
    }
    for (uint32_t i = 0; i < STORVSP_REQUESTS_MAX; i++) {
        controller->requests[i].command.finished = command_finished;
        put_request(controller, &controller->requests[i]);
    }
    return vsp_offer(config->bus, &controller->channels[0].vsp);
}

void storvsp_destroy(struct storvsp *controller)
{
    host_timer_cancel(&controller->timer);
}

void storvsp_rescind(struct storvsp *controller)
{
    vsp_rescind(&controller->channels[0].vsp);
}

bool storvsp_is_quiet(const struct storvsp *controller)
{
    for (uint32_t i = 0; i < STORVSP_CHANNELS_MAX; i++) {
        if (controller->channels[i].is_open || controller->channels[i].is_closing) {
            return false;
        }
    }
    return controller->active_count == 0;
}

/* Units came or went. */
static void announce(struct storvsp *controller)
{
    if (controller->state == STORVSP_STATE_READY && controller->channels[0].is_open) {
        controller->is_enumeration_due = true;
        send_enumeration(controller);
    }
}

bool storvsp_attach(struct storvsp *controller, uint32_t lun, enum scsi_kind kind, const struct guid *identity,
                    struct block_disk *disk)
{
    struct scsi_unit *unit = controller->target.units + lun;

    if (lun >= SCSI_UNITS_MAX || unit->kind != SCSI_ABSENT) {
        return false;
    }
    *unit = (struct scsi_unit){.kind = kind, .disk = disk, .identity = *identity};
    announce(controller);
    return true;
}

bool storvsp_has_unit(const struct storvsp *controller, uint32_t lun)
{
    return lun < SCSI_UNITS_MAX && controller->target.units[lun].kind != SCSI_ABSENT;
}

bool storvsp_detach(struct storvsp *controller, uint32_t lun)
{
    struct scsi_unit *unit = &controller->target.units[lun];
    bool is_done;

    unit->is_leaving = true;
    controller->leaving_count++;
    storvsp_abort(controller, lun, SCSI_ABORT_DETACH);
    is_done = settle_unit(controller, unit);
    announce(controller);
    settle(controller);
    return is_done;
}

bool storvsp_set_disc(struct storvsp *controller, uint32_t lun, struct block_disk *disc)
{
    struct scsi_unit *unit = &controller->target.units[lun];

    if (unit->pending_count != 0) {
        return false;
    }
    unit->disk = disc;
    unit->is_tray_open = false;
    if (disc != NULL) {
        unit->media_event = SCSI_MEDIA_EVENT_NEW_MEDIA;
        scsi_set_attention(unit, SCSI_ASC_MEDIUM_MAY_HAVE_CHANGED);
    } else {
        unit->media_event = SCSI_MEDIA_EVENT_MEDIA_REMOVAL;
    }
    return true;
}

void storvsp_disk_resized(struct storvsp *controller, uint32_t lun)
{
    scsi_set_attention(&controller->target.units[lun], SCSI_ASC_CAPACITY_CHANGED);
}
