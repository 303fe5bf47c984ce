/* SPDX-License-Identifier: MIT */
/*
 * Intrusive doubly linked list: the objects carry the links, the list allocates
 * nothing. The head is a circle of its own, so insertion and removal have no
 * special cases. Locking is the caller's.
 */
#ifndef LIB_LIST_H
#define LIB_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "hv/lib/compiler.h"

/* Links inside an object. An object that is in no list has both null (list_node_init). */
struct list_node {
    struct list_node *next;
    struct list_node *prev;
};

/* The head of a list. */
struct list {
    struct list_node head;
};

/* Static initialiser for a list variable. */
#define LIST_INITIALISER(list_variable)                                                                                \
    {                                                                                                                  \
        .head = {.next = &(list_variable).head, .prev = &(list_variable).head }                                        \
    }

static inline void list_init(struct list *list)
{
    list->head.next = &list->head;
    list->head.prev = &list->head;
}

static inline void list_node_init(struct list_node *node)
{
    node->next = NULL;
    node->prev = NULL;
}

static inline bool list_node_is_linked(const struct list_node *node)
{
    return node->next != NULL;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->head.next == &list->head;
}

static inline void list_insert_between(struct list_node *node, struct list_node *before, struct list_node *after)
{
    node->prev = before;
    node->next = after;
    before->next = node;
    after->prev = node;
}

static inline void list_add_head(struct list *list, struct list_node *node)
{
    list_insert_between(node, &list->head, list->head.next);
}

static inline void list_add_tail(struct list *list, struct list_node *node)
{
    list_insert_between(node, list->head.prev, &list->head);
}

/* Puts `node` in front of `position`, a node of a list. */
static inline void list_add_before(struct list_node *position, struct list_node *node)
{
    list_insert_between(node, position->prev, position);
}

/* Takes the node out of its list; it may be added again or freed. */
static inline void list_remove(struct list_node *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_node_init(node);
}

/* Null when the list is empty. */
static inline struct list_node *list_first(const struct list *list)
{
    return list_is_empty(list) ? NULL : list->head.next;
}

/* Null when the list is empty. */
static inline struct list_node *list_last(const struct list *list)
{
    return list_is_empty(list) ? NULL : list->head.prev;
}

/* The node behind `node`; null at the end. */
static inline struct list_node *list_next(const struct list *list, const struct list_node *node)
{
    return node->next == &list->head ? NULL : node->next;
}

/* Takes the first node out and returns it; null when the list is empty. */
static inline struct list_node *list_pop_head(struct list *list)
{
    struct list_node *node = list_first(list);

    if (node != NULL) {
        list_remove(node);
    }
    return node;
}

/* Number of nodes; walks the list. */
static inline size_t list_count(const struct list *list)
{
    size_t count = 0;

    for (const struct list_node *node = list->head.next; node != &list->head; node = node->next) {
        count++;
    }
    return count;
}

/* Visits every node (struct list_node *node); the body must not remove it. */
#define LIST_FOR_EACH(node, list)                                                                                      \
    for (struct list_node *node = (list)->head.next; node != &(list)->head; node = node->next)

/* Visits every node; the body may remove and free the visited one, but no other. `following` is a name for the walk. */
#define LIST_FOR_EACH_SAFE(node, following, list)                                                                      \
    for (struct list_node *node = (list)->head.next, *following = node->next; node != &(list)->head;                   \
         node = following, following = node->next)

#endif
