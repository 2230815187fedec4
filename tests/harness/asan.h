/* asan.h - WITH_ASAN is defined where the address sanitizer makes everything slow. */
#ifndef MH_TEST_ASAN_H
#define MH_TEST_ASAN_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN
#endif

#endif
