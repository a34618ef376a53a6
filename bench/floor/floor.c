// The floor: the least that a server on epoll can do. It parses nothing, counts
// the ends of heads (CR LF CR LF, also across reads) and writes one fixed answer
// for each, all of a read's in one write. What a real server needs beyond this
// processor time is the price of its parser, its checks, its deadlines and its
// language.
//
//   floor -listen HOST:PORT [-close] [-defer] [-body FILE]
//
// -close  closes after the answers of a read, and says so in them
// -defer  is told of a connection only when it has spoken (TCP_DEFER_ACCEPT),
//         reads it at once, and lets epoll know of it only if it stays
// -body   answers what is in a file, in place of "Hello, World!"; it is read at
//         the start, and written from memory

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FD = 65536, MAX_EVENTS = 512, READ_SIZE = 65536, MAX_REPEATS = 256, MANY = 512 << 10, MAX_ACCEPTS = 64 };

static struct {
    size_t owed; // bytes of answers that are not yet written
    int matched; // bytes of CR LF CR LF that the last read ended with
} conns[MAX_FD];

static char *answers;     // one behind the other, so that one write has many
static size_t answer_len; // of one
static size_t repeats;    // of it in answers: as many as make MANY bytes
static int closing;       // -close
static int deferring;     // -defer
static int epoll;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(int op, int fd, uint32_t events) {
    struct epoll_event e = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, op, fd, &e) < 0) die("epoll_ctl");
}

// Reads a file into memory that is never freed.
static char *contents(const char *name, size_t *len) {
    struct stat st;
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) die(name);
    char *p = malloc(st.st_size + 1);
    if (!p) die("malloc");
    for (*len = 0; *len < (size_t)st.st_size;) {
        ssize_t n = read(fd, p + *len, st.st_size - *len);
        if (n <= 0) die(name);
        *len += n;
    }
    close(fd);
    return p;
}

// Makes answers of the size that the server under test has: its Server field
// has as many bytes as ours, and a Date always has 29.
static void make_answers(const char *file) {
    char head[256];
    const char *body = "Hello, World!";
    size_t body_len = strlen(body);
    if (file) body = contents(file, &body_len);
    size_t n = snprintf(head, sizeof head,
        "HTTP/1.1 200 OK\r\nServer: floor.c\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        "%sContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
        closing ? "Connection: close\r\n" : "", file ? "application/octet-stream" : "text/plain", body_len);
    answer_len = n + body_len;
    repeats = MANY / answer_len;
    if (repeats < 1) repeats = 1;
    if (repeats > MAX_REPEATS) repeats = MAX_REPEATS;
    answers = malloc(answer_len * repeats);
    if (!answers) die("malloc");
    for (char *a = answers; a < answers + answer_len * repeats; a += answer_len) {
        memcpy(a, head, n);
        memcpy(a + n, body, body_len);
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

// Writes what is owed, as far as the socket takes it. Returns what to wait for
// now, 0 if the connection has to be closed.
static uint32_t flush(int fd) {
    while (conns[fd].owed > 0) {
        size_t owed = conns[fd].owed;
        size_t from = (answer_len - owed % answer_len) % answer_len; // within an answer
        size_t most = answer_len * repeats - from;
        size_t part = owed < most ? owed : most;
        ssize_t n = write(fd, answers + from, part);
        if (n < 0) return errno == EAGAIN ? EPOLLOUT : 0;
        conns[fd].owed -= n;
        if ((size_t)n < part) return EPOLLOUT; // it is full: asking again is dear
    }
    return closing ? 0 : EPOLLIN;
}

// Takes a connection one step on: one read and one write, or, if that could not
// write all, the rest. Returns what flush does.
static uint32_t step(int fd, int writable) {
    static char buffer[READ_SIZE];
    if (writable) return flush(fd);
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EAGAIN) return EPOLLIN;
    if (n <= 0) return 0;
    conns[fd].owed = count_heads(buffer, buffer + n, &conns[fd].matched) * answer_len;
    return conns[fd].owed > 0 ? flush(fd) : EPOLLIN;
}

// Deals with an event on a connection.
static void serve(int fd, int writable) {
    uint32_t wanted = step(fd, writable);
    if (!wanted) close(fd);
    else if (wanted != (writable ? EPOLLOUT : EPOLLIN)) watch(EPOLL_CTL_MOD, fd, wanted);
}

// Takes one connection: an accept4 that finds nothing is dear, and the event
// comes again if there are more. With -defer twice as many as the last time, and
// one again after an accept4 that found nothing.
static void take(int listener) {
    static int most = 1;
    for (int i = 0; i < most; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            most = 1;
            return;
        }
        if (fd >= MAX_FD) {
            close(fd);
            continue;
        }
        conns[fd].owed = conns[fd].matched = 0;
        uint32_t wanted = deferring ? step(fd, 0) : EPOLLIN;
        if (wanted) watch(EPOLL_CTL_ADD, fd, wanted);
        else close(fd);
    }
    if (deferring && most < MAX_ACCEPTS) most *= 2;
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
    if (deferring && setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &one, sizeof one) < 0) die("TCP_DEFER_ACCEPT");
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
    const char *body = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "-close")) closing = 1;
        else if (!strcmp(argv[i], "-defer")) deferring = 1;
        else if (!strcmp(argv[i], "-listen") && i + 1 < argc) address = argv[++i];
        else if (!strcmp(argv[i], "-body") && i + 1 < argc) body = argv[++i];
        else {
            fprintf(stderr, "usage: floor [-listen HOST:PORT] [-close] [-defer] [-body FILE]\n");
            return 2;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    make_answers(body);
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
