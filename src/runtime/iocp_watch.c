/* SPDX-License-Identifier: MIT */
/*
 * iocp_watch.c - the watches of the iocp backend, and asking the system about them
 */
#include "port/port_memory.h"
#include "runtime/iocp.h"

#include <errno.h>
#include <string.h>

#define ALWAYS_ASKED (AFD_ABORT | AFD_LOCAL_CLOSE | AFD_CONNECT_FAIL)

/* ---- The table of watches. ---- */

iocp_watch_t *iocp_watch_find(const iocp_t *iocp, async_fd_t fd)
{
    size_t index = (size_t)(fd >> 2);

    return index < iocp->watch_count ? iocp->watches[index] : NULL;
}

int iocp_watch_reserve(iocp_t *iocp, async_fd_t fd)
{
    size_t index = (size_t)(fd >> 2), count = iocp->watch_count != 0 ? iocp->watch_count : 64;
    iocp_watch_t **watches;

    if (index < iocp->watch_count)
        return 0;
    while (count <= index)
        count *= 2;
    watches = port_realloc(iocp->watches, count * sizeof(*watches));
    if (watches == NULL)
        return ENOMEM;
    memset(watches + iocp->watch_count, 0, (count - iocp->watch_count) * sizeof(*watches));
    iocp->watches = watches;
    iocp->watch_count = count;
    return 0;
}

/* ---- Groups: the handles of AFD. ---- */

int iocp_watch_join(iocp_t *iocp, iocp_watch_t *watch)
{
    iocp_group_t *group = iocp->groups;
    int err;

    while (group != NULL && group->watches == IOCP_GROUP_SIZE)
        group = group->next;
    if (group == NULL) {
        group = port_zalloc(1, sizeof(*group));
        if (group == NULL)
            return ENOMEM;
        err = afd_open(iocp->port, IOCP_KEY_POLL, &group->afd);
        if (err != 0) {
            port_free(group);
            return err;
        }
        group->next = iocp->groups;
        iocp->groups = group;
    }
    group->watches++;
    watch->group = group;
    return 0;
}

void iocp_watch_free(iocp_watch_t *watch)
{
    if (watch->group != NULL)
        watch->group->watches--; /* the handle stays for later watches */
    if (watch->wait != NULL)
        iocp_handle_close(watch->wait);
    port_free(watch);
}

/* ---- Starting what is to be waited for. ---- */

void iocp_watch_queue(iocp_t *iocp, iocp_watch_t *watch)
{
    if (watch->queued)
        return;
    watch->queued = true;
    watch->next = NULL;
    if (iocp->start_first == NULL)
        iocp->start_first = watch;
    else
        iocp->start_last->next = watch;
    iocp->start_last = watch;
}

static void unqueue_start(iocp_t *iocp, iocp_watch_t *watch)
{
    iocp_watch_t **at = &iocp->start_first, *last = NULL;

    if (!watch->queued)
        return;
    while (*at != watch) {
        last = *at;
        at = &last->next;
    }
    *at = watch->next;
    if (iocp->start_last == watch)
        iocp->start_last = last;
    watch->queued = false;
}

static void cancel_poll(iocp_t *iocp, iocp_watch_t *watch)
{
    watch->cancelling = true;
    iocp->cancelling++;
    afd_poll_cancel(watch->group->afd, &watch->poll);
}

void iocp_watch_drop(iocp_t *iocp, iocp_watch_t *watch)
{
    iocp->watches[watch->fd >> 2] = NULL;
    unqueue_start(iocp, watch);
    iocp_operation_orphan(iocp, watch);
    watch->gone = true;
    watch->interest = 0;
    if (watch->wait != NULL) {
        if (watch->asked != 0 && !iocp_handle_stop(watch->wait)) {
            watch->asked = 0;
            iocp->in_flight--;
        }
    } else if (watch->asked != 0 && !watch->cancelling) {
        cancel_poll(iocp, watch);
    }
    if (watch->asked == 0)
        iocp_watch_free(watch);
}

ULONG iocp_watch_wanted(const iocp_watch_t *watch)
{
    ULONG wanted = 0;

    if (watch->interest & ASYNC_EVENT_READ)
        wanted |= AFD_RECEIVE | AFD_ACCEPT | AFD_DISCONNECT;
    else if (watch->interest & ASYNC_EVENT_WRITE && !watch->peer_shut)
        wanted |= AFD_DISCONNECT; /* for full_hangup() */
    if (watch->interest & ASYNC_EVENT_WRITE)
        wanted |= AFD_SEND;
    return wanted != 0 ? wanted | ALWAYS_ASKED : 0;
}

int iocp_watch_start(iocp_t *iocp, iocp_watch_t *watch)
{
    ULONG wanted = iocp_watch_wanted(watch);
    int err = 0;

    if (watch->asked != 0) {
        if ((watch->asked & wanted) != wanted && !watch->cancelling && watch->wait == NULL)
            cancel_poll(iocp, watch);
        return 0;
    }
    if (wanted == 0)
        return 0;
    if (watch->wait != NULL)
        iocp_handle_start(watch->wait);
    else
        err = afd_poll_start(watch->group->afd, &watch->poll, watch->base, wanted);
    if (err != 0)
        return err;
    watch->asked = wanted;
    watch->started_in = iocp->waits;
    watch->cancelling = false;
    iocp->in_flight++;
    return 0;
}
