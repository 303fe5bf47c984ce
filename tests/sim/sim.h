/* SPDX-License-Identifier: MIT */
#ifndef SIM_SIM_H
#define SIM_SIM_H

/*
 * A CPU backend without a CPU: partitions, VPs and hypercalls on the fake machine (tests/machine). A VP's guest is a
 * script: a list of functions, each of which makes one exit by calling hv/exit as a real backend does. When the script
 * is at its end, a physical interrupt ends guest mode.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/abi/hv_hypercall.h"
#include "hv/abi/hv_status.h"
#include "hv/exit/exit.h"
#include "hv/partition/partition.h"
#include "tests/machine/machine.h"

/* Pages of root RAM for hypercall parameters of root VP 0 (those of the others follow), and the first page of
 * sim_page(). */
#define SIM_INPUT_GPA  0x02000000ull
#define SIM_OUTPUT_GPA 0x02001000ull
#define SIM_FREE_GPA   0x04000000ull

/* Starts the machine with that many processors, makes the root partition, and lets processor 0 be this thread. */
void sim_boot(uint32_t cpu_count);
/* The same with all root VPs in 64-bit mode, ready for sim_call(). */
void sim_start(uint32_t cpu_count);

/* Ends it; every child must be gone. */
void sim_stop(void);

/* Root VP i, on whose processor this thread then is. */
struct vp *sim_root_vp(uint32_t index);

/* The next page number of root RAM that no test has used since sim_start(). */
uint64_t sim_page(void);
/* `count` of them in a row, beginning on a multiple of `alignment` pages. */
uint64_t sim_pages(uint64_t count, uint64_t alignment);

/*
 * Executes a hypercall instruction of the VP until the call is complete; the result word. Fails the test when it does
 * not end. sim_continuations() tells how often the last one was continued.
 */
uint64_t sim_hypercall(struct vp *vp, uint64_t control, uint64_t input, uint64_t output);
uint32_t sim_continuations(void);

/* The root VP of this thread's processor makes a simple call; input and output are copied through root RAM. */
hv_status_t sim_call(uint16_t code, const void *input, size_t input_size, void *output, size_t output_size);
/* The same for a rep call, `input` being header and list; the whole result word. */
uint64_t sim_rep_call(uint16_t code, uint32_t reps, const void *input, size_t input_size, void *output,
                      size_t output_size);
/* A call with a variable header. */
hv_status_t sim_variable_call(uint16_t code, uint32_t qwords, const void *input, size_t input_size, void *output,
                              size_t output_size);

/* Deposits pages of sim_page(); fails the test if that is refused. */
void sim_deposit(uint64_t partition_id, uint32_t count);
/* Withdraws until NO_RESOURCES; the number of pages. */
uint64_t sim_withdraw_all(uint64_t partition_id);

/* A child: created, given `pages` pages, initialised. */
uint64_t sim_create_child(uint32_t pages);
/* Finalises, withdraws all, deletes; the number of pages withdrawn. */
uint64_t sim_destroy_child(uint64_t partition_id);
/* Makes a VP and maps its state pages. */
struct vp *sim_create_vp(uint64_t partition_id, uint32_t index);
/* Maps root pages into a child, 4 KiB each, all rights. */
void sim_map(uint64_t partition_id, uint64_t gpa_page, uint64_t root_page, uint32_t count);

/* The partition object; a reference is not held. */
struct partition *sim_partition(uint64_t partition_id);

/* Called at the end of every architectural reset of a VP, as if it came from another processor just then. Null: none.
 */
void sim_set_reset_hook(void (*hook)(struct vp *vp));

/* One exit of a script. */
typedef enum exit_action (*sim_step)(struct vp *vp, void *context);
void sim_script_add(struct vp *vp, sim_step step, void *context);
void sim_script_clear(struct vp *vp);

/* Ready-made steps. */
enum exit_action sim_exit_halt(struct vp *vp, void *context);
enum exit_action sim_exit_out(struct vp *vp, void *context);      /* OUT to port 0x3f8 */
enum exit_action sim_exit_read(struct vp *vp, void *context);     /* reads the GPA that `context` points to */
enum exit_action sim_exit_write(struct vp *vp, void *context);    /* writes it */
enum exit_action sim_exit_shutdown(struct vp *vp, void *context); /* triple fault */
enum exit_action sim_exit_nothing(struct vp *vp, void *context);  /* an exit that changes nothing */

/* Runs a VP by HvCallDispatchVp. */
struct hv_output_dispatch_vp sim_dispatch(uint64_t partition_id, uint32_t index, uint32_t flags);

/* The event that was injected last, and how many were since the VP was made. */
uint64_t sim_last_event(struct vp *vp);
uint32_t sim_event_count(struct vp *vp);

/* What its last flush was of. */
struct vp_flush_set sim_last_flush(struct vp *vp);

#endif
