/* relay_filter.c - the seccomp filter of pods' processes. In the child.
 *
 * connect, bind and sendto with an address are asked of the sandbox. There is no IPv6, and no way
 * around by io_uring. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/proc.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "the sandbox knows x86-64 and arm64"
#endif

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#define LOAD(field)                                                                                \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define LOAD_ARG(i)                                                                                \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, args[i]))
#define LOAD_ARG_HIGH(i)                                                                           \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, args[i]) + 4)
#define JEQ(k, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(k), yes, no)
#define RET(k) BPF_STMT(BPF_RET | BPF_K, (uint32_t)(k))

int
mh_sb_filter_install(void)
{
    struct sock_filter code[] = {
        LOAD(arch),
        JEQ(ARCH, 1, 0),
        RET(SECCOMP_RET_ERRNO | ENOSYS),
        LOAD(nr),
        JEQ(SYS_connect, 11, 0),
        JEQ(SYS_bind, 10, 0),
        JEQ(SYS_sendto, 3, 0),
        JEQ(SYS_socket, 6, 0),
        JEQ(SYS_io_uring_setup, 8, 0),
        RET(SECCOMP_RET_ALLOW),
        LOAD_ARG(4), /* sendto: an address? */
        JEQ(0, 0, 4),
        LOAD_ARG_HIGH(4),
        JEQ(0, 5, 2),
        LOAD_ARG(0), /* socket: the family */
        JEQ(AF_INET6, 2, 3),
        RET(SECCOMP_RET_USER_NOTIF),
        RET(SECCOMP_RET_ERRNO | ENOSYS),
        RET(SECCOMP_RET_ERRNO | EAFNOSUPPORT),
        RET(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = { sizeof(code) / sizeof(*code), code };
    long fd =
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &prog);
    if (fd < 0 && errno == EINVAL)
        fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
    return (int)fd;
}
