/* SPDX-License-Identifier: MIT */
/*
 * port_thread.h - threads, their identity, and sleep
 */
#ifndef PORT_THREAD_H
#define PORT_THREAD_H

#include <stdbool.h>

#include <stddef.h>

#include <stdint.h>

#ifdef _WIN32
typedef struct port_thread {
    void *handle; /* HANDLE */
} port_thread_t;
#else
#include <pthread.h>
typedef struct port_thread {
    pthread_t id;
} port_thread_t;
#endif

typedef void (*port_thread_proc_t)(void *arg);

typedef struct port_thread_attr {
    size_t stack_size;  /* bytes; 0: the platform's default; raised to the platform's minimum */
    const char *name;   /* shown by debuggers, cut to PORT_THREAD_NAME_MAX bytes; NULL: none */
    bool block_signals; /* the program's handlers never run in this thread */
    /* NULL, or called with proc's argument when proc does not return but calls pthread_exit() */
    void (*on_exit)(void *arg);
} port_thread_attr_t;

#define PORT_THREAD_NAME_MAX 15

/* Starts proc(arg).  attr is read during the call only.  Returns 0, EAGAIN or ENOMEM. */
int port_thread_create(port_thread_t *thread, port_thread_proc_t proc, void *arg,
                       const port_thread_attr_t *attr);

/* Either one, once: waits for the thread's end, or lets go of it. */
void port_thread_join(port_thread_t *thread);
void port_thread_detach(port_thread_t *thread);

/* A number for the calling thread, never 0 and never used again by another one. */
uint64_t port_thread_token(void);

void port_thread_yield(void);
void port_thread_sleep(uint64_t ns); /* at least; a signal does not shorten it */

/* Processors that this process may use, at least 1. */
unsigned port_cpu_count(void);

#endif /* PORT_THREAD_H */
