/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_EXIT_RECORD_H
#define PARTITION_EXIT_RECORD_H

/* The neutral records of exits that an intercept message repeats to the root; filled by a backend. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/addr.h"

/* An IN or OUT, string forms included. */
struct exit_io {
    uint16_t port;
    uint8_t size; /* 1, 2, 4 bytes */
    bool is_in;
    bool is_string;
    bool has_rep;
    uint8_t insn_length;
};

/* A second-level fault. */
struct exit_memory {
    gpa_t gpa;
    uint64_t gva;
    bool gva_valid;
    bool is_write;
    bool is_execute;
    bool in_page_walk;  /* the access was to a guest page table entry */
    uint8_t byte_count; /* instruction bytes that the processor gave; 0: none */
    uint8_t bytes[16];
};

#endif
