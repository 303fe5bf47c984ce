/* SPDX-License-Identifier: MIT */
/* Asks the guest to freeze its file systems and to thaw them. */
#include "vmbus/ic/vss.h"

#include "hv/lib/str.h"

static struct vss *vss_of(struct ic *ic)
{
    return CONTAINER_OF(ic, struct vss, ic);
}

static void answered(struct ic *ic, const struct ic_header *header, const uint8_t *body, uint32_t body_bytes)
{
    (void)body;
    (void)body_bytes;
    vss_of(ic)->answered(vss_of(ic), header->status);
}

static void left(struct ic *ic)
{
    vss_of(ic)->answered(vss_of(ic), IC_STATUS_FAILED);
}

void vss_init(struct vss *vss, struct host_vm *host, void (*on_answer)(struct vss *vss, uint32_t status))
{
    static const struct ic_version versions[] = {{5, 0}};
    static const struct ic_service service = {
        .name = "freezing of file systems",
        .type = {0x35FA2E29, 0xEA23, 0x4236, {0x96, 0xAE, 0x3A, 0x6E, 0xBA, 0xCB, 0xA4, 0x40}},
        .instance = {0x2450EE40, 0x33BF, 0x4FBD, {0x89, 0x2E, 0x9F, 0xB0, 0x6E, 0x92, 0x14, 0xCF}},
        .message_type = IC_MESSAGE_VSS,
        .versions = versions,
        .version_count = ARRAY_SIZE(versions),
        .answered = answered,
        .left = left,
    };

    memset(vss, 0, sizeof(*vss));
    vss->answered = on_answer;
    ic_init(&vss->ic, host, &service);
}

bool vss_freeze(struct vss *vss, bool is_thaw)
{
    const struct ic_vss body = {.operation = is_thaw ? IC_VSS_THAW : IC_VSS_FREEZE};

    return ic_ask(&vss->ic, &body, sizeof(body));
}
