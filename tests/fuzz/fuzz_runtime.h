/* SPDX-License-Identifier: MIT */
/*
 * fuzz_runtime.h - the state of a program of fuzz_runtime, and its calls about descriptors
 */
#ifndef FUZZ_RUNTIME_H
#define FUZZ_RUNTIME_H

#include "runtime_model.h"

typedef struct test {
    model_t model;
    fuzz_input_t *input;
    async_queue_t *queue;
    bool bound, armed;
    size_t queued, queue_capacity;
    size_t completion_limit;
} test_t;

#define RESULT_IS(call, err)                                                         \
    do {                                                                             \
        int wanted_error = (err);                                                    \
        errno = FUZZ_ERRNO;                                                          \
        int got = (call), got_error = errno;                                         \
        fuzz_trace("%s: %d", #call, wanted_error);                                   \
        FUZZ_CHECK(got == (wanted_error == 0 ? 0 : -1) &&                            \
                       got_error == (wanted_error == 0 ? FUZZ_ERRNO : wanted_error), \
                   "%s: %d, errno %d, not %d", #call, got, got_error, wanted_error); \
    } while (0)

/* A socketpair or a pipe, to be ends number and number + 1, which are closed. */
void fuzz_open_channel(test_t *t, unsigned number);

end_t *fuzz_draw_end(test_t *t, unsigned *number);

/* Registrations. */
void fuzz_add(test_t *t);
void fuzz_modify(test_t *t);
void fuzz_remove(test_t *t);
void fuzz_close(test_t *t); /* one end or both, and then another channel in their place */

/* The program's own input and output, and operations. */
void fuzz_send(test_t *t);
void fuzz_receive(test_t *t);
void fuzz_drain(test_t *t); /* receives until all writes have ended */
void fuzz_shutdown(test_t *t);
void fuzz_operation(test_t *t, bool is_write);

#endif /* FUZZ_RUNTIME_H */
