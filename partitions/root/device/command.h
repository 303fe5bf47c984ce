/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_COMMAND_H
#define DEVICE_COMMAND_H

/* Commands for children, which come in between what the console of child 0 gets. */

/* Hands on the commands that have come in. Processor 0. */
void command_input(void);

#endif
