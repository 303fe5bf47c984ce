/* SPDX-License-Identifier: MIT */
/* One request for a key at a time. Linux writes its answer into the request, so that all have the full length. */
#include "vmbus/ic/kvp.h"

#include "hv/lib/bytes.h"
#include "hv/lib/fmt.h"
#include "hv/lib/str.h"
#include "vmbus/utf16.h"

static struct kvp *kvp_of(struct ic *ic)
{
    return CONTAINER_OF(ic, struct kvp, ic);
}

/* The value of an answer as text. */
static void read_value(struct kvp *kvp, const struct ic_kvp_value *from)
{
    switch (from->type) {
    case IC_KVP_STRING:
        utf16_to_utf8(kvp->value, sizeof(kvp->value), from->value, MIN(from->value_bytes, sizeof(from->value)));
        break;
    case IC_KVP_U32:
        (void)fmt_snprintf(kvp->value, sizeof(kvp->value), "%u", get_u32(from->value));
        break;
    case IC_KVP_U64:
        (void)fmt_snprintf(kvp->value, sizeof(kvp->value), "%llu", (unsigned long long)get_u64(from->value));
        break;
    default:
        break;
    }
}

static void finish(struct kvp *kvp, uint32_t status)
{
    const struct kvp_answer answer = {.status = status, .key = kvp->key, .value = kvp->value};

    kvp->answered(kvp, &answer);
}

static void answered(struct ic *ic, const struct ic_header *header, const uint8_t *body, uint32_t body_bytes)
{
    struct kvp *kvp = kvp_of(ic);

    if (header->status == 0) {
        if (body_bytes < sizeof(kvp->body)) {
            vsp_fault(&ic->vsp);
            finish(kvp, IC_STATUS_FAILED);
            return;
        }
        memcpy(&kvp->body, body, sizeof(kvp->body));
        if (kvp->operation == IC_KVP_ENUMERATE) {
            const struct ic_kvp_value *pair = &kvp->body.enumerate.pair;

            utf16_to_utf8(kvp->key, sizeof(kvp->key), pair->key, MIN(pair->key_bytes, sizeof(pair->key)));
            read_value(kvp, pair);
        }
    }
    finish(kvp, header->status);
}

static void left(struct ic *ic)
{
    finish(kvp_of(ic), IC_STATUS_FAILED);
}

void kvp_init(struct kvp *kvp, struct host_vm *host,
              void (*on_answer)(struct kvp *kvp, const struct kvp_answer *answer))
{
    static const struct ic_version versions[] = {{4, 0}, {3, 0}, {1, 0}};
    static const struct ic_service service = {
        .name = "key-value pairs",
        .type = {0xA9A0F4E7, 0x5A45, 0x4D96, {0xB8, 0x27, 0x8A, 0x84, 0x1E, 0x8C, 0x03, 0xE6}},
        .instance = {0x242FF919, 0x07DB, 0x4180, {0x9C, 0x2E, 0xB8, 0x6C, 0xB6, 0x8C, 0x8C, 0x55}},
        .message_type = IC_MESSAGE_KVP,
        .versions = versions,
        .version_count = ARRAY_SIZE(versions),
        .answered = answered,
        .left = left,
    };

    memset(kvp, 0, sizeof(*kvp));
    kvp->answered = on_answer;
    ic_init(&kvp->ic, host, &service);
}

/* False: too long. */
static bool put_text(uint8_t *units, size_t size_bytes, uint32_t *length_bytes, const char *text)
{
    *length_bytes = (uint32_t)utf16_from_utf8(units, size_bytes, text);
    return *length_bytes != 0;
}

enum kvp_result kvp_ask(struct kvp *kvp, const struct kvp_question *question)
{
    struct ic_kvp *body = &kvp->body;
    bool fits = true;

    memset(body, 0, sizeof(*body));
    body->operation = question->operation;
    body->pool = question->pool;
    switch (question->operation) {
    case IC_KVP_ENUMERATE:
        body->enumerate.index = question->index;
        break;
    case IC_KVP_DELETE:
        fits = put_text(body->removal.key, sizeof(body->removal.key), &body->removal.key_bytes, question->key);
        break;
    default:
        body->pair.type = IC_KVP_STRING;
        fits = put_text(body->pair.key, sizeof(body->pair.key), &body->pair.key_bytes, question->key) &&
               put_text(body->pair.value, sizeof(body->pair.value), &body->pair.value_bytes, question->value);
        break;
    }
    if (!fits) {
        return KVP_TOO_LONG;
    }
    if (!ic_ask(&kvp->ic, body, sizeof(*body))) {
        return KVP_NOT_READY;
    }
    kvp->operation = question->operation;
    kvp->key[0] = '\0';
    kvp->value[0] = '\0';
    return KVP_ASKED;
}
