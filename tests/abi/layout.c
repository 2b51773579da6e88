/* SPDX-License-Identifier: MIT */
/*
 * The size and the offsets of every public structure, for 64-bit and 32-bit systems.  A structure
 * that callers fill may grow at its end; one that the library fills may use its reserved space.
 */
#include <asyncrt.h>

#if UINTPTR_MAX > 0xffffffffu
#define WIDTH(wide, narrow) (wide)
#else
#define WIDTH(wide, narrow) (narrow)
#endif

#define SIZE(type, wide, narrow) \
    _Static_assert(sizeof(type) == WIDTH(wide, narrow), "the size of " #type " has changed")
#define AT(type, member, wide, narrow)                                                         \
    _Static_assert(offsetof(type, member) == WIDTH(wide, narrow), #member " of " #type " has " \
                                                                          "moved")

/* 64-bit members are aligned to 4 in structures of the i386 System V ABI, to 8 everywhere else. */
#if defined(__i386__) && !defined(_WIN32)
#define EIGHT(aligned, packed) (packed)
#else
#define EIGHT(aligned, packed) (aligned)
#endif

AT(async_queue_stats_t, capacity, 0, 0);
AT(async_queue_stats_t, current_size, 8, 4);
AT(async_queue_stats_t, max_msg_size, 16, 8);
AT(async_queue_stats_t, enqueue_count, 24, EIGHT(16, 12));
AT(async_queue_stats_t, dequeue_count, 32, EIGHT(24, 20));
AT(async_queue_stats_t, dropped_count, 40, EIGHT(32, 28));
AT(async_queue_stats_t, rejected_count, 48, EIGHT(40, 36));
AT(async_queue_stats_t, blocked_count, 56, EIGHT(48, 44));
AT(async_queue_stats_t, reserved, 64, EIGHT(56, 52));
SIZE(async_queue_stats_t, 96, EIGHT(88, 84));

AT(async_worker_options_t, size, 0, 0);
AT(async_worker_options_t, stack_size, 8, 4);
AT(async_worker_options_t, name, 16, 8);
AT(async_worker_options_t, runtime, 24, 12);
AT(async_worker_options_t, completion_key, 32, 16);
SIZE(async_worker_options_t, 40, 20);

AT(async_event_t, event_type, 0, 0);
AT(async_event_t, error, 4, 4);
AT(async_event_t, fd, 8, 8);
AT(async_event_t, completion_key, 16, 12);
AT(async_event_t, data, 24, 16);
AT(async_event_t, context, 32, 20);
AT(async_event_t, buffer, 40, 24);
AT(async_event_t, bytes_transferred, 48, 28);
AT(async_event_t, reserved, 56, 32);
SIZE(async_event_t, 64, 40);

AT(async_runtime_options_t, size, 0, 0);
AT(async_runtime_options_t, backend, 8, 4);
AT(async_runtime_options_t, completion_limit, 16, 8);
AT(async_runtime_options_t, spin_us, 24, EIGHT(16, 12));
AT(async_runtime_options_t, flags, 32, EIGHT(24, 20));
/* 4 bytes of padding: a member that would fit into them needs a flag that says that it is set */
SIZE(async_runtime_options_t, 40, EIGHT(32, 24));

AT(async_runtime_stats_t, registered, 0, 0);
AT(async_runtime_stats_t, timers, 8, 4);
AT(async_runtime_stats_t, completions_pending, 16, 8);
AT(async_runtime_stats_t, waits, 24, EIGHT(16, 12));
AT(async_runtime_stats_t, io_events, 32, EIGHT(24, 20));
AT(async_runtime_stats_t, completions_posted, 40, EIGHT(32, 28));
AT(async_runtime_stats_t, completions_delivered, 48, EIGHT(40, 36));
AT(async_runtime_stats_t, wakeups_sent, 56, EIGHT(48, 44));
AT(async_runtime_stats_t, reserved, 64, EIGHT(56, 52));
SIZE(async_runtime_stats_t, 96, EIGHT(88, 84));

AT(async_pool_options_t, size, 0, 0);
AT(async_pool_options_t, threads, 8, 4);
AT(async_pool_options_t, queue_limit, 16, 8);
AT(async_pool_options_t, stack_size, 24, 12);
AT(async_pool_options_t, idle_ms, 32, 16);
AT(async_pool_options_t, name, 40, 24);
SIZE(async_pool_options_t, 48, EIGHT(32, 28));

AT(async_pool_stats_t, threads, 0, 0);
AT(async_pool_stats_t, idle, 8, 4);
AT(async_pool_stats_t, waiting, 16, 8);
AT(async_pool_stats_t, running, 24, 12);
AT(async_pool_stats_t, submitted, 32, 16);
AT(async_pool_stats_t, completed, 40, 24);
AT(async_pool_stats_t, cancelled, 48, 32);
AT(async_pool_stats_t, rejected, 56, 40);
AT(async_pool_stats_t, reserved, 64, 48);
SIZE(async_pool_stats_t, 96, 80);

AT(async_resolver_options_t, size, 0, 0);
AT(async_resolver_options_t, threads, 8, 4);
AT(async_resolver_options_t, max_in_flight, 16, 8);
AT(async_resolver_options_t, queue_limit, 24, 12);
AT(async_resolver_options_t, timeout_ms, 32, 16);
AT(async_resolver_options_t, cache_entries, 40, 24);
AT(async_resolver_options_t, forward_ttl_ms, 48, EIGHT(32, 28));
AT(async_resolver_options_t, reverse_ttl_ms, 56, EIGHT(40, 36));
AT(async_resolver_options_t, negative_ttl_ms, 64, EIGHT(48, 44));
AT(async_resolver_options_t, refresh_ms, 72, EIGHT(56, 52));
AT(async_resolver_options_t, servers, 80, EIGHT(64, 60));
AT(async_resolver_options_t, forward_quota, 88, EIGHT(68, 64));
AT(async_resolver_options_t, reverse_quota, 96, EIGHT(72, 68));
AT(async_resolver_options_t, refresh_quota, 104, EIGHT(76, 72));
AT(async_resolver_options_t, engine, 112, EIGHT(80, 76));
SIZE(async_resolver_options_t, 120, EIGHT(88, 80));

AT(async_resolver_result_t, request_id, 0, 0);
AT(async_resolver_result_t, context, 8, 8);
AT(async_resolver_result_t, status, 16, 12);
AT(async_resolver_result_t, error, 20, 16);
AT(async_resolver_result_t, addresses, 24, 20);
AT(async_resolver_result_t, host, 32, 24);
AT(async_resolver_result_t, service, 40, 28);
AT(async_resolver_result_t, flags, 48, 32);
AT(async_resolver_result_t, reserved, 56, EIGHT(40, 36));
SIZE(async_resolver_result_t, 72, EIGHT(56, 52));

AT(async_resolver_stats_t, in_flight, 0, 0);
AT(async_resolver_stats_t, cached, 8, 4);
AT(async_resolver_stats_t, admitted, 16, 8);
AT(async_resolver_stats_t, refreshes, 112, 104);
AT(async_resolver_stats_t, reserved, 120, 112);
SIZE(async_resolver_stats_t, 152, 144);

/* Enumerations: values are for ever, and their type is as wide as an int. */
_Static_assert(ASYNC_WORKER_STOPPED == 0 && ASYNC_WORKER_RUNNING == 1 && ASYNC_WORKER_STOPPING == 2,
               "the worker states have changed");
_Static_assert(ASYNC_CONSOLE_TYPE_NONE == 0 && ASYNC_CONSOLE_TYPE_REAL == 1 &&
                   ASYNC_CONSOLE_TYPE_PIPE == 2 && ASYNC_CONSOLE_TYPE_FILE == 3,
               "the console types have changed");
_Static_assert(sizeof(async_worker_state_t) == sizeof(int), "an enumeration has grown");
_Static_assert(sizeof(async_console_type_t) == sizeof(int), "an enumeration has grown");
_Static_assert(sizeof(async_queue_flags_t) == 4, "flags are 32 bits");

/* Flags: bits are for ever. */
_Static_assert(ASYNC_QUEUE_DROP_OLDEST == 0x01 && ASYNC_QUEUE_BLOCK_WRITER == 0x02 &&
                   ASYNC_QUEUE_SIGNAL_ON_DATA == 0x04,
               "the queue flags have changed");
_Static_assert(ASYNC_EVENT_READ == 0x01 && ASYNC_EVENT_WRITE == 0x02 && ASYNC_EVENT_ERROR == 0x04 &&
                   ASYNC_EVENT_CLOSE == 0x08 && ASYNC_EVENT_COMPLETION == 0x10 &&
                   ASYNC_EVENT_TIMER == 0x20 && ASYNC_EVENT_SIGNAL == 0x40 &&
                   ASYNC_EVENT_CONSOLE == 0x80 && ASYNC_EVENT_ONESHOT == 0x1000,
               "the event bits have changed");
_Static_assert(ASYNC_CONSOLE_LINE == 0x01 && ASYNC_CONSOLE_ECHO == 0x02,
               "the console modes have changed");
_Static_assert(ASYNC_RESOLVER_FROM_CACHE == 0x01 && ASYNC_RESOLVER_COALESCED == 0x02,
               "the resolver flags have changed");

int main(void)
{
    /* what was asserted above was asserted about the library's own headers */
    return asyncrt_version_number() == ASYNCRT_VERSION_NUMBER ? 0 : 1;
}
