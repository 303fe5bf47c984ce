/* SPDX-License-Identifier: MIT */
#include "hv/partition/backend.h"

#include <stddef.h>

#include "hv/lib/str.h"
#include "hv/partition/backend_list.h"

/*
 * Picks the CPU backend. Not here: which ones this image has (backend_list.c, or a test's own list).
 */

bool backend_select(char *why, size_t size)
{
    (void)str_copy(why, "the processor has neither AMD-V (SVM) nor VT-x (VMX)", size);
    for (size_t i = 0; i < backend_count; i++) {
        const struct cpu_backend *candidate = backends[i];

        enum backend_fit fit = candidate->probe(why, size);

        if (fit == BACKEND_ABSENT) {
            continue;
        }
        if (fit == BACKEND_UNUSABLE) {
            return false;
        }
        if (!candidate->init()) {
            (void)str_copy(why, "too little hypervisor memory for the processor backend", size);
            return false;
        }
        backend = candidate;
        return true;
    }
    return false;
}
