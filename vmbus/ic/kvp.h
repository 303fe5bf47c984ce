/* SPDX-License-Identifier: MIT */
#ifndef IC_KVP_H
#define IC_KVP_H

/*
 * Key-value pairs: the host reads what the guest says of itself, and leaves values in the guest. In the guest a program
 * of its own answers (Linux: hv_kvp_daemon); without one, every request fails after a while.
 */

#include <stdbool.h>
#include <stdint.h>

#include "vmbus/ic/ic.h"

/* Room for UTF-8 of the longest key and value, with terminators. */
#define KVP_KEY_BYTES_MAX   (IC_KVP_KEY_BYTES / 2 * 3)
#define KVP_VALUE_BYTES_MAX (IC_KVP_VALUE_BYTES / 2 * 3)

/* What the host wants. Texts are UTF-8. */
struct kvp_question {
    uint8_t operation; /* IC_KVP_SET, _DELETE or _ENUMERATE */
    uint8_t pool;      /* IC_KVP_POOL_... */
    uint32_t index;    /* _ENUMERATE: from 0, until the status is IC_STATUS_NO_MORE */
    const char *key;   /* the others */
    const char *value; /* _SET */
};

/* What came of it: a status of the guest, or IC_STATUS_FAILED when it has gone. */
struct kvp_answer {
    uint32_t status;   /* HRESULT; 0: good */
    const char *key;   /* _ENUMERATE; else empty, as the value */
    const char *value; /* numbers in decimal */
};

/* The key-value service of one VM. */
struct kvp {
    struct ic ic;
    void (*answered)(struct kvp *kvp, const struct kvp_answer *answer); /* [I] texts are valid during the call */
    uint8_t operation;                                                  /* of the request under way */
    struct ic_kvp body;                                                 /* of the last request, or answer */
    char key[KVP_KEY_BYTES_MAX];
    char value[KVP_VALUE_BYTES_MAX];
};

/* Prepares it; vsp_offer() of kvp->ic.vsp brings it to the guest. `answered` is called once for each request. */
void kvp_init(struct kvp *kvp, struct host_vm *host,
              void (*answered)(struct kvp *kvp, const struct kvp_answer *answer));

/* What has become of a request. */
enum kvp_result {
    KVP_ASKED,    /* `answered` will be called, not from inside this call */
    KVP_TOO_LONG, /* the key, or the value */
    KVP_NOT_READY /* nobody listens in the guest, or it still owes an answer */
};
MUST_CHECK enum kvp_result kvp_ask(struct kvp *kvp, const struct kvp_question *question);

#endif
