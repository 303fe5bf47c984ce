/* SPDX-License-Identifier: MIT */
#ifndef STORVSP_SCSI_H
#define STORVSP_SCSI_H

/*
 * A SCSI target with up to SCSI_UNITS_MAX logical units, for one initiator: executes commands after SPC-4, SBC-3 and
 * MMC-6 on disks of vmbus/block.h. It knows nothing of packets and channels. Everything is under the VM's lock.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "hv/lib/guid.h"
#include "vmbus/block.h"
#include "vmbus/proto/scsi.h"
#include "vmbus/vsp.h"

#define SCSI_UNITS_MAX             64u
#define SCSI_CDB_BYTES             16u
/* Data of one command. */
#define SCSI_TRANSFER_BYTES_MAX    (UINT32_C(512) << 10)
/* Bytes that one WRITE SAME, or one descriptor of UNMAP, may name. */
#define SCSI_ERASE_BYTES_MAX       (UINT32_C(16) << 20)
#define SCSI_UNMAP_DESCRIPTORS_MAX 16u
/* Blocks of a DVD, whatever its back-end has. */
#define SCSI_DVD_BLOCK_BYTES       2048u

/* What a logical unit is. */
enum scsi_kind {
    SCSI_ABSENT,
    SCSI_DISK,
    SCSI_DVD,
};

/* Persistent reservations of a unit. */
struct scsi_reservation {
    bool is_registered;
    uint8_t type;        /* of the reservation; 0, there is none */
    uint32_t generation; /* counts changes of registrations */
    uint64_t key;        /* 0 when not registered */
};

/* A logical unit. */
struct scsi_unit {
    enum scsi_kind kind;
    struct block_disk *disk; /* null: a DVD drive without a disc */
    struct guid identity;
    uint32_t pending_count; /* commands whose requests the back-end has */
    uint32_t overdue_count; /* of those, that took too long and cannot be stopped */
    uint16_t attention_asc; /* SCSI_ASC_... of a unit attention that is due, or SCSI_ASC_NONE */
    bool is_leaving;        /* is absent for the guest; its last commands are under way */
    bool is_tray_open;      /* the guest has ejected the disc: there is none for it */
    bool is_removal_prevented;
    struct scsi_reservation reservation;
    uint8_t media_event; /* of GET EVENT STATUS NOTIFICATION, SCSI_MEDIA_EVENT_... */
};

#define SCSI_MEDIA_EVENT_NONE          0u
#define SCSI_MEDIA_EVENT_NEW_MEDIA     2u
#define SCSI_MEDIA_EVENT_MEDIA_REMOVAL 3u

/* The target. */
struct scsi_target {
    struct scsi_unit units[SCSI_UNITS_MAX];
    uint32_t overdue_count; /* of all units */
};

/* How a command goes on. */
enum scsi_step {
    SCSI_FINISHED, /* status, sense data and transferred_bytes are set */
    SCSI_SUBMIT,   /* `block` is to be done first, then `next` */
};

/* Why a command is given up. */
enum scsi_abort {
    SCSI_ABORT_NONE,
    SCSI_ABORT_TIMEOUT, /* it took too long */
    SCSI_ABORT_RESET,
    SCSI_ABORT_DETACH, /* its unit leaves */
    SCSI_ABORT_CLOSE,  /* nobody wants its answer */
};

/* A command. The members above the line are the caller's, and constant until it is finished. */
struct scsi_command {
    struct scsi_target *target;
    uint32_t lun; /* SCSI_UNITS_MAX: a place that has no units */
    uint8_t cdb[SCSI_CDB_BYTES];
    struct gpa_ranges data; /* memory for its data, in either direction; may be empty */
    uint32_t data_bytes;    /* of that which may be used; not more than it has */
    /* Called when a command is finished that scsi_execute() or scsi_abort() left under way. */
    void (*finished)(struct scsi_command *command);
    /* ---- */
    uint8_t status; /* SCSI_STATUS_... */
    uint8_t sense[SCSI_SENSE_BYTES];
    uint32_t transferred_bytes;
    bool is_pending; /* the back-end has `block` */
    bool is_overdue; /* counts in its unit */
    bool is_aborted; /* was given up, and is not done */
    enum scsi_abort abort;
    struct scsi_unit *unit;
    struct block_disk *disk;
    struct block_request block;
    enum scsi_step (*next)(struct scsi_command *command); /* null: then it is done */
    uint32_t unmap_count;
    uint32_t unmap_index;
    uint8_t unmap_descriptors[SCSI_UNMAP_DESCRIPTORS_MAX * 16u];
};

/* Makes a target without units. */
void scsi_init(struct scsi_target *target);

/* The unit, unless it is absent or leaving; else null. */
struct scsi_unit *scsi_find_unit(struct scsi_target *target, uint32_t lun);

/* Executes a command. True: it is finished; false: `finished` will be called. */
MUST_CHECK bool scsi_execute(struct scsi_command *command);

/*
 * Gives a pending command up. True: it is finished, and its memory out of use; false: the back-end cannot stop it, and
 * `finished` will be called.
 */
MUST_CHECK bool scsi_abort(struct scsi_command *command, enum scsi_abort cause);

/* Has the next command of the unit report this additional sense code. */
void scsi_set_attention(struct scsi_unit *unit, uint16_t asc);

/* What a reset does to a unit, beside the end of its commands. */
void scsi_reset_unit(struct scsi_unit *unit);

#endif
