// The floor: the least that a server on epoll can do. It parses nothing, counts
// the ends of heads (CR LF CR LF, also across reads) and writes one fixed answer
// for each, all of a read's in one write. What a real server needs beyond this
// processor time is the price of its parser, its checks, its deadlines and its
// language.
//
//   floor -listen HOST:PORT [-close] [-body N]
//
// -close  closes after the answers of a read, and says so in them
// -body   answers N times 'x' in place of "Hello, World!"

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 65536, MAX_EVENTS = 512, READ_SIZE = 65536, REPEATS = 256 };

static struct {
    size_t owed; // bytes of answers that are not yet written
    int matched; // bytes of CR LF CR LF that the last read ended with
} conns[MAX_FD];

static char *answers;     // REPEATS of them, so that one write has many
static size_t answer_len; // of one
static int closing;       // -close
static int epoll;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(int op, int fd, uint32_t events) {
    struct epoll_event e = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, op, fd, &e) < 0) die("epoll_ctl");
}

// Makes answers of the size that the server under test has: its Server field
// has as many bytes as ours, and a Date always has 29.
static void make_answers(int body_len) {
    char head[256];
    int n = snprintf(head, sizeof head,
        "HTTP/1.1 200 OK\r\nServer: floor.c\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        "%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
        closing ? "Connection: close\r\n" : "",
        body_len ? "application/octet-stream" : "text/plain", body_len ? body_len : 13);
    answer_len = n + (body_len ? body_len : 13);
    answers = malloc(answer_len * REPEATS);
    if (!answers) die("malloc");
    for (char *a = answers; a < answers + answer_len * REPEATS; a += answer_len) {
        memcpy(a, head, n);
        if (body_len) memset(a + n, 'x', body_len);
        else memcpy(a + n, "Hello, World!", 13);
    }
}

// Counts the ends of heads from p to end. What the last read ended with is in
// *matched, before and after.
static int count_heads(const char *p, const char *end, int *matched) {
    int count = 0, m = *matched;
    while (p < end) {
        if (m == 0) { // the usual case: memchr uses vectors
            p = memchr(p, '\r', end - p);
            if (!p) break;
            m = 1;
        } else if (*p == "\r\n\r\n"[m]) {
            if (++m == 4) count++, m = 0;
        } else {
            m = *p == '\r';
        }
        p++;
    }
    *matched = m;
    return count;
}

// Writes what is owed, as far as the socket takes it. Returns 1 if something is
// left, 0 if not, -1 if the connection has to be closed.
static int flush(int fd) {
    while (conns[fd].owed > 0) {
        size_t owed = conns[fd].owed;
        size_t from = (answer_len - owed % answer_len) % answer_len; // within an answer
        size_t most = answer_len * REPEATS - from;
        ssize_t n = write(fd, answers + from, owed < most ? owed : most);
        if (n < 0) return errno == EAGAIN ? 1 : -1;
        conns[fd].owed -= n;
    }
    return closing ? -1 : 0;
}

// Deals with an event on a connection: one read, one write.
static void serve(int fd, int writable) {
    static char buffer[READ_SIZE];
    if (!writable) {
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            close(fd);
            return;
        }
        conns[fd].owed = count_heads(buffer, buffer + n, &conns[fd].matched) * answer_len;
        if (conns[fd].owed == 0) return;
    }
    int left = flush(fd);
    if (left < 0) close(fd);
    else if (left != writable) watch(EPOLL_CTL_MOD, fd, left ? EPOLLOUT : EPOLLIN);
}

// Takes one connection: an accept4 that finds nothing is dear, and the event
// comes again if there are more.
static void take(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (fd >= MAX_FD) {
        close(fd);
        return;
    }
    conns[fd].owed = conns[fd].matched = 0;
    watch(EPOLL_CTL_ADD, fd, EPOLLIN);
}

// Listens on HOST:PORT and says where: port 0 is a free one.
static int listen_on(char *address) {
    char *colon = strrchr(address, ':');
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    if (!colon) goto bad;
    *colon = 0;
    a.sin_port = htons(atoi(colon + 1));
    if (inet_pton(AF_INET, address, &a.sin_addr) != 1) goto bad;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); // inherited
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0) die("bind");
    if (listen(fd, 65535) < 0) die("listen");
    getsockname(fd, (struct sockaddr *)&a, &len);
    printf("listening on %s:%d\n", address, ntohs(a.sin_port));
    fflush(stdout);
    return fd;
bad:
    fprintf(stderr, "floor: -listen wants an IPv4 address, a colon and a port\n");
    exit(2);
}

int main(int argc, char **argv) {
    char default_address[] = "127.0.0.1:8080", *address = default_address;
    int body_len = 0;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "-close")) closing = 1;
        else if (!strcmp(argv[i], "-listen") && i + 1 < argc) address = argv[++i];
        else if (!strcmp(argv[i], "-body") && i + 1 < argc) body_len = atoi(argv[++i]);
        else {
            fprintf(stderr, "usage: floor [-listen HOST:PORT] [-close] [-body N]\n");
            return 2;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    make_answers(body_len);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) die("epoll_create1");
    int listener = listen_on(address);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN);
    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        int n = epoll_wait(epoll, events, MAX_EVENTS, -1);
        if (n < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener) take(listener);
            else serve(events[i].data.fd, (events[i].events & EPOLLOUT) != 0);
        }
    }
}
