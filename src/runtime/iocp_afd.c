/* SPDX-License-Identifier: MIT */
#include "runtime/iocp_afd.h"
#include "port/port_winsock.h"

#include <errno.h>
#include <string.h>

#define IOCTL_AFD_POLL 0x00012024u
#define IOCTL_BASE_HANDLE 0x48000022u /* SIO_BASE_HANDLE */
#define IOCTL_BSP_HANDLE 0x4800001Du  /* SIO_BSP_HANDLE_POLL */

#define STATUS_OK ((NTSTATUS)0)
#define STATUS_IS_PENDING ((NTSTATUS)0x103)
#define STATUS_REQUEST_CANCELLED ((NTSTATUS)0xC0000120)
#define STATUS_HANDLE_INVALID ((NTSTATUS)0xC0000008)

/* In ntdll since Windows Vista, and in no header. */
NTSTATUS NTAPI NtCancelIoFileEx(HANDLE file, PIO_STATUS_BLOCK request, PIO_STATUS_BLOCK result);

unsigned long afd_error_of_status(LONG status)
{
    return status == 0 ? 0 : RtlNtStatusToDosError(status);
}

static int errno_of_status(NTSTATUS status)
{
    return status == STATUS_HANDLE_INVALID ? EBADF
                                           : port_winsock_errno(afd_error_of_status(status));
}

int afd_open(HANDLE port, ULONG_PTR key, HANDLE *afd)
{
    static WCHAR path[] = L"\\Device\\Afd\\AsyncRT";
    UNICODE_STRING name = {
        .Length = sizeof(path) - sizeof(path[0]), .MaximumLength = sizeof(path), .Buffer = path};
    OBJECT_ATTRIBUTES attributes = {.Length = sizeof(attributes), .ObjectName = &name};
    IO_STATUS_BLOCK iosb;
    NTSTATUS status = NtCreateFile(afd, SYNCHRONIZE, &attributes, &iosb, NULL, 0,
                                   FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN, 0, NULL, 0);

    if (status != STATUS_OK)
        return errno_of_status(status);
    if (port != NULL && CreateIoCompletionPort(*afd, port, key, 0) == NULL) {
        int err = port_winsock_errno(GetLastError());

        CloseHandle(*afd);
        return err;
    }
    return 0;
}

HANDLE afd_base_handle(async_fd_t fd)
{
    static const DWORD codes[] = {IOCTL_BASE_HANDLE, IOCTL_BSP_HANDLE};
    DWORD size;

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        SOCKET base = INVALID_SOCKET;

        if (WSAIoctl((SOCKET)fd, codes[i], NULL, 0, &base, sizeof(base), &size, NULL, NULL) == 0 &&
            base != INVALID_SOCKET)
            return (HANDLE)base;
    }
    return (HANDLE)fd;
}

int afd_poll_start(HANDLE afd, afd_poll_t *poll, HANDLE base, ULONG events)
{
    afd_poll_info_t *info = &poll->info;
    NTSTATUS status;

    poll->iosb.Status = STATUS_IS_PENDING;
    info->timeout.QuadPart = INT64_MAX;
    info->count = 1;
    info->exclusive = FALSE;
    info->handles[0] = (afd_poll_handle_t){.handle = base, .events = events};
    status = NtDeviceIoControlFile(afd, NULL, NULL, poll, &poll->iosb, IOCTL_AFD_POLL, info,
                                   sizeof(*info), info, sizeof(*info));
    return status == STATUS_OK || status == STATUS_IS_PENDING ? 0 : errno_of_status(status);
}

void afd_poll_cancel(HANDLE afd, afd_poll_t *poll)
{
    IO_STATUS_BLOCK iosb;

    /* one that has ended already is not found, and its packet is there */
    (void)NtCancelIoFileEx(afd, &poll->iosb, &iosb);
}

ULONG afd_poll_events(const afd_poll_t *poll)
{
    /* of a request that has failed the memory still holds what was asked for */
    switch (poll->iosb.Status) {
    case STATUS_OK:
        return poll->info.count != 0 ? poll->info.handles[0].events : 0;
    case STATUS_REQUEST_CANCELLED:
        return 0;
    case STATUS_HANDLE_INVALID:
        return AFD_LOCAL_CLOSE;
    default:
        return AFD_ABORT;
    }
}

int afd_probe(HANDLE afd, HANDLE event, afd_probe_t *probe)
{
    ULONG size = (ULONG)(offsetof(afd_probe_t, handles) + probe->count * sizeof(probe->handles[0]));
    afd_probe_t answer;
    IO_STATUS_BLOCK iosb;
    NTSTATUS status;
    ULONG found = 0;

    probe->timeout.QuadPart = 0;
    probe->exclusive = FALSE;
    memcpy(&answer, probe, size);
    iosb.Status = STATUS_IS_PENDING;
    status = NtDeviceIoControlFile(afd, event, NULL, NULL, &iosb, IOCTL_AFD_POLL, &answer, size,
                                   &answer, size);
    if (status == STATUS_IS_PENDING) {
        WaitForSingleObject(event, INFINITE);
        status = iosb.Status;
    }
    if (status < 0)
        return errno_of_status(status);
    /* STATUS_TIMEOUT, and sockets without events: not in the answer, which keeps the order */
    for (ULONG i = 0; i < probe->count; i++) {
        bool here = status == STATUS_OK && found < answer.count &&
                    answer.handles[found].handle == probe->handles[i].handle;

        probe->handles[i].events = here ? answer.handles[found].events : 0;
        found += here;
    }
    return 0;
}
