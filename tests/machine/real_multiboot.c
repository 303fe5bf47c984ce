/* SPDX-License-Identifier: MIT */
/* hv/boot/multiboot.c as it is: it needs nothing that a hosted program lacks. */
#include "hv/boot/multiboot.c"
