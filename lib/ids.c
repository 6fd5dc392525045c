/* SPDX-License-Identifier: MIT */
#include "lib/ids.h"
#include "lib/digest.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t clock_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t now_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

int64_t monotonic_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

void random_bytes(void *p, size_t len)
{
	if (RAND_bytes(p, (int)len) != 1)
		abort();
}

/* The time and the count, as one number of 60 bits, into their places around the version. */
static void put_time(struct uuid *id, uint64_t time)
{
	for (int i = 0; i < 6; i++)
		id->bytes[i] = (uint8_t)(time >> (52 - 8 * i));
	id->bytes[6] = (uint8_t)(0x70 | (time >> 8 & 0x0f));
	id->bytes[7] = (uint8_t)time;
}

struct uuid uuid7(int64_t at_us)
{
	/* The last id's time and count are one number, 48 + 12 bits, that only grows: a clock set
	 * back, or more than 4,096 ids in a millisecond, borrow from the future. */
	static __thread uint64_t last;
	uint64_t now = (uint64_t)(at_us / 1000) << 12;
	struct uuid id;

	last = now > last ? now : last + 1;
	random_bytes(id.bytes + 8, 8);
	put_time(&id, last);
	id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
	return id;
}

struct uuid uuid7_least(int64_t at_us)
{
	struct uuid id = { .bytes = { [8] = 0x80 } };

	put_time(&id, at_us > 0 ? (uint64_t)(at_us / 1000) << 12 : 0);
	return id;
}

int64_t uuid7_time_us(const struct uuid *id)
{
	int64_t ms = 0;

	for (int i = 0; i < 6; i++)
		ms = ms << 8 | id->bytes[i];
	return ms * 1000;
}

void uuid_format(const struct uuid *id, char out[UUID_TEXT + 1])
{
	static const uint8_t group[] = { 4, 2, 2, 2, 6 };
	const uint8_t *p = id->bytes;

	for (size_t g = 0; g < sizeof(group); g++) {
		hex_encode(p, group[g], out);
		p += group[g];
		out += 2 * group[g];
		*out++ = '-';
	}
	out[-1] = '\0';
}

bool uuid_parse(const char *s, size_t len, struct uuid *id_r)
{
	char hex[2 * UUID_BYTES + 1], *p = hex;
	struct uuid id;

	if (len != UUID_TEXT)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash != (s[i] == '-'))
			return false;
		if (!dash)
			*p++ = s[i];
	}
	*p = '\0';
	if (!hex_decode(hex, id.bytes, sizeof(id.bytes)))
		return false;
	*id_r = id;
	return true;
}
