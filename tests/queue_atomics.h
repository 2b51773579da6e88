/* SPDX-License-Identifier: MIT */
/*
 * queue_atomics.h - for tests that include the queue's sources with a step before each atomic
 * operation: takes the names of <stdatomic.h> away, and gives what they stood for by others.
 */
#ifndef QUEUE_ATOMICS_H
#define QUEUE_ATOMICS_H

#include <stdatomic.h>

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or_explicit

#ifdef __clang__ /* takes _Atomic types by these builtins only */
#define raw_load(p, order) __c11_atomic_load(p, order)
#define raw_store(p, value, order) __c11_atomic_store(p, value, order)
#define raw_exchange(p, value, order) __c11_atomic_exchange(p, value, order)
#define raw_compare_exchange_strong(p, old, new, yes, no) \
    __c11_atomic_compare_exchange_strong(p, old, new, yes, no)
#define raw_compare_exchange_weak(p, old, new, yes, no) \
    __c11_atomic_compare_exchange_weak(p, old, new, yes, no)
#define raw_fetch_add(p, value, order) __c11_atomic_fetch_add(p, value, order)
#define raw_fetch_sub(p, value, order) __c11_atomic_fetch_sub(p, value, order)
#define raw_fetch_or(p, value, order) __c11_atomic_fetch_or(p, value, order)
#else
#define raw_load(p, order) __atomic_load_n(p, order)
#define raw_store(p, value, order) __atomic_store_n(p, value, order)
#define raw_exchange(p, value, order) __atomic_exchange_n(p, value, order)
#define raw_compare_exchange_strong(p, old, new, yes, no) \
    __atomic_compare_exchange_n(p, old, new, 0, yes, no)
#define raw_compare_exchange_weak(p, old, new, yes, no) \
    __atomic_compare_exchange_n(p, old, new, 1, yes, no)
#define raw_fetch_add(p, value, order) __atomic_fetch_add(p, value, order)
#define raw_fetch_sub(p, value, order) __atomic_fetch_sub(p, value, order)
#define raw_fetch_or(p, value, order) __atomic_fetch_or(p, value, order)
#endif

#endif /* QUEUE_ATOMICS_H */
