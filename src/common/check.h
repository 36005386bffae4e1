#pragma once
// CHECK ends the process on our own mistakes. Never for input, disks or the network.

#include <cstdio>
#include <cstdlib>

#define CHECK(condition)                                                                      \
  do {                                                                                        \
    if (__builtin_expect(!(condition), 0)) {                                                  \
      std::fprintf(stderr, "BUG: %s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                           \
    }                                                                                         \
  } while (false)

#ifdef NDEBUG
#define DCHECK(condition) \
  do {                    \
    (void)sizeof(condition); \
  } while (false)
#else
#define DCHECK(condition) CHECK(condition)
#endif
