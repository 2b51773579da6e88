/* SPDX-License-Identifier: MIT */
/* queue_stress.h - the stress run that test_queue_stress and queue_preempt share */
#ifndef QUEUE_STRESS_H
#define QUEUE_STRESS_H

/* Runs every setup with about count messages; ends the process when a promise is broken. */
int queue_stress(unsigned count);

#endif /* QUEUE_STRESS_H */
