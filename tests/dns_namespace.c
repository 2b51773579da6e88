/* SPDX-License-Identifier: MIT */
#include "dns_namespace.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

void dns_namespace_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

/* glibc reads timeout and attempts, c-ares 1.18 retrans and retry. */
void dns_namespace_patience(unsigned seconds, unsigned attempts)
{
    char text[160];

    snprintf(text, sizeof(text),
             "nameserver 127.0.0.1\noptions timeout:%u attempts:%u retrans:%u retry:%u\n", seconds,
             attempts, seconds * 1000, attempts);
    dns_namespace_write("/etc/resolv.conf", text);
}

static int write_map(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    int err = 0;

    if (file == NULL)
        return errno;
    fputs(text, file);
    if (fclose(file) != 0)
        err = errno;
    return err;
}

/* Only who is not root needs a user namespace, and only a program with one thread can have it. */
static int become_root(void)
{
    unsigned uid = (unsigned)geteuid(), gid = (unsigned)getegid();
    char uid_map[32], gid_map[32];
    int err;

    if (unshare(CLONE_NEWUSER) != 0)
        return errno;
    snprintf(uid_map, sizeof(uid_map), "0 %u 1", uid);
    snprintf(gid_map, sizeof(gid_map), "0 %u 1", gid);
    write_map("/proc/self/setgroups", "deny");
    err = write_map("/proc/self/uid_map", uid_map);
    return err != 0 ? err : write_map("/proc/self/gid_map", gid_map);
}

static int raise_loopback(void)
{
    struct ifreq request;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

    if (fd == -1)
        return errno;
    memset(&request, 0, sizeof(request));
    memcpy(request.ifr_name, "lo", 3);
    if (ioctl(fd, SIOCGIFFLAGS, &request) == 0) {
        request.ifr_flags |= IFF_UP;
        if (ioctl(fd, SIOCSIFFLAGS, &request) != 0)
            err = errno;
    } else {
        err = errno;
    }
    close(fd);
    return err;
}

static int own_etc(void)
{
    if (mount("none", "/", "none", MS_REC | MS_PRIVATE, "") != 0 ||
        mount("tmpfs", "/etc", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m") != 0)
        return errno;
    dns_namespace_patience(60, 2);
    dns_namespace_write("/etc/nsswitch.conf",
                        "hosts: files dns\nservices: files\nprotocols: files\n");
    dns_namespace_write("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"
                                      "192.0.2.7 hosted.test hosted-alias.test\n"
                                      "2001:db8::7 hosted6.test\n");
    dns_namespace_write("/etc/services", "http 80/tcp\nhttps 443/tcp\ndomain 53/tcp\n"
                                         "domain 53/udp\n");
    dns_namespace_write("/etc/protocols", "ip 0 IP\nicmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\n");
    return 0;
}

int dns_namespace_enter(void)
{
    int err = 0;

    if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS) != 0) {
        err = become_root();
        if (err == 0 && unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS) != 0)
            err = errno;
    }
    if (err == 0 && sethostname("tester", 6) != 0)
        err = errno;
    if (err == 0)
        err = raise_loopback();
    return err != 0 ? err : own_etc();
}
