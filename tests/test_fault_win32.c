/* SPDX-License-Identifier: MIT */
/*
 * The library reaches _beginthreadex() through the import table's pointer: the one that is defined
 * here is linked in its place.
 */
#include "test_fault.h"

#include <errno.h>
#include <process.h>
#include <stdint.h>
#include <string.h>

#include <windows.h>

typedef uintptr_t(__cdecl *begin_t)(void *security, unsigned stack,
                                    unsigned(__stdcall *proc)(void *arg), void *arg, unsigned flags,
                                    unsigned *id);

extern begin_t __MINGW_IMP_SYMBOL(_beginthreadex);

static uintptr_t __cdecl begin(void *security, unsigned stack, unsigned(__stdcall *proc)(void *arg),
                               void *arg, unsigned flags, unsigned *id)
{
    FARPROC found = GetProcAddress(GetModuleHandleW(L"msvcrt.dll"), "_beginthreadex");
    begin_t real;

    if (found == NULL || !test_take(&test_threads_left)) {
        errno = EAGAIN;
        return 0;
    }
    memcpy(&real, &found, sizeof(real));
    return real(security, stack, proc, arg, flags, id);
}

begin_t __MINGW_IMP_SYMBOL(_beginthreadex) = begin;
