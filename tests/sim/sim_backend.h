/* SPDX-License-Identifier: MIT */
#ifndef SIM_SIM_BACKEND_H
#define SIM_SIM_BACKEND_H

/* The parts of the CPU-less backend that sim.c needs. */

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/sim.h"

#define SIM_SCRIPT_MAX   64
#define SIM_REGISTER_MAX 48

/* The backend's part of a VP; one page of the partition's deposit. */
struct sim_vp {
    uint32_t names[SIM_REGISTER_MAX];
    union hv_register_value values[SIM_REGISTER_MAX];
    uint32_t register_count;
    struct {
        sim_step step;
        void *context;
    } script[SIM_SCRIPT_MAX];
    uint32_t script_count;
    uint32_t script_next;
    uint64_t last_event;
    uint32_t event_count;
    uint32_t flushes;
    struct vp_flush_set flush;
    /* What the VP gets when somebody asks for it. */
    uint64_t rsp;
    bool interrupt_shadow, nmi_masked;
    /* Processor that has touched it and not put it back. As with a VMCS, no other one may touch it meanwhile. */
    struct cpu *held_by;
};
_Static_assert(sizeof(struct sim_vp) <= 4096, "the backend's part is one page");

extern const struct cpu_backend sim_backend;

/* The processor's own MSRs are these from now on; at first there are none. */
void sim_set_msr_rules(const struct msr_rules *state, const struct msr_rules *child, const struct msr_rules *root);

static inline struct sim_vp *sim_of(struct vp *vp)
{
    return vp->backend;
}

#endif
