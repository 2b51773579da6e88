/* SPDX-License-Identifier: MIT */
/*
 * testlib_win32.c - testlib.h on Windows
 */
#include "testlib.h"

#include <winsock2.h>
#include <ws2tcpip.h>
#include <signal.h>

#include <windows.h>

#include <tlhelp32.h>

struct tl_thread {
    HANDLE handle;
    void (*proc)(void *arg);
    void *arg;
};

static void start_winsock(void)
{
    static bool started;
    WSADATA data;

    if (!started)
        ck_assert_int_eq(WSAStartup(MAKEWORD(2, 2), &data), 0);
    started = true;
}

static int errno_of(int error)
{
    switch (error) {
    case WSAEWOULDBLOCK:
        return EAGAIN;
    case WSAECONNRESET:
    case WSAECONNABORTED:
    case WSAENETRESET:
        return ECONNRESET;
    case WSAECONNREFUSED:
        return ECONNREFUSED;
    case WSAESHUTDOWN:
        return EPIPE;
    case WSAENOTCONN:
        return ENOTCONN;
    default:
        return EIO;
    }
}

void tl_set_blocking(async_fd_t fd, bool blocking)
{
    u_long mode = blocking ? 0 : 1;

    ck_assert_int_eq(ioctlsocket((SOCKET)fd, FIONBIO, &mode), 0);
}

void tl_close(async_fd_t fd)
{
    ck_assert_int_eq(closesocket((SOCKET)fd), 0);
}

void tl_pair(async_fd_t fds[2])
{
    tl_tcp_pair(fds);
}

static async_fd_t new_socket(int type)
{
    SOCKET fd;

    start_winsock();
    fd = socket(AF_INET, type, 0);
    ck_assert(fd != INVALID_SOCKET);
    tl_set_blocking((async_fd_t)fd, false);
    return (async_fd_t)fd;
}

static async_fd_t bound_socket(int type, struct sockaddr_in *address)
{
    int length = sizeof *address;
    async_fd_t fd = new_socket(type);

    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind((SOCKET)fd, (struct sockaddr *)address, sizeof *address), 0);
    ck_assert_int_eq(getsockname((SOCKET)fd, (struct sockaddr *)address, &length), 0);
    return fd;
}

void tl_udp_pair(async_fd_t fds[2])
{
    struct sockaddr_in address[2];

    for (int i = 0; i < 2; i++)
        fds[i] = bound_socket(SOCK_DGRAM, &address[i]);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(
            connect((SOCKET)fds[i], (struct sockaddr *)&address[1 - i], sizeof address[0]), 0);
}

async_fd_t tl_listen(uint16_t *port)
{
    struct sockaddr_in address;
    async_fd_t fd = bound_socket(SOCK_STREAM, &address);

    ck_assert_int_eq(listen((SOCKET)fd, 16), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

async_fd_t tl_connect(uint16_t port)
{
    struct sockaddr_in address;
    async_fd_t fd = new_socket(SOCK_STREAM);

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect((SOCKET)fd, (struct sockaddr *)&address, sizeof address) != 0)
        ck_assert_int_eq(WSAGetLastError(), WSAEWOULDBLOCK);
    return fd;
}

async_fd_t tl_accept(async_fd_t listener)
{
    uint64_t end = tl_now_ns() + (uint64_t)TL_WAIT_MS * TL_NS_PER_MS;
    SOCKET fd;

    while ((fd = accept((SOCKET)listener, NULL, NULL)) == INVALID_SOCKET) {
        ck_assert_int_eq(WSAGetLastError(), WSAEWOULDBLOCK);
        ck_assert(tl_now_ns() < end);
        tl_sleep_ms(1);
    }
    tl_set_blocking((async_fd_t)fd, false);
    return (async_fd_t)fd;
}

void tl_reset(async_fd_t fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    ck_assert_int_eq(
        setsockopt((SOCKET)fd, SOL_SOCKET, SO_LINGER, (const char *)&linger, sizeof linger), 0);
    tl_close(fd);
}

void tl_shutdown_write(async_fd_t fd)
{
    ck_assert_int_eq(shutdown((SOCKET)fd, SD_SEND), 0);
}

int tl_so_error(async_fd_t fd)
{
    int error = 0;
    int length = sizeof error;

    ck_assert_int_eq(getsockopt((SOCKET)fd, SOL_SOCKET, SO_ERROR, (char *)&error, &length), 0);
    return error == 0 ? 0 : errno_of(error);
}

long tl_send(async_fd_t fd, const void *data, size_t size)
{
    int count = send((SOCKET)fd, data, (int)size, 0);

    if (count == SOCKET_ERROR)
        errno = errno_of(WSAGetLastError());
    return count == SOCKET_ERROR ? -1 : count;
}

long tl_recv(async_fd_t fd, void *data, size_t size)
{
    int count = recv((SOCKET)fd, data, (int)size, 0);

    if (count == SOCKET_ERROR)
        errno = errno_of(WSAGetLastError());
    return count == SOCKET_ERROR ? -1 : count;
}

static DWORD WINAPI thread_main(void *arg)
{
    tl_thread_t *thread = arg;

    thread->proc(thread->arg);
    return 0;
}

tl_thread_t *tl_thread_start(void (*proc)(void *arg), void *arg)
{
    tl_thread_t *thread = malloc(sizeof *thread);

    ck_assert_ptr_nonnull(thread);
    thread->proc = proc;
    thread->arg = arg;
    thread->handle = CreateThread(NULL, 0, thread_main, thread, 0, NULL);
    ck_assert_ptr_nonnull(thread->handle);
    return thread;
}

void tl_thread_join(tl_thread_t *thread)
{
    ck_assert_uint_eq(WaitForSingleObject(thread->handle, INFINITE), WAIT_OBJECT_0);
    CloseHandle(thread->handle);
    free(thread);
}

void tl_yield(void)
{
    (void)SwitchToThread();
}

void tl_sleep_ms(unsigned ms)
{
    Sleep(ms);
}

uint64_t tl_now_ns(void)
{
    LARGE_INTEGER frequency;
    LARGE_INTEGER now;
    uint64_t seconds;
    uint64_t rest;

    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&now);
    seconds = (uint64_t)now.QuadPart / (uint64_t)frequency.QuadPart;
    rest = (uint64_t)now.QuadPart % (uint64_t)frequency.QuadPart;
    return seconds * 1000 * TL_NS_PER_MS +
           rest * 1000 * TL_NS_PER_MS / (uint64_t)frequency.QuadPart;
}

/* The first use of sockets, and of a thread, leaves handles of the system's behind. */
static void have_used_all(void)
{
    static bool used;
    async_fd_t fds[2];

    if (used)
        return;
    used = true;
    tl_tcp_pair(fds);
    tl_close_pair(fds);
    async_runtime_deinit(async_runtime_init());
}

int tl_fd_count(void)
{
    DWORD count;

    have_used_all();
    return GetProcessHandleCount(GetCurrentProcess(), &count) ? (int)count : -1;
}

int tl_thread_count(void)
{
    HANDLE list = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
    THREADENTRY32 entry = {.dwSize = sizeof entry};
    int count = 0;

    ck_assert(list != INVALID_HANDLE_VALUE);
    for (BOOL more = Thread32First(list, &entry); more; more = Thread32Next(list, &entry))
        count += entry.th32OwnerProcessID == GetCurrentProcessId();
    CloseHandle(list);
    return count;
}

int tl_signal(void)
{
    return SIGTERM;
}

/* The function of the system's, which not every system has; NULL: this one does not. */
static FARPROC find_function(const char *name)
{
    return GetProcAddress(GetModuleHandleW(L"kernelbase.dll"), name);
}

bool tl_thread_name(char *name, size_t size)
{
    FARPROC found = find_function("GetThreadDescription");
    HRESULT(WINAPI * get)(HANDLE thread, PWSTR * text);
    PWSTR text = NULL;
    bool told;

    if (found == NULL)
        return false;
    memcpy(&get, &found, sizeof get);
    told = SUCCEEDED(get(GetCurrentThread(), &text)) &&
           WideCharToMultiByte(CP_UTF8, 0, text, -1, name, (int)size, NULL, NULL) > 0;
    LocalFree(text);
    return told;
}

size_t tl_stack_size(void)
{
    ULONG_PTR low, high;

    GetCurrentThreadStackLimits(&low, &high);
    return high - low;
}

long tl_context_switches(void)
{
    return -1;
}

bool tl_handle_is_set(async_handle_t handle, int timeout_ms)
{
    return WaitForSingleObject(handle, (DWORD)timeout_ms) == WAIT_OBJECT_0;
}

bool tl_handle_is_inherited(async_handle_t handle)
{
    DWORD flags;

    ck_assert(GetHandleInformation(handle, &flags));
    return (flags & HANDLE_FLAG_INHERIT) != 0;
}

void tl_setenv(const char *name, const char *value)
{
    SetEnvironmentVariableA(name, value);
    if (_putenv_s(name, value != NULL ? value : "") != 0) /* also called outside of tests */
        ck_abort_msg("_putenv_s: errno %d", errno);
}

bool tl_close_shows_before_data(void)
{
    return false;
}

bool tl_reset_sets_so_error(void)
{
    return false;
}

bool tl_writes_wait_for_reader(void)
{
    return false;
}
