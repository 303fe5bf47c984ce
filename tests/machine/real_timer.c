/* SPDX-License-Identifier: MIT */
/* hv/time/timer.c as it is: it needs nothing that a hosted program lacks. */
#include "hv/time/timer.c"
