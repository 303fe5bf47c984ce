/* SPDX-License-Identifier: MIT */
/* RNDIS requests of more than packets, and their answers. What is asked for and set is oid.c's. */
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "vmbus/netvsp/netvsp.h"
#include "vmbus/netvsp/netvsp_parts.h"
#include "vmbus/proto/rndis.h"

#define MAJOR_VERSION  1u
#define MINOR_VERSION  0u
#define CONNECTIONLESS 1u
#define ALIGNMENT_LOG2 3u /* to what messages in one packet are padded */

/* Finishes an answer whose body, of `body_bytes`, is there. */
static void finish(struct netvsp_answer *answer, uint32_t type, uint32_t body_bytes)
{
    const struct rndis_header header = {type | RNDIS_COMPLETE, (uint32_t)sizeof(header) + body_bytes};

    memcpy(answer->bytes, &header, sizeof(header));
    answer->length_bytes = header.length_bytes;
}

static uint8_t *body_of(struct netvsp_answer *answer)
{
    return answer->bytes + sizeof(struct rndis_header);
}

void netvsp_halt(struct netvsp *adapter)
{
    adapter->is_initialized = false;
    adapter->is_link_told = false;
    adapter->filter = 0;
    adapter->lookahead_bytes = adapter->mtu;
    adapter->multicast_count = 0;
    adapter->receive_checksums = 0;
    memset(&adapter->rss, 0, sizeof(adapter->rss));
    memcpy(adapter->address, adapter->config.address, sizeof(adapter->address));
}

static void initialize(struct netvsp *adapter, uint32_t request_id, struct netvsp_answer *answer)
{
    const struct rndis_initialize_complete complete = {
        .request_id = request_id,
        .status = RNDIS_STATUS_SUCCESS,
        .major = MAJOR_VERSION,
        .minor = MINOR_VERSION,
        .device_flags = CONNECTIONLESS,
        .packets_per_message_max = NETVSP_MESSAGES_MAX,
        .transfer_bytes_max = NETVSP_LARGE_SEND_BYTES_MAX + NETVSP_HEADERS_BYTES_MAX + NETVSP_HEAD_BYTES_MAX,
        .alignment_log2 = ALIGNMENT_LOG2,
    };

    adapter->is_initialized = true;
    /* It asks for the link by itself; what changes from here on it is told. */
    adapter->is_link_told = adapter->is_link_up;
    memcpy(body_of(answer), &complete, sizeof(complete));
    finish(answer, RNDIS_INITIALIZE, sizeof(complete));
}

/* The bytes that a request brings; null when they are not inside of it. */
static const uint8_t *buffer_of(const struct netvsp *adapter, const struct rndis_request *request, uint32_t body_bytes)
{
    if (request->buffer_bytes == 0) {
        return adapter->request;
    }
    return range_contains(0, body_bytes, request->buffer_offset_bytes, request->buffer_bytes)
               ? adapter->request + request->buffer_offset_bytes
               : NULL;
}

static void query(struct netvsp *adapter, const struct rndis_request *request, uint32_t body_bytes,
                  struct netvsp_answer *answer)
{
    struct rndis_request complete = {.request_id = request->request_id, .status = RNDIS_STATUS_INVALID_DATA};
    const uint8_t *in = buffer_of(adapter, request, body_bytes);

    if (in != NULL) {
        complete.status = netvsp_query(adapter, request->oid, in, request->buffer_bytes,
                                       body_of(answer) + RNDIS_QUERY_COMPLETE_BYTES, &complete.buffer_bytes);
    }
    complete.buffer_offset_bytes = complete.buffer_bytes != 0 ? RNDIS_QUERY_COMPLETE_BYTES : 0;
    memcpy(body_of(answer), &complete, RNDIS_QUERY_COMPLETE_BYTES);
    finish(answer, RNDIS_QUERY, RNDIS_QUERY_COMPLETE_BYTES + complete.buffer_bytes);
}

static void set(struct netvsp *adapter, const struct rndis_request *request, uint32_t body_bytes,
                struct netvsp_answer *answer)
{
    struct rndis_request complete = {.request_id = request->request_id, .status = RNDIS_STATUS_INVALID_DATA};
    const uint8_t *value = buffer_of(adapter, request, body_bytes);

    if (value != NULL) {
        complete.status = netvsp_set(adapter, request->oid, value, request->buffer_bytes);
    }
    memcpy(body_of(answer), &complete, RNDIS_SET_COMPLETE_BYTES);
    finish(answer, RNDIS_SET, RNDIS_SET_COMPLETE_BYTES);
}

/* Answers a request whose type has an answer. */
static void answer_request(struct netvsp *adapter, uint32_t type, const struct rndis_request *request,
                           uint32_t body_bytes, struct netvsp_answer *answer)
{
    const struct rndis_request complete = {.request_id = request->request_id, .status = RNDIS_STATUS_SUCCESS};
    const struct rndis_reset_complete reset = {.status = RNDIS_STATUS_SUCCESS, .is_addressing_reset = 1};

    if (type == RNDIS_INITIALIZE) {
        initialize(adapter, request->request_id, answer);
    } else if (type == RNDIS_QUERY) {
        query(adapter, request, body_bytes, answer);
    } else if (type == RNDIS_SET) {
        set(adapter, request, body_bytes, answer);
    } else if (type == RNDIS_RESET) {
        adapter->filter = 0;
        adapter->multicast_count = 0;
        memcpy(body_of(answer), &reset, sizeof(reset));
        finish(answer, type, sizeof(reset));
    } else {
        memcpy(body_of(answer), &complete, RNDIS_KEEPALIVE_COMPLETE_BYTES);
        finish(answer, type, RNDIS_KEEPALIVE_COMPLETE_BYTES);
    }
}

bool netvsp_request(struct netvsp *adapter, uint32_t type, uint32_t body_bytes)
{
    struct rndis_request request = {0};
    bool has_oid = type == RNDIS_QUERY || type == RNDIS_SET;
    struct netvsp_answer *answer;

    memcpy(&request, adapter->request, min_u32(body_bytes, sizeof(request)));
    if (body_bytes < (has_oid ? sizeof(request) : sizeof(request.request_id))) {
        return false;
    }
    if (type == RNDIS_HALT) {
        netvsp_halt(adapter);
        return true;
    }
    if (!has_oid && type != RNDIS_INITIALIZE && type != RNDIS_RESET && type != RNDIS_KEEPALIVE) {
        return false;
    }
    answer = netvsp_new_answer(adapter);
    if (answer == NULL) {
        /* It asks on and on and takes no answer. */
        vsp_fault(&adapter->channels[0].vsp);
        return false;
    }
    answer_request(adapter, type, &request, body_bytes, answer);
    return true;
}
