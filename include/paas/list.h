/* An intrusive doubly linked list. SPDX-License-Identifier: Apache-2.0
 *
 * A list head and the links in its items are both `struct list`; an empty head points at itself.
 */
#ifndef PAAS_LIST_H
#define PAAS_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *head) {
    head->prev = head->next = head;
}

static inline bool list_empty(const struct list *head) {
    return head->next == head;
}

/* Puts `item`, in no list, at the end. */
static inline void list_append(struct list *head, struct list *item) {
    item->prev = head->prev;
    item->next = head;
    head->prev->next = item;
    head->prev = item;
}

/* Puts `item`, in no list, at the front. */
static inline void list_prepend(struct list *head, struct list *item) {
    list_append(head->next, item);
}

/* Takes `item` out; it is an empty list afterwards, so taking it out twice is harmless. */
static inline void list_remove(struct list *item) {
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

/* The struct of type T whose member M is `item`. */
#define LIST_ITEM(item, T, M) ((T *)(void *)((char *)(item)-offsetof(T, M)))
/* Walks `head`; the list must not change meanwhile. */
#define LIST_FOREACH(item, head)                                                                   \
    for (struct list *item = (head)->next; item != (head); item = item->next)
/* Walks `head`; the body may remove `item`. */
#define LIST_FOREACH_SAFE(item, after, head)                                                       \
    for (struct list *item = (head)->next, *after = item->next; item != (head);                    \
         item = after, after = item->next)

#endif
