/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_VERSION_H
#define DEBUG_VERSION_H

/* What the banner calls this. */
#define PARTITA_VERSION "0.1"

#endif
