/* SPDX-License-Identifier: MIT */
/* queue_model.h - between the search of test_queue_model and its programs */
#ifndef QUEUE_MODEL_H
#define QUEUE_MODEL_H

#include "queue/queue_hook.h"

#define FIBERS 3

#define NEVER_WAITS 1u /* nobody may ever have to wait for another */
#define LARGE 2u       /* only when everything is asked for */
#define BOUND 4u       /* to world.hook, from the start */
#define CLEARS 8u      /* the losses of a clear at the end are told to nobody */
#define NO_BARRIER 16u /* on a system without one for all threads */
#define WIDE 32u       /* messages of 16 bytes rather than 2, and positions far from their end */
#define MEDIUM 64u     /* of 80 bytes, and positions far from their end */
#define BULKY 128u     /* of more than QUEUE_SMALL bytes */
#define SIZE_MOST 272u

enum fiber_state { FIBER_RUNS, FIBER_YIELDS, FIBER_SLEEPS, FIBER_DONE };

enum step_kind { STEP_READ, STEP_WRITE };

typedef struct log_entry {
    unsigned char from, number;
    unsigned lost;
} log_entry_t;

/* What the programs share beside the queue. */
typedef struct world {
    async_queue_t *queue;
    queue_hook_t hook;
    _Atomic uint32_t announced;
    unsigned accepted[FIBERS]; /* a bit for each message */
    unsigned refused;
    log_entry_t got[16];
    unsigned count;
    unsigned done; /* producers */
    bool finished; /* the consumer saw EPIPE */
    size_t memory_used;
} world_t;

typedef struct program {
    const char *name;
    size_t capacity;
    async_queue_flags_t flags;
    unsigned kind; /* NEVER_WAITS and so on */
    void (*fiber[FIBERS])(unsigned self);
} program_t;

typedef struct mutant {
    const char *program;
    enum step_kind kind; /* the step to spoil */
    const char *where, *what;
} mutant_t;

/* Of the program's messages. */
static inline size_t message_size(const program_t *p)
{
    return p->kind & BULKY ? SIZE_MOST : p->kind & MEDIUM ? 80 : p->kind & WIDE ? 16 : 2;
}

extern world_t world;
extern const program_t *program; /* that is searched */
extern unsigned fiber_count;     /* its fibers */
extern const char *broken;       /* the first promise that was broken, NULL: none */
extern unsigned long states;     /* that were seen */

/* What a fiber may call: stops it, until it may go on; until wake_fibers() of word. */
bool step(const char *where, const char *what, enum step_kind kind, int order);
void pause_fiber(enum fiber_state state);
void sleep_fiber(const void *word);
void wake_fibers(const void *word, int count);
void break_promise(const char *what);

/* Of the programs: before the start, and at each end. */
void bind_world(void);
void check_end(void);

/* All states of one program; stops at the first broken promise.  Spoils a step unless NULL. */
void explore(const program_t *p, const mutant_t *m);

/* Makes the memory of explore(); false: there is none. */
bool begin_exploring(void);
void end_exploring(void);

#endif /* QUEUE_MODEL_H */
