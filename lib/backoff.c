/* SPDX-License-Identifier: MIT */
#include "lib/backoff.h"
#include "lib/ids.h"

enum { FIRST_PAUSE_MS = 50, LONGEST_PAUSE_MS = 5000 };

uint64_t backoff_ms(unsigned doublings)
{
	uint64_t pause = FIRST_PAUSE_MS;
	uint16_t random;

	while (doublings-- > 0 && pause < LONGEST_PAUSE_MS)
		pause *= 2;
	if (pause > LONGEST_PAUSE_MS)
		pause = LONGEST_PAUSE_MS;
	random_bytes(&random, sizeof(random));
	return pause / 2 + pause / 2 * random / UINT16_MAX;
}
