/* Times picohttpparser on the inputs of httpparse/bench_test.go.
   cc -O2 -msse4.2 -I DIR harness.c DIR/picohttpparser.c -o pico-bench
   Prints ns per head: the least and the median of many short runs. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "picohttpparser.h"
#include "inputs.h"

enum { runs = 40, perRun = 2 * 1000 * 1000 /* ns */ };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

/* parse reads all the heads in s, as often as told. */
static void parse(const char *s, size_t n, long times) {
    while (times-- > 0) {
        for (size_t at = 0; at < n;) {
            const char *method, *path;
            size_t methodLen, pathLen, count = 100;
            int minor;
            struct phr_header headers[100];
            int got = phr_parse_request(s + at, n - at, &method, &methodLen, &path, &pathLen, &minor, headers, &count, 0);
            if (got <= 0) abort();
            __asm__ volatile("" : : "r"(headers) : "memory");
            at += got;
        }
    }
}

static int ascending(const void *a, const void *b) {
    double d = *(const double *)a - *(const double *)b;
    return (d > 0) - (d < 0);
}

static void measure(const char *name, const char *s, size_t n, int heads) {
    double ns[runs], start = now();
    parse(s, n, 1000);
    long times = 1 + (long)(perRun / ((now() - start) / 1000));
    for (int i = 0; i < runs; i++) {
        start = now();
        parse(s, n, times);
        ns[i] = (now() - start) / times / heads;
    }
    qsort(ns, runs, sizeof ns[0], ascending);
    printf("%-10s %5zu bytes  min %6.1f  median %6.1f ns a head\n", name, n, ns[0], ns[runs / 2]);
}

#define MEASURE(name, s, heads) measure(name, s, sizeof(s) - 1, heads)

int main(void) {
    MEASURE("small", SMALL, 1);
    MEASURE("browser", BROWSER, 1);
    MEASURE("cookies", COOKIES, 1);
    MEASURE("pipelined", PIPELINED, 16);
    return 0;
}
