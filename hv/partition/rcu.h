/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_RCU_H
#define PARTITION_RCU_H

/*
 * Lets objects be looked up without a lock or a count: a processor is a reader from rcu_enter() to rcu_leave(), and
 * whoever has unlinked an object waits until each reader that may have seen it is through. Hypercalls are readers;
 * dispatching a child is not (the dispatched VP is held by its `cpu` instead).
 */

/* Starts and ends reading on this processor; they nest. */
void rcu_enter(void);
void rcu_leave(void);

/* Ends reading for a while (a dispatch), whatever the nesting, and resumes it with what was returned. */
unsigned int rcu_suspend(void);
void rcu_resume(unsigned int depth);

/* Returns when every reader that was under way on another processor has left. This processor's own reading is
 * suspended. */
void rcu_wait(void);

#endif
