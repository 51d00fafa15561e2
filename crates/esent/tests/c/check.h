/* What the C tests share: a check that says where it failed. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                  \
        }                                                                             \
    } while (0)

#define EXPECT(expected, call)                                                                        \
    do {                                                                                              \
        long long check_want = (expected), check_got = (call);                                        \
        if (check_want != check_got) {                                                                            \
            fprintf(stderr, "%s:%d: %s gave %lld, not %lld\n", __FILE__, __LINE__, #call, check_got, check_want); \
            exit(1);                                                                                  \
        }                                                                                             \
    } while (0)

#endif
