/* SPDX-License-Identifier: MIT */
#ifndef STORVSP_SCSI_UNIT_H
#define STORVSP_SCSI_UNIT_H

/* What the files that execute commands share. Handlers are called for units of the right kind (scsi.c's table). */

#include <stdbool.h>
#include <stdint.h>

#include "vmbus/storvsp/scsi.h"

/* The command succeeded. */
enum scsi_step scsi_finish(struct scsi_command *command);

/* It ends in CHECK CONDITION with fixed sense data. */
enum scsi_step scsi_fail(struct scsi_command *command, uint8_t sense_key, uint16_t asc);

/* ILLEGAL REQUEST, INVALID FIELD IN CDB. */
enum scsi_step scsi_fail_field(struct scsi_command *command);

/* Gives the guest the first `allocation_bytes` of `bytes`, fewer if it has no room, and finishes. */
enum scsi_step scsi_answer(struct scsi_command *command, const void *bytes, uint32_t length_bytes,
                           uint32_t allocation_bytes);

/* Prepares the back-end's request. */
enum scsi_step scsi_submit(struct scsi_command *command, enum block_operation operation, uint64_t offset_bytes,
                           uint64_t length_bytes);

/* Writes 18 bytes of fixed sense data. */
void scsi_format_sense(uint8_t *sense, uint8_t sense_key, uint16_t asc);

/* Bytes and number of the unit's logical blocks; it has a medium. */
uint32_t scsi_block_bytes(const struct scsi_unit *unit);
uint64_t scsi_block_count(const struct scsi_unit *unit);

/* A disc or disk is there and the guest may see it. */
bool scsi_has_medium(const struct scsi_unit *unit);

/* scsi_inquiry.c */
enum scsi_step scsi_inquiry(struct scsi_command *command);
enum scsi_step scsi_report_luns(struct scsi_command *command);

/* scsi_mode.c */
enum scsi_step scsi_mode_sense(struct scsi_command *command);

/* scsi_block.c */
enum scsi_step scsi_read_capacity_10(struct scsi_command *command);
enum scsi_step scsi_service_action_in(struct scsi_command *command);
enum scsi_step scsi_read(struct scsi_command *command);
enum scsi_step scsi_write(struct scsi_command *command);
enum scsi_step scsi_verify(struct scsi_command *command);
enum scsi_step scsi_synchronize_cache(struct scsi_command *command);

/* Has everything that was written reach stable storage, and finishes. */
enum scsi_step scsi_flush(struct scsi_command *command);

/* scsi_erase.c */
enum scsi_step scsi_unmap(struct scsi_command *command);
enum scsi_step scsi_write_same(struct scsi_command *command);

/* scsi_reserve.c */
enum scsi_step scsi_reserve_or_release(struct scsi_command *command);
enum scsi_step scsi_persistent_reserve_in(struct scsi_command *command);
enum scsi_step scsi_persistent_reserve_out(struct scsi_command *command);

/* scsi_dvd.c */
enum scsi_step scsi_start_stop(struct scsi_command *command);
enum scsi_step scsi_prevent_allow(struct scsi_command *command);
enum scsi_step scsi_read_toc(struct scsi_command *command);
enum scsi_step scsi_get_configuration(struct scsi_command *command);
enum scsi_step scsi_get_event_status(struct scsi_command *command);

/* Blocks that a command names. */
struct scsi_extent {
    uint64_t block;
    uint64_t block_count;
};

/* Reads them from the CDB, by its group, with the fields where READ and WRITE have them. */
struct scsi_extent scsi_extent(const uint8_t *cdb);

/* They are on the medium. */
bool scsi_is_inside(const struct scsi_unit *unit, const struct scsi_extent *extent);

#endif
