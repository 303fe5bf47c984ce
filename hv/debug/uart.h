/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_UART_H
#define DEBUG_UART_H

/* COM2, the hypervisor's log port; COM1 is the root's. Polling only, output only. */

/* Sets it to 115200 8N1. Without a port there, output is dropped. */
void uart_init(void);

/* Sends a character; waits for room, but not for ever. */
void uart_put(char character);

/* Waits until everything has left the port, but not for ever. */
void uart_drain(void);

#endif
