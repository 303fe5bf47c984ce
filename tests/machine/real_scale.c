/* SPDX-License-Identifier: MIT */
/* hv/time/scale.c as it is: it needs nothing that a hosted program lacks. */
#include "hv/time/scale.c"
