/* SPDX-License-Identifier: MIT */
/*
 * console_pump_win32.h - reads of a pipe that can be given up
 *
 * A read of a pipe made for synchronous use blocks its thread, and not every system can cancel it.
 * So a thread of its own reads ahead, one read at a time and only when asked; who waits for it
 * waits for the stop as well.  A pump whose read cannot be cancelled is left behind with it, and
 * the next console on the same input takes it over, with what it has read.
 */
#ifndef CONSOLE_PUMP_WIN32_H
#define CONSOLE_PUMP_WIN32_H

#include <stdbool.h>

#include <stddef.h>

#include <windows.h>

typedef struct console_pump console_pump_t;

/* Whether two handles are of the same open pipe, console or file. */
bool console_pump_is_same(HANDLE a, HANDLE b);

/* source: what standard input was; the pump reads a duplicate.  Returns 0, ENOMEM or EMFILE. */
int console_pump_open(HANDLE source, console_pump_t **out);

/* Returns the count, CONSOLE_READ_END or CONSOLE_READ_STOPPED (stop is signalled). */
int console_pump_read(console_pump_t *pump, HANDLE stop, char *buffer, size_t size);

/* After the last read. */
void console_pump_close(console_pump_t *pump);

#endif /* CONSOLE_PUMP_WIN32_H */
