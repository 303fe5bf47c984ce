/* SPDX-License-Identifier: MIT */
#ifndef BENCH_QEMU_PLUGIN_H
#define BENCH_QEMU_PLUGIN_H

/*
 * What qemu_count.c uses of the interface of QEMU's TCG plugins, version 1 (QEMU's manual, QEMU TCG Plugins). Debian
 * packages no header for it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QEMU_PLUGIN_VERSION 1
#define QEMU_PLUGIN_NO_REGS 0 /* a callback that reads no registers */
#define QEMU_PLUGIN_MEM_RW  3 /* loads and stores */
#define QEMU_PLUGIN_ADD_U64 0 /* the inline operation */

struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;
struct qemu_info_t;

typedef void (*qemu_plugin_tb_callback)(uint64_t id, struct qemu_plugin_tb *tb);
typedef void (*qemu_plugin_insn_callback)(unsigned cpu, void *data);
typedef void (*qemu_plugin_mem_callback)(unsigned cpu, uint32_t info, uint64_t address, void *data);
typedef void (*qemu_plugin_end_callback)(uint64_t id, void *data);
typedef void (*qemu_plugin_reset_callback)(uint64_t id);

/* A translated block and its instructions. */
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, qemu_plugin_tb_callback callback);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);

/* What happens when a block or an instruction is executed. */
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, int operation, void *target, uint64_t value);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, qemu_plugin_insn_callback callback,
                                            int flags, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, qemu_plugin_mem_callback callback, int flags,
                                      int kind, void *data);
/* Of an access: is it a store, and where it goes. */
bool qemu_plugin_mem_is_store(uint32_t info);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(uint32_t info, uint64_t address);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *where);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *where);

void qemu_plugin_register_atexit_cb(uint64_t id, qemu_plugin_end_callback callback, void *data);

/* Forgets all blocks and callbacks, some time after the call, and calls. */
void qemu_plugin_reset(uint64_t id, qemu_plugin_reset_callback callback);

/* Ours, which QEMU looks up. */
extern int qemu_plugin_version;
int qemu_plugin_install(uint64_t id, const struct qemu_info_t *info, int count, char **arguments);

#endif
