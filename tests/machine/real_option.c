/* SPDX-License-Identifier: MIT */
/* hv/boot/boot_option.c as it is: it needs nothing that a hosted program lacks. */
#include "hv/boot/boot_option.c"
