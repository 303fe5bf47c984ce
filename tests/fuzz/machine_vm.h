/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_MACHINE_VM_H
#define FUZZ_MACHINE_VM_H

/* A VM of the worker on the fake host, for the targets that drive its devices and its intercepts. */

#include "partitions/root/worker/vm.h"
#include "tests/unit/fake_host.h"

#define FUZZ_VM_RAM_BYTES MIB(2)
#define FUZZ_VM_VPS       2u

/* Makes the VM with two VPs; its host is vm->host. */
struct vm *fuzz_vm_create(void);

/* What holds between any two entries into the worker. */
void fuzz_vm_check(const struct vm *vm);

/* Destroys VM and host; no timer may be armed then. */
void fuzz_vm_destroy(struct vm *vm);

#endif
