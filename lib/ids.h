/* SPDX-License-Identifier: MIT */
/* ids.h - identifiers that order by time */
#ifndef LIB_IDS_H
#define LIB_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UUID_BYTES = 16, UUID_TEXT = 36 };

struct uuid {
	uint8_t bytes[UUID_BYTES];
};

/* Microseconds since 1970, UTC. */
int64_t now_us(void);
/* Microseconds that only ever grow, for waiting and for measuring. */
int64_t monotonic_us(void);

/* A version 7 UUID (RFC 9562, section 5.7) for that moment: 48 bits of milliseconds, then 12 bits
 * that count the ids a thread made within one millisecond (so a thread's ids never go backwards),
 * then 62 random bits. Any thread. */
struct uuid uuid7(int64_t at_us);

/* The least of all that moment's millisecond may have; what is below it is older. */
struct uuid uuid7_least(int64_t at_us);

/* The moment that a version 7 UUID holds, to the millisecond. */
int64_t uuid7_time_us(const struct uuid *id);

/* Lower-case 8-4-4-4-12 and a NUL. */
void uuid_format(const struct uuid *id, char out[UUID_TEXT + 1]);
/* Exactly that form, any case; false otherwise. */
bool uuid_parse(const char *s, size_t len, struct uuid *id_r);

/* Cryptographically strong. */
void random_bytes(void *p, size_t len);

#endif
