/* relay_notify.c - connect, bind and sendto of pods' processes. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sandbox/relay_in.h"

#define GO_ON (-1) /* the kernel carries out the call as it is */

struct question {
    struct mh_sb_peer *peer;
    struct seccomp_notif n;
    struct sockaddr_in in;
    int sock;
    int type;
    bool blocks;
};

/* The request is an int in musl, an unsigned long in glibc; some of these numbers have the top bit. */
static int
notify_ioctl(int fd, unsigned long request, void *arg)
{
#ifdef __GLIBC__
    return ioctl(fd, request, arg);
#else
    return ioctl(fd, (int)(unsigned)request, arg);
#endif
}

static void
answer(int notify_fd, uint64_t id, int error)
{
    struct seccomp_notif_resp r = { .id = id };
    if (error == GO_ON)
        r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    else
        r.error = -error;
    (void)notify_ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

void
mh_sb_ask_answer(struct mh_sb_ask *ask, int error)
{
    if (ask->notify_fd >= 0)
        answer(ask->notify_fd, ask->id, error);
    if (ask->sock >= 0)
        (void)close(ask->sock);
    ask->notify_fd = ask->sock = -1;
}

bool
mh_sb_ask_valid(const struct mh_sb_ask *ask)
{
    uint64_t id = ask->id;
    return ask->notify_fd >= 0 &&
           notify_ioctl(ask->notify_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/* The process of a thread. */
static pid_t
leader_of(pid_t tid)
{
    char path[40];
    char line[128];
    int pid = tid;
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "Tgid: %d", &pid) == 1)
            break;
    }
    if (f)
        (void)fclose(f);
    return pid;
}

/* Its socket, in our table of descriptors too. */
static int
take_socket(pid_t tid, int number)
{
    int pidfd = (int)syscall(SYS_pidfd_open, tid, 0);
    if (pidfd < 0)
        pidfd = (int)syscall(SYS_pidfd_open, leader_of(tid), 0);
    if (pidfd < 0)
        return -1;
    int sock = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
    int saved = errno;
    (void)close(pidfd);
    errno = saved;
    return sock;
}

/* The address that the call names. False: not AF_INET, or not readable: the kernel's business. */
static bool
read_address(struct question *q, uint64_t at, uint64_t len)
{
    memset(&q->in, 0, sizeof(q->in));
    if (!at || len < sizeof(q->in.sin_family))
        return false;
    struct iovec local = { &q->in, len < sizeof(q->in) ? (size_t)len : sizeof(q->in) };
    struct iovec remote = { (void *)(uintptr_t)at, local.iov_len };
    if (process_vm_readv((pid_t)q->n.pid, &local, 1, &remote, 1, 0) != (ssize_t)local.iov_len)
        return false;
    return q->in.sin_family == AF_INET && len >= sizeof(q->in);
}

/* Localhost and the wildcard of a pod are its own address. */
static void
make_own(struct question *q)
{
    uint32_t a = ntohl(q->in.sin_addr.s_addr);
    if (a == 0 || (a >> 24 == 127 && !mh_sb_relay_is_ours(q->peer->relay, q->in.sin_addr.s_addr)))
        q->in.sin_addr.s_addr = q->peer->address;
}

static int
on_bind(struct question *q)
{
    make_own(q);
    if (q->in.sin_addr.s_addr != q->peer->address)
        return EADDRNOTAVAIL;
    return bind(q->sock, (const struct sockaddr *)&q->in, sizeof(q->in)) == 0 ? 0 : errno;
}

in_port_t
mh_sb_ask_bind(int sock, in_addr_t address)
{
    struct sockaddr_in in = { 0 };
    socklen_t len = sizeof(in);
    if (getsockname(sock, (struct sockaddr *)&in, &len) != 0)
        return 0;
    if (in.sin_port == 0) {
        in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = address };
        len = sizeof(in);
        if (bind(sock, (const struct sockaddr *)&in, sizeof(in)) != 0 ||
            getsockname(sock, (struct sockaddr *)&in, &len) != 0)
            return 0;
    }
    return in.sin_port;
}

static int
connect_datagram(struct question *q)
{
    make_own(q);
    if (q->in.sin_addr.s_addr != q->peer->address)
        return ENETUNREACH;
    (void)mh_sb_ask_bind(q->sock, q->peer->address);
    return connect(q->sock, (const struct sockaddr *)&q->in, sizeof(q->in)) == 0 ? 0 : errno;
}

/* Today's target of what was asked for; 0 or errno. */
static int
find_target(const struct question *q, struct sockaddr_in *to)
{
    const struct mh_sb_relay *r = q->peer->relay;
    char text[INET_ADDRSTRLEN] = "";
    char address[48] = "";
    int port = 0;
    bool known = false;
    *to = q->in;
    if (!mh_sb_relay_is_ours(r, q->in.sin_addr.s_addr))
        return ENETUNREACH;
    (void)inet_ntop(AF_INET, &q->in.sin_addr, text, sizeof(text));
    if (!r->spec.route ||
        (!r->spec.route(r->spec.arg, text, ntohs(q->in.sin_port), address, &port, &known) &&
         !known))
        return 0;
    if (!address[0] || inet_pton(AF_INET, address, &to->sin_addr) != 1)
        return ECONNREFUSED;
    to->sin_port = htons((uint16_t)port);
    return 0;
}

/* 0 or errno, GO_ON, or -2: answered later. */
static int
connect_stream(struct question *q, int notify_fd)
{
    struct mh_sb_relay *r = q->peer->relay;
    struct tcp_info info;
    socklen_t len = sizeof(info);
    struct sockaddr_in to;
    bool exact = q->in.sin_addr.s_addr == q->peer->address;
    if (getsockopt(q->sock, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        info.tcpi_state != TCP_CLOSE)
        return GO_ON; /* connecting or connected: asks how it went */
    make_own(q);
    if (exact || (q->in.sin_addr.s_addr == q->peer->address && !q->blocks)) {
        (void)mh_sb_ask_bind(q->sock, q->peer->address);
        if (exact)
            return GO_ON;
        return connect(q->sock, (const struct sockaddr *)&q->in, sizeof(q->in)) == 0 ? 0 : errno;
    }
    int failed = find_target(q, &to);
    if (failed)
        return failed;
    mh_sb_link_start(r, q->peer->address, &q->in, &to,
                     (struct mh_sb_ask){ notify_fd, q->n.id, q->sock });
    q->sock = -1;
    return -2;
}

static int
look(struct question *q, int notify_fd)
{
    const struct seccomp_data *d = &q->n.data;
    bool sends = d->nr == SYS_sendto;
    if (!read_address(q, d->args[sends ? 4 : 1], d->args[sends ? 5 : 2]))
        return GO_ON;
    if (sends) {
        make_own(q);
        return q->in.sin_addr.s_addr == q->peer->address ? GO_ON : ENETUNREACH;
    }
    q->sock = take_socket((pid_t)q->n.pid, (int)d->args[0]);
    socklen_t len = sizeof(q->type);
    if (q->sock < 0 || getsockopt(q->sock, SOL_SOCKET, SO_TYPE, &q->type, &len) != 0)
        return GO_ON; /* no socket: let the kernel say so */
    uint64_t id = q->n.id;
    if (notify_ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) != 0)
        return GO_ON; /* it has ended meanwhile: the descriptor may be somebody else's */
    if (d->nr == SYS_bind)
        return on_bind(q);
    q->blocks = !(fcntl(q->sock, F_GETFL) & O_NONBLOCK);
    return q->type == SOCK_STREAM ? connect_stream(q, notify_fd) : connect_datagram(q);
}

void
mh_sb_relay_question(struct mh_sb_peer *p, int notify_fd)
{
    struct question q = { .peer = p, .sock = -1 };
    if (notify_ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_RECV, &q.n) != 0)
        return; /* interrupted meanwhile */
    int error = look(&q, notify_fd);
    if (error != -2)
        answer(notify_fd, q.n.id, error);
    if (q.sock >= 0)
        (void)close(q.sock);
}
