/* sock.h - options of sockets that clients make. Never fails. Only for core/net. */
#ifndef MH_NET_SOCK_H
#define MH_NET_SOCK_H

/* A peer that vanished is noticed by the kernel: unanswered data or probes for about 25 s. */
void mh_sock_watch(int fd);

#endif
