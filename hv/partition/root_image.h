/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_ROOT_IMAGE_H
#define PARTITION_ROOT_IMAGE_H

/* Loads the root's image (boot module 0, an ELF64 with a PVH entry) and prepares what it is started with. */

#include <stdint.h>

/* Where and with what the root's VP 0 starts: 32-bit protected mode, flat segments, EBX = start information. */
struct root_entry {
    uint32_t entry;
    uint32_t start_info;
};

/* Loads the image into root RAM and writes the start information. Stops the machine with a line that says what is
 * wrong. */
struct root_entry root_image_load(void);

#endif
