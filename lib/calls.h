/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every interposed call, once: X(type, name, (parameters), (arguments), ours).
 * wrap.c makes of each line the pointer to libc's function and the exported
 * wrapper "ours ? toe_NAME : libc's NAME".
 */
#ifndef CALLS_H
#define CALLS_H

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#define TOE_CALLS(X) \
	X(int, accept, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n), 1) \
	X(int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags), (fd, a, n, flags), 1) \
	X(int, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), 1) \
	X(ssize_t, read, (int fd, void *buf, size_t len), (fd, buf, len), sonode_get(fd)) \
	X(ssize_t, __read_chk, (int fd, void *buf, size_t len, size_t room), \
	  (fd, buf, len, room), sonode_get(fd)) \
	X(ssize_t, readv, (int fd, const struct iovec *iov, int n), (fd, iov, n), sonode_get(fd)) \
	X(ssize_t, preadv2, (int fd, const struct iovec *iov, int n, off_t off, int flags), \
	  (fd, iov, n, off, flags), sonode_get(fd)) \
	X(ssize_t, preadv64v2, (int fd, const struct iovec *iov, int n, off64_t off, int flags), \
	  (fd, iov, n, off, flags), sonode_get(fd)) \
	X(ssize_t, recv, (int fd, void *buf, size_t len, int flags), (fd, buf, len, flags), \
	  sonode_get(fd)) \
	X(ssize_t, __recv_chk, (int fd, void *buf, size_t len, size_t room, int flags), \
	  (fd, buf, len, room, flags), sonode_get(fd)) \
	X(ssize_t, recvfrom, (int fd, void *buf, size_t len, int flags, struct sockaddr *a, \
	  socklen_t *n), (fd, buf, len, flags, a, n), sonode_get(fd)) \
	X(ssize_t, __recvfrom_chk, (int fd, void *buf, size_t len, size_t room, int flags, \
	  struct sockaddr *a, socklen_t *n), (fd, buf, len, room, flags, a, n), sonode_get(fd)) \
	X(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags), \
	  sonode_get(fd) || has_control(m)) \
	X(int, recvmmsg, (int fd, struct mmsghdr *v, unsigned int n, int flags, struct timespec *ts), \
	  (fd, v, n, flags, ts), sonode_get(fd) || (n && has_control(&v->msg_hdr))) \
	X(ssize_t, write, (int fd, const void *buf, size_t len), (fd, buf, len), sonode_get(fd)) \
	X(ssize_t, writev, (int fd, const struct iovec *iov, int n), (fd, iov, n), sonode_get(fd)) \
	X(ssize_t, pwritev2, (int fd, const struct iovec *iov, int n, off_t off, int flags), \
	  (fd, iov, n, off, flags), sonode_get(fd)) \
	X(ssize_t, pwritev64v2, (int fd, const struct iovec *iov, int n, off64_t off, int flags), \
	  (fd, iov, n, off, flags), sonode_get(fd)) \
	X(ssize_t, send, (int fd, const void *buf, size_t len, int flags), (fd, buf, len, flags), \
	  sonode_get(fd)) \
	X(ssize_t, sendto, (int fd, const void *buf, size_t len, int flags, const struct sockaddr *a, \
	  socklen_t n), (fd, buf, len, flags, a, n), sonode_get(fd)) \
	X(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags), \
	  sonode_get(fd) || (has_control(m) && sonode_in_rights(m))) \
	X(int, sendmmsg, (int fd, struct mmsghdr *v, unsigned int n, int flags), (fd, v, n, flags), \
	  sonode_get(fd)) \
	X(ssize_t, sendfile, (int out, int in, off_t *off, size_t n), (out, in, off, n), \
	  sonode_get(out) || sonode_get(in)) \
	X(ssize_t, sendfile64, (int out, int in, off64_t *off, size_t n), (out, in, off, n), \
	  sonode_get(out) || sonode_get(in)) \
	X(ssize_t, splice, (int in, off64_t *ioff, int out, off64_t *ooff, size_t n, unsigned int fl), \
	  (in, ioff, out, ooff, n, fl), sonode_get(in) || sonode_get(out)) \
	X(ssize_t, vmsplice, (int fd, const struct iovec *iov, size_t n, unsigned int fl), \
	  (fd, iov, n, fl), sonode_get(fd)) \
	X(int, shutdown, (int fd, int how), (fd, how), sonode_get(fd)) \
	X(int, close, (int fd), (fd), slot_busy(fd)) \
	X(int, close_range, (unsigned int lo, unsigned int hi, int flags), (lo, hi, flags), 1) \
	X(void, closefrom, (int lo), (lo), 1) \
	X(int, dup, (int fd), (fd), sonode_get(fd) || epset_get(fd)) \
	X(int, dup2, (int from, int to), (from, to), sonode_get(from) || epset_get(from) || slot_busy(to)) \
	X(int, dup3, (int from, int to, int flags), (from, to, flags), \
	  sonode_get(from) || epset_get(from) || slot_busy(to)) \
	X(FILE *, fdopen, (int fd, const char *mode), (fd, mode), sonode_get(fd)) \
	X(int, vdprintf, (int fd, const char *fmt, va_list ap), (fd, fmt, ap), sonode_get(fd)) \
	X(int, __vdprintf_chk, (int fd, int flag, const char *fmt, va_list ap), \
	  (fd, flag, fmt, ap), sonode_get(fd)) \
	X(int, getsockopt, (int fd, int level, int opt, void *val, socklen_t *len), \
	  (fd, level, opt, val, len), sonode_get(fd)) \
	X(int, getpeername, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n), sonode_get(fd)) \
	X(int, getsockname, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n), sonode_get(fd)) \
	X(int, setsockopt, (int fd, int level, int opt, const void *val, socklen_t len), \
	  (fd, level, opt, val, len), sonode_get(fd)) \
	X(int, poll, (struct pollfd *fds, nfds_t n, int ms), (fds, n, ms), poll_ours(fds, n)) \
	X(int, __poll_chk, (struct pollfd *fds, nfds_t n, int ms, size_t room), \
	  (fds, n, ms, room), poll_ours(fds, n)) \
	X(int, ppoll, (struct pollfd *fds, nfds_t n, const struct timespec *ts, \
	  const sigset_t *mask), (fds, n, ts, mask), poll_ours(fds, n)) \
	X(int, __ppoll_chk, (struct pollfd *fds, nfds_t n, const struct timespec *ts, \
	  const sigset_t *mask, size_t room), (fds, n, ts, mask, room), poll_ours(fds, n)) \
	X(int, select, (int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *tv), \
	  (n, r, w, e, tv), select_ours(n, r, w, e)) \
	X(int, pselect, (int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *ts, \
	  const sigset_t *mask), (n, r, w, e, ts, mask), select_ours(n, r, w, e)) \
	X(int, epoll_create, (int size), (size), 1) \
	X(int, epoll_create1, (int flags), (flags), 1) \
	X(int, epoll_ctl, (int ep, int op, int fd, struct epoll_event *ev), (ep, op, fd, ev), 1) \
	X(int, epoll_wait, (int ep, struct epoll_event *ev, int n, int ms), (ep, ev, n, ms), \
	  epset_get(ep)) \
	X(int, epoll_pwait, (int ep, struct epoll_event *ev, int n, int ms, const sigset_t *mask), \
	  (ep, ev, n, ms, mask), epset_get(ep)) \
	X(int, epoll_pwait2, (int ep, struct epoll_event *ev, int n, const struct timespec *ts, \
	  const sigset_t *mask), (ep, ev, n, ts, mask), epset_get(ep)) \
	X(int, execve, (const char *path, char *const argv[], char *const envp[]), \
	  (path, argv, envp), 1) \
	X(int, execv, (const char *path, char *const argv[]), (path, argv), 1) \
	X(int, execvp, (const char *file, char *const argv[]), (file, argv), 1) \
	X(int, execvpe, (const char *file, char *const argv[], char *const envp[]), \
	  (file, argv, envp), 1) \
	X(int, fexecve, (int fd, char *const argv[], char *const envp[]), (fd, argv, envp), 1) \
	X(int, execveat, (int dir, const char *path, char *const argv[], char *const envp[], int fl), \
	  (dir, path, argv, envp, fl), 1) \
	X(int, posix_spawn, (pid_t *pid, const char *path, const posix_spawn_file_actions_t *fa, \
	  const posix_spawnattr_t *attr, char *const argv[], char *const envp[]), \
	  (pid, path, fa, attr, argv, envp), ld(&toe_proc->live)) \
	X(int, posix_spawnp, (pid_t *pid, const char *file, const posix_spawn_file_actions_t *fa, \
	  const posix_spawnattr_t *attr, char *const argv[], char *const envp[]), \
	  (pid, file, fa, attr, argv, envp), ld(&toe_proc->live)) \
	X(int, posix_spawn_file_actions_adddup2, (posix_spawn_file_actions_t *fa, int fd, int new), \
	  (fa, fd, new), sonode_get(fd)) \
	X(int, system, (const char *cmd), (cmd), cmd && ld(&toe_proc->live)) \
	X(FILE *, popen, (const char *cmd, const char *mode), (cmd, mode), ld(&toe_proc->live)) \
	X(int, io_uring_queue_init, (unsigned int n, void *ring, unsigned int fl), (n, ring, fl), 1) \
	X(int, io_uring_queue_init_params, (unsigned int n, void *ring, void *params), \
	  (n, ring, params), 1) \
	X(int, io_uring_setup, (unsigned int n, void *params), (n, params), 1)

/* The same for calls with a variable argument list: V(type, name, first parameter). */
#define TOE_CALLS_VA(V) \
	V(int, fcntl, int) \
	V(int, fcntl64, int) \
	V(int, ioctl, int) \
	V(int, dprintf, int) \
	V(int, __dprintf_chk, int) \
	V(int, execl, const char *) \
	V(int, execlp, const char *) \
	V(int, execle, const char *) \
	V(long, syscall, long)

#endif
