/* SPDX-License-Identifier: MIT */
/*
 * port_compiler.h - what the compiler offers beyond C11
 */
#ifndef PORT_COMPILER_H
#define PORT_COMPILER_H

/* The destructive-interference distance: data written by different threads is kept this far apart.
 */
#define PORT_CACHE_LINE 64

/*
 * One variable a thread.  The initial-exec model needs no call per access; the few bytes fit into
 * the space that the dynamic loader keeps for libraries that are opened late.  (mingw ignores
 * __declspec(thread) silently; _Thread_local works.)
 */
#if defined(__GNUC__) && defined(__ELF__)
#define PORT_THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))
#else
#define PORT_THREAD_LOCAL _Thread_local
#endif

/* PORT_ALIGNED_CODE: for functions of a few nanoseconds, which would else change with each change
 * of the code before them. */
#if defined(__GNUC__)
#define PORT_LIKELY(x) __builtin_expect(!!(x), 1)
#define PORT_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define PORT_NOINLINE __attribute__((noinline))
#define PORT_ALWAYS_INLINE inline __attribute__((always_inline))
#define PORT_ALIGNED_CODE __attribute__((aligned(32)))
#define PORT_PREFETCH_WRITE(p) __builtin_prefetch((p), 1, 3)
#define PORT_PREFETCH_READ(p) __builtin_prefetch((p), 0, 3)
#else
#define PORT_LIKELY(x) (x)
#define PORT_UNLIKELY(x) (x)
#define PORT_NOINLINE
#define PORT_ALWAYS_INLINE inline
#define PORT_ALIGNED_CODE
#define PORT_PREFETCH_WRITE(p) ((void)(p))
#define PORT_PREFETCH_READ(p) ((void)(p))
#endif

/* Asks for the line of the address p, which may be that of nothing, to be this processor's own
 * before it is written.  gcc's built-in asks for a copy only, unless told of this instruction; an
 * x86-64 processor without it ignores it. */
#if defined(__GNUC__) && defined(__x86_64__)
#define PORT_PREFETCH_OWN(p) __asm__ volatile("prefetchw %0" : : "m"(*(const char *)(p)))
#else
#define PORT_PREFETCH_OWN(p) PORT_PREFETCH_WRITE((const char *)(p))
#endif

/* Tells the processor that a spin loop turns. */
static inline void port_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield" ::: "memory");
#elif defined(__GNUC__)
    __asm__ volatile("" ::: "memory");
#endif
}

/* The structure of type that has ptr as its member. */
#define PORT_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif /* PORT_COMPILER_H */
