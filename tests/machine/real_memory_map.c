/* SPDX-License-Identifier: MIT */
/* hv/boot/memory_map.c as it is: it needs nothing that a hosted program lacks. */
#include "hv/boot/memory_map.c"
