/* SPDX-License-Identifier: MIT */
/* hv/cpu/mtrr.c as it is; only mtrr_init() cannot run here. */
#include "hv/cpu/mtrr.c"

#include "tests/machine/machine.h"
#include "tests/machine/private.h"

void machine_reset_mtrrs(void)
{
    machine_map = (struct mtrr_map){.default_type = X86_MEMORY_TYPE_WB};
}

void machine_set_mtrrs(const struct mtrr_registers *registers)
{
    mtrr_parse(registers, &machine_map);
}
