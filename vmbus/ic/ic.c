/* SPDX-License-Identifier: MIT */
/*
 * The framework of the integration services: opening, versions, questions and answers. What is asked, and what an
 * answer means, is the services'.
 */
#include "vmbus/ic/ic.h"

#include "hv/lib/str.h"

/* Framework versions, best first. */
static const struct ic_version frameworks[] = {{3, 0}, {1, 0}};

#define VERSIONS_MAX 8u

static struct ic *ic_of(struct vsp *vsp)
{
    return CONTAINER_OF(vsp, struct ic, vsp);
}

static bool send(struct ic *ic, uint16_t message_type, const void *body, uint32_t body_bytes)
{
    struct ic_header header = {
        .pipe = {.type = VMBUS_PIPE_TYPE_DATA,
                 .size_bytes = (uint32_t)(sizeof(header) - sizeof(header.pipe)) + body_bytes},
        .framework_version = ic->framework_version,
        .message_type = message_type,
        .message_version = ic->message_version,
        .body_bytes = (uint16_t)body_bytes,
        .transaction_id = (uint8_t)(ic->transaction_id + 1),
        .flags = IC_FLAG_TRANSACTION | IC_FLAG_REQUEST,
    };
    const struct vsp_write write = {
        .type = VMBUS_PACKET_IN_BAND,
        .payload = ic->sent,
        .payload_bytes = (uint32_t)sizeof(header) + body_bytes,
    };

    memcpy(ic->sent, &header, sizeof(header));
    memcpy(ic->sent + sizeof(header), body, body_bytes);
    if (vsp_write_packet(&ic->vsp, &write) != VSP_OK) {
        return false;
    }
    ic->transaction_id = header.transaction_id;
    ic->is_waiting = true;
    return true;
}

static void offer_versions(struct ic *ic)
{
    const struct ic_service *service = ic->service;
    struct {
        struct ic_negotiate negotiate;
        struct ic_version versions[VERSIONS_MAX];
    } body = {
        .negotiate = {.framework_count = ARRAY_SIZE(frameworks), .message_count = service->version_count},
    };
    size_t count = ARRAY_SIZE(frameworks) + service->version_count;

    memcpy(body.versions, frameworks, sizeof(frameworks));
    memcpy(body.versions + ARRAY_SIZE(frameworks), service->versions,
           service->version_count * sizeof(service->versions[0]));
    if (send(ic, IC_MESSAGE_NEGOTIATE, &body, (uint32_t)(sizeof(body.negotiate) + count * sizeof(body.versions[0])))) {
        ic->state = IC_NEGOTIATING;
    }
}

static bool is_among(struct ic_version version, const struct ic_version *versions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (versions[i].major == version.major && versions[i].minor == version.minor) {
            return true;
        }
    }
    return false;
}

/* The guest's choice: one version of each, or none. */
static void take_versions(struct ic *ic, const uint8_t *body, uint32_t body_bytes)
{
    struct ic_negotiate negotiate;
    struct ic_version chosen[2];

    if (body_bytes < sizeof(negotiate) + sizeof(chosen)) {
        vsp_fault(&ic->vsp);
        return;
    }
    memcpy(&negotiate, body, sizeof(negotiate));
    memcpy(chosen, body + sizeof(negotiate), sizeof(chosen));
    if (negotiate.framework_count == 0 || negotiate.message_count == 0) {
        ic->state = IC_NO_VERSION;
        return;
    }
    if (negotiate.framework_count != 1 || negotiate.message_count != 1 ||
        !is_among(chosen[0], frameworks, ARRAY_SIZE(frameworks)) ||
        !is_among(chosen[1], ic->service->versions, ic->service->version_count)) {
        vsp_fault(&ic->vsp);
        return;
    }
    ic->framework_version = chosen[0];
    ic->message_version = chosen[1];
    ic->state = IC_READY;
    if (ic->service->ready != NULL) {
        ic->service->ready(ic);
    }
}

static void take_packet(struct ic *ic, const struct vsp_packet *packet)
{
    const uint8_t *payload = packet->payload;
    struct ic_header header;
    uint16_t expected_type = ic->state == IC_NEGOTIATING ? IC_MESSAGE_NEGOTIATE : ic->service->message_type;

    if (packet->type != VMBUS_PACKET_IN_BAND || packet->payload_bytes < sizeof(header)) {
        vsp_fault(&ic->vsp);
        return;
    }
    memcpy(&header, payload, sizeof(header));
    if ((header.flags & IC_FLAG_RESPONSE) == 0 || header.body_bytes > packet->payload_bytes - sizeof(header)) {
        vsp_fault(&ic->vsp);
        return;
    }
    if (!ic->is_waiting || header.transaction_id != ic->transaction_id || header.message_type != expected_type) {
        vsp_fault(&ic->vsp);
        return;
    }
    ic->is_waiting = false;
    if (ic->state == IC_NEGOTIATING) {
        take_versions(ic, payload + sizeof(header), header.body_bytes);
    } else {
        ic->service->answered(ic, &header, payload + sizeof(header), header.body_bytes);
    }
}

static bool ic_open(struct vsp *vsp, const uint8_t *user_data)
{
    struct ic *ic = ic_of(vsp);

    (void)user_data;
    ic->state = IC_OPENED;
    ic->framework_version = frameworks[ARRAY_SIZE(frameworks) - 1];
    ic->message_version = ic->service->versions[ic->service->version_count - 1];
    ic->is_waiting = false;
    return true;
}

static void ic_close(struct vsp *vsp)
{
    struct ic *ic = ic_of(vsp);
    bool owes_answer = ic->state == IC_READY && ic->is_waiting;

    ic->state = IC_CLOSED;
    host_timer_cancel(&ic->timer);
    if (owes_answer && ic->service->left != NULL) {
        ic->service->left(ic);
    }
    vsp_closed(vsp);
}

static void ic_signalled(struct vsp *vsp)
{
    struct ic *ic = ic_of(vsp);
    struct vsp_packet packet;

    if (ic->state == IC_OPENED) {
        offer_versions(ic);
    }
    while (vsp_read_packet(vsp, ic->received, sizeof(ic->received), &packet) == VSP_OK) {
        take_packet(ic, &packet);
    }
}

static void expired(struct host_timer *timer)
{
    struct ic *ic = CONTAINER_OF(timer, struct ic, timer);

    host_vm_lock(ic->host);
    /* It may have been cancelled while it came here. */
    if (ic->state == IC_READY) {
        ic->service->expired(ic);
    }
    host_vm_unlock(ic->host);
}

void ic_init(struct ic *ic, struct host_vm *host, const struct ic_service *service)
{
    static const struct vsp_operations operations = {
        .open = ic_open,
        .close = ic_close,
        .signalled = ic_signalled,
    };

    memset(ic, 0, sizeof(*ic));
    ic->vsp.operations = &operations;
    ic->vsp.name = service->name;
    ic->vsp.offer.type = service->type;
    ic->vsp.offer.instance = service->instance;
    ic->vsp.offer.flags = VMBUS_OFFER_ENUMERATE_DEVICE_INTERFACE | VMBUS_OFFER_NAMED_PIPE_MODE;
    ic->vsp.offer.user_data[0] = VMBUS_PIPE_MODE_MESSAGE;
    ic->service = service;
    ic->host = host;
    host_timer_init(&ic->timer, host, expired);
}

bool ic_ask(struct ic *ic, const void *body, uint32_t body_bytes)
{
    return ic->state == IC_READY && !ic->is_waiting && send(ic, ic->service->message_type, body, body_bytes);
}

void ic_set_timer(struct ic *ic, uint64_t delay_100ns)
{
    host_timer_arm(&ic->timer, host_monotonic_100ns() + delay_100ns);
}
