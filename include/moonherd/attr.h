/* attr.h - compiler attributes under our own names. */
#ifndef MOONHERD_ATTR_H
#define MOONHERD_ATTR_H

#define MH_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define MH_MUST_USE __attribute__((warn_unused_result))
#define MH_NORETURN __attribute__((noreturn))
#define MH_UNUSED __attribute__((unused))

#endif
