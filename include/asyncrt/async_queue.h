/* SPDX-License-Identifier: MIT */
/*
 * async_queue.h - bounded message queue: many producers, one consumer
 *
 * A message is 0 to max_msg_size bytes, copied in and out whole.  Messages of one producer arrive
 * in its order, and the consumer sees one total order.  A full queue fails the producer, drops the
 * oldest message, or makes the producer wait, as its flags say.  Every loss is counted exactly, and
 * async_queue_lost() tells where in the stream it happened.
 *
 * Producer functions (enqueue, enqueue_timed, reserve, commit, abandon), close, is_empty, is_full
 * and get_stats may be called by any thread at any time.  Consumer functions (dequeue, wait, peek,
 * release, clear, lost) belong to one thread at a time.
 */
#ifndef ASYNCRT_ASYNC_QUEUE_H
#define ASYNCRT_ASYNC_QUEUE_H

#include <asyncrt/async_types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct async_queue async_queue_t;
typedef uint32_t async_queue_flags_t;

#define ASYNC_QUEUE_DROP_OLDEST 0x01u    /* full: discard the oldest message, count it, succeed */
#define ASYNC_QUEUE_BLOCK_WRITER 0x02u   /* full: the producer waits for a place */
#define ASYNC_QUEUE_SIGNAL_ON_DATA 0x04u /* async_queue_wait() can be used */

/* Filled by async_queue_get_stats().  Quiescent: enqueued = dequeued + dropped + current_size. */
typedef struct async_queue_stats {
    size_t capacity;         /* messages that fit */
    size_t current_size;     /* messages in the queue now */
    size_t max_msg_size;     /* bytes */
    uint64_t enqueue_count;  /* messages accepted */
    uint64_t dequeue_count;  /* messages taken by the consumer */
    uint64_t dropped_count;  /* messages discarded by DROP_OLDEST or clear */
    uint64_t rejected_count; /* enqueues and reserves refused: full, timed out, too large, closed */
    uint64_t blocked_count;  /* times that a producer had to sleep */
    uint64_t reserved[4];    /* zero */
} async_queue_stats_t;

/*
 * Makes a queue of exactly capacity messages of at most max_msg_size bytes each.
 *
 * capacity: messages, at least 1.  max_msg_size: bytes, may be 0.  flags: ASYNC_QUEUE_* bits or 0.
 * The caller owns the queue and ends it with async_queue_destroy().
 * Any thread.  Does not block; allocates all that the queue will ever need but for reservations.
 * Returns the queue, or NULL: EINVAL (capacity 0, sizes that overflow, unknown flags, DROP_OLDEST
 * with BLOCK_WRITER), ENOMEM.
 * Since 1.0.
 */
ASYNC_API async_queue_t *async_queue_create(size_t capacity, size_t max_msg_size,
                                            async_queue_flags_t flags);

/*
 * Frees the queue and what is in it, and unbinds it from its runtime.  NULL is ignored.
 *
 * One thread, while no other is inside a call on the queue (close it and join the producers first).
 * Does not block.
 * Since 1.0.
 */
ASYNC_API void async_queue_destroy(async_queue_t *queue);

/*
 * Appends a copy of the message; on a full queue follows the queue's policy.
 *
 * data: size bytes, the caller's; may be NULL when size is 0.
 * Any thread.  Blocks only with BLOCK_WRITER and a full queue.  Never allocates.
 * Returns true, or false: EINVAL, EMSGSIZE (larger than max_msg_size), EAGAIN (full; with
 * DROP_OLDEST: open reservations hold every place), EPIPE (closed), EDEADLK (the thread that last
 * took from this queue would wait for itself for ever).
 * Since 1.0.
 */
ASYNC_API bool async_queue_enqueue(async_queue_t *queue, const void *data, size_t size);

/*
 * As async_queue_enqueue(), but on a full queue waits up to timeout_ms whatever the policy; a
 * DROP_OLDEST queue never waits.
 *
 * timeout_ms: milliseconds; 0 does not wait, -1 waits for ever.
 * Any thread.  May block.  Never allocates.
 * Returns true, or false: as async_queue_enqueue(), but ETIMEDOUT where the queue is full; EAGAIN
 * only with DROP_OLDEST.
 * Since 1.0.
 */
ASYNC_API bool async_queue_enqueue_timed(async_queue_t *queue, const void *data, size_t size,
                                         int timeout_ms);

/*
 * Takes the oldest message, copied into buffer.
 *
 * buffer: buffer_size bytes, the caller's; may be NULL when buffer_size is 0.  out_size: receives
 * the message's size, also with EMSGSIZE; may be NULL.  After a failure with DROP_OLDEST the buffer
 * may hold bytes of a message that was discarded meanwhile.
 * Consumer.  Never blocks, never allocates.
 * Returns true, or false: EINVAL, EAGAIN (empty), EMSGSIZE (buffer too small: the message stays),
 * EPIPE (closed and empty).
 * Since 1.0.
 */
ASYNC_API bool async_queue_dequeue(async_queue_t *queue, void *buffer, size_t buffer_size,
                                   size_t *out_size);

/*
 * Waits until a message can be taken.  Needs ASYNC_QUEUE_SIGNAL_ON_DATA.
 *
 * timeout_ms: milliseconds; 0 does not wait, -1 waits for ever.
 * Consumer.  Blocks.  Never allocates.
 * Returns true, or false: EINVAL (no such flag), ETIMEDOUT, EPIPE (closed and empty).
 * Since 1.0.
 */
ASYNC_API bool async_queue_wait(async_queue_t *queue, int timeout_ms);

/*
 * Gives the producer a slot to write a message into, without a copy.  An open reservation takes one
 * place of the capacity and holds nobody else up.
 *
 * size: bytes that will be needed, at most max_msg_size.  The slot is the caller's, aligned to 16,
 * until async_queue_commit() or async_queue_abandon(), which any thread may call.
 * Any thread.  Blocks as async_queue_enqueue() does.  The first reserve on a queue may allocate.
 * Returns the slot, or NULL: as async_queue_enqueue(), and ENOMEM.
 * Since 1.0.
 */
ASYNC_API void *async_queue_reserve(async_queue_t *queue, size_t size);

/*
 * Publishes a reserved slot as a message of size bytes (at most what was reserved; more is cut to
 * it).  Messages appear in the order of their commits.  Also after async_queue_close().
 *
 * slot: from async_queue_reserve(); not to be used afterwards.  NULL and foreign slots are ignored.
 * Any thread.  Does not block or allocate.
 * Since 1.0.
 */
ASYNC_API void async_queue_commit(async_queue_t *queue, void *slot, size_t size);

/*
 * Gives a reserved slot back; no message appears, its place is free at once, and a blocked producer
 * is woken.
 *
 * slot: from async_queue_reserve(); not to be used afterwards.  NULL and foreign slots are ignored.
 * Any thread.  Does not block or allocate.
 * Since 1.0.
 */
ASYNC_API void async_queue_abandon(async_queue_t *queue, void *slot);

/*
 * Shows the consumer the oldest message in place, without a copy.  A second peek before release
 * shows the same message.
 *
 * out_size: receives the size in bytes; may be NULL.  The bytes are valid until
 * async_queue_release(), a dequeue or a clear of this message.
 * Consumer.  Never blocks, never allocates.
 * Returns the message (not NULL for an empty one), or NULL: EINVAL, EAGAIN (empty), EPIPE (closed
 * and empty).
 * Since 1.0.
 */
ASYNC_API const void *async_queue_peek(async_queue_t *queue, size_t *out_size);

/*
 * Takes the peeked message out of the queue; ignored when nothing is peeked.
 *
 * Consumer.  Never blocks, never allocates.
 * Since 1.0.
 */
ASYNC_API void async_queue_release(async_queue_t *queue);

/*
 * Closes the queue: later enqueues and reserves fail with EPIPE, everyone blocked wakes, what is
 * queued can still be taken.  Idempotent.
 *
 * Any thread.  Does not block or allocate.
 * Since 1.0.
 */
ASYNC_API void async_queue_close(async_queue_t *queue);

/*
 * Tells whether there is nothing to take.  A snapshot: other threads may have changed it already.
 *
 * Any thread.  Never blocks, never allocates.
 * Returns true or false; false with EINVAL for NULL.
 * Since 1.0.
 */
ASYNC_API bool async_queue_is_empty(const async_queue_t *queue);

/*
 * Tells whether messages and open reservations hold every place.  A snapshot.
 *
 * Any thread.  Never blocks, never allocates.
 * Returns true or false; false with EINVAL for NULL.
 * Since 1.0.
 */
ASYNC_API bool async_queue_is_full(const async_queue_t *queue);

/*
 * Discards the messages that are in the queue, counted as dropped; blocked producers are woken.  A
 * message that the consumer has peeked stays until it is released.
 *
 * Consumer.  Never blocks for longer than a producer's copy, never allocates.
 * Since 1.0.
 */
ASYNC_API void async_queue_clear(async_queue_t *queue);

/*
 * How many messages were discarded between the last two messages that the consumer took (or before
 * the first one).
 *
 * Consumer.  Never blocks, never allocates.
 * Returns the count; 0 with EINVAL for NULL.
 * Since 1.0.
 */
ASYNC_API uint64_t async_queue_lost(const async_queue_t *queue);

/*
 * Fills stats.  Each figure is exact when nobody is inside a call on the queue; else a snapshot.
 *
 * Any thread.  Never blocks, never allocates.
 * Since 1.0.
 */
ASYNC_API void async_queue_get_stats(const async_queue_t *queue, async_queue_stats_t *stats);

#ifdef __cplusplus
}
#endif

#endif /* ASYNCRT_ASYNC_QUEUE_H */
