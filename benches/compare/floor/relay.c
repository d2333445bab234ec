/* The least that a relay can do, for the step "floor" of benches/compare/run: one thread, epoll, edge-triggered, one read
 * and one write for each piece. It passes TCP connections on as they are, knows no HTTP, no frames, no limits, no log,
 * and checks nothing. What it costs is the kernel's share; what others cost beyond it is theirs.
 *
 *     relay LISTEN_PORT BACKEND_PORT
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SOCKETS = 65536, PIECE = 68 * 1024, EVENTS = 128 };

static int other[SOCKETS];               /* the socket on the other side, 0 if there is none */
static char *held[SOCKETS];              /* what this socket did not take */
static size_t held_len[SOCKETS];
static char memory[PIECE + 4096];        /* pieces begin in the middle of a page, as in src/relay/scratch.rs */

static struct sockaddr_in loopback(int port) {
    return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(int epoll, int socket, unsigned events) {
    struct epoll_event event = { .events = events, .data.fd = socket };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event)) die("epoll_ctl");
}

static void connect_through(int epoll, int listener, int backend) {
    int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK), upstream = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in to = loopback(backend);
    if (client < 0 || upstream < 0 || client >= SOCKETS || upstream >= SOCKETS) die("no sockets left");
    if (connect(upstream, (struct sockaddr *)&to, sizeof to)) die("connect");
    fcntl(upstream, F_SETFL, O_NONBLOCK);
    other[client] = upstream;
    other[upstream] = client;
    for (int i = 0; i < 2; i++) {
        int socket = i ? upstream : client;
        setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(epoll, socket, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    }
}

static void end(int socket) {
    int pair[] = { socket, other[socket] };
    for (int i = 0; i < 2; i++) {
        free(held[pair[i]]);
        held[pair[i]] = NULL;
        other[pair[i]] = 0;
        close(pair[i]);
    }
}

/* 0: all of it was taken. */
static int give(int socket, const char *bytes, size_t len) {
    ssize_t taken = send(socket, bytes, len, MSG_NOSIGNAL);
    if (taken < 0) taken = 0;
    if ((size_t)taken == len) return 0;
    char *rest = malloc(len - taken);
    memcpy(rest, bytes + taken, len - taken);
    free(held[socket]);
    held[socket] = rest;
    held_len[socket] = len - taken;
    return 1;
}

static void copy(int from) {
    char *piece = memory + 2048;
    while (!held[other[from]]) {
        ssize_t got = recv(from, piece, PIECE, 0);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) return end(from);
        if (give(other[from], piece, got) || got < PIECE) return;
    }
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "relay LISTEN_PORT BACKEND_PORT\n"), 2;
    int listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0), one = 1;
    struct sockaddr_in at = loopback(atoi(argv[1]));
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 1024)) die("listen");
    watch(epoll, listener, EPOLLIN);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int socket = events[i].data.fd;
            if (socket == listener) {
                connect_through(epoll, listener, atoi(argv[2]));
                continue;
            }
            if (other[socket] && held[socket] && events[i].events & EPOLLOUT) {
                char *bytes = held[socket];
                held[socket] = NULL;
                if (!give(socket, bytes, held_len[socket])) copy(other[socket]);
                free(bytes);
            }
            if (other[socket] && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) copy(socket);
        }
    }
}
