/* SPDX-License-Identifier: MIT */
#include "hv/partition/backend_list.h"

#include "hv/lib/compiler.h"
#include "hv/partition/backend.h"

/* The CPU backends built into the hypervisor image. */

extern const struct cpu_backend svm_backend;
extern const struct cpu_backend vmx_backend;

const struct cpu_backend *const backends[] = {
    &svm_backend,
    &vmx_backend,
};

const size_t backend_count = ARRAY_SIZE(backends);
