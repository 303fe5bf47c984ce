/* SPDX-License-Identifier: MIT */
/*
 * The only file of the worker that holds pointers to guest RAM. It copies; what
 * the bytes mean is its callers' business. The guest may change them meanwhile,
 * so callers look at copies only.
 */
#include "partitions/root/worker/guest_memory.h"

#include "hv/lib/addr.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "vmbus/host.h"

/*
 * A window that begins at `gpa`: all of `length_bytes` when that lies in one
 * piece, else up to the end of the page. *piece_bytes is its length.
 */
static void *open_window(struct host_vm *host, uint64_t gpa, uint64_t length_bytes, uint64_t *piece_bytes)
{
    void *window = host_guest_memory(host, gpa, length_bytes);

    *piece_bytes = length_bytes;
    if (window == NULL) {
        *piece_bytes = MIN(length_bytes, PAGE_SIZE - (gpa & PAGE_MASK));
        window = host_guest_memory(host, gpa, *piece_bytes);
    }
    return window;
}

bool guest_memory_read(struct host_vm *host, uint64_t gpa, void *destination, uint64_t length_bytes)
{
    uint8_t *to = destination;

    if (!range_is_valid(gpa, length_bytes)) {
        return false;
    }
    while (length_bytes != 0) {
        uint64_t piece_bytes;
        const void *window = open_window(host, gpa, length_bytes, &piece_bytes);

        if (window == NULL) {
            return false;
        }
        memcpy(to, window, piece_bytes);
        to += piece_bytes;
        gpa += piece_bytes;
        length_bytes -= piece_bytes;
    }
    /* The copies are now what the guest had written; later reads of them must not go back to guest RAM. */
    COMPILER_BARRIER();
    return true;
}

bool guest_memory_write(struct host_vm *host, uint64_t gpa, const void *source, uint64_t length_bytes)
{
    const uint8_t *from = source;

    if (!range_is_valid(gpa, length_bytes)) {
        return false;
    }
    while (length_bytes != 0) {
        uint64_t piece_bytes;
        void *window = open_window(host, gpa, length_bytes, &piece_bytes);

        if (window == NULL) {
            return false;
        }
        memcpy(window, from, piece_bytes);
        from += piece_bytes;
        gpa += piece_bytes;
        length_bytes -= piece_bytes;
    }
    return true;
}

bool guest_memory_zero(struct host_vm *host, uint64_t gpa, uint64_t length_bytes)
{
    if (!range_is_valid(gpa, length_bytes)) {
        return false;
    }
    while (length_bytes != 0) {
        uint64_t piece_bytes;
        void *window = open_window(host, gpa, length_bytes, &piece_bytes);

        if (window == NULL) {
            return false;
        }
        memset(window, 0, piece_bytes);
        gpa += piece_bytes;
        length_bytes -= piece_bytes;
    }
    return true;
}
