/* SPDX-License-Identifier: MIT */
#include "lib/keyed.h"
#include "lib/digest.h"
#include "lib/ids.h"

#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

/* A longer name is known by its digest: nobody is mistaken for somebody else. */
enum { MAX_NAME = 64, LOOKS = 8 };

struct item {
	struct item *next;          /* of those with the same hash */
	struct item *newer, *older; /* by use */
	uint32_t slot;
	uint8_t name_len;
	char name[MAX_NAME];
	alignas(max_align_t) char entry[];
};

struct keyed {
	struct item **slots;
	uint32_t slot_count; /* a power of two */
	char *items;
	size_t max, used, item_bytes;
	struct item *newest, *oldest;
	uint64_t seed[2];
	keyed_worth_fn *worth;
};

struct keyed *keyed_new(size_t max, size_t size, keyed_worth_fn *worth)
{
	struct keyed *k = calloc(1, sizeof(*k));

	assert(max > 0);
	if (k == NULL)
		abort();
	size_t align = alignof(max_align_t);
	*k = (struct keyed){
		.slot_count = 1,
		.max = max,
		.item_bytes = (sizeof(struct item) + size + align - 1) / align * align,
		.worth = worth,
	};
	while (k->slot_count < max)
		k->slot_count *= 2;
	k->slots = calloc(k->slot_count, sizeof(k->slots[0]));
	k->items = calloc(max, k->item_bytes);
	if (k->slots == NULL || k->items == NULL)
		abort();
	random_bytes(k->seed, sizeof(k->seed));
	return k;
}

void keyed_free(struct keyed **k)
{
	if (*k == NULL)
		return;
	free((*k)->slots);
	free((*k)->items);
	free(*k);
	*k = NULL;
}

static struct slice short_name(struct slice name, uint8_t digest[SHA256_BYTES])
{
	if (name.len <= MAX_NAME)
		return name;
	sha256(name.base, name.len, digest);
	return (struct slice){ (const char *)digest, SHA256_BYTES };
}

static uint32_t slot_of(const struct keyed *k, struct slice name)
{
	uint64_t h = k->seed[0] ^ name.len;

	for (size_t i = 0; i < name.len; i += sizeof(uint64_t)) {
		uint64_t word = 0;
		size_t left = name.len - i;
		memcpy(&word, name.base + i, left < sizeof(word) ? left : sizeof(word));
		/* Both halves of the product, so that every bit reaches every other. */
		unsigned __int128 product = (unsigned __int128)(h ^ word) * (k->seed[1] | 1);
		h = (uint64_t)product ^ (uint64_t)(product >> 64);
	}
	return (uint32_t)(h >> 32) & (k->slot_count - 1);
}

static void age_unlink(struct keyed *k, struct item *item)
{
	*(item->newer != NULL ? &item->newer->older : &k->newest) = item->older;
	*(item->older != NULL ? &item->older->newer : &k->oldest) = item->newer;
}

static void age_newest(struct keyed *k, struct item *item)
{
	item->newer = NULL;
	item->older = k->newest;
	*(k->newest != NULL ? &k->newest->newer : &k->oldest) = item;
	k->newest = item;
}

void *keyed_find(struct keyed *k, struct slice name)
{
	uint8_t digest[SHA256_BYTES];

	name = short_name(name, digest);
	for (struct item *item = k->slots[slot_of(k, name)]; item != NULL; item = item->next) {
		if (!slice_eq(name, (struct slice){ item->name, item->name_len }))
			continue;
		if (item != k->newest) {
			age_unlink(k, item);
			age_newest(k, item);
		}
		return item->entry;
	}
	return NULL;
}

/* Of the oldest few the first that is spare, else the first that is not held. */
static struct item *evict(struct keyed *k, void *data)
{
	struct item *goes = NULL, *item = k->oldest;

	for (int i = 0; i < LOOKS && item != NULL; i++, item = item->newer) {
		enum keyed_worth worth = k->worth(item->entry, data);
		if (worth == KEYED_SPARE) {
			goes = item;
			break;
		}
		if (worth == KEYED_USED && goes == NULL)
			goes = item;
	}
	if (goes == NULL)
		return NULL;
	struct item **at = &k->slots[goes->slot];
	while (*at != goes)
		at = &(*at)->next;
	*at = goes->next;
	age_unlink(k, goes);
	return goes;
}

void *keyed_add(struct keyed *k, struct slice name, void *data)
{
	uint8_t digest[SHA256_BYTES];
	struct item *item;

	if (k->used < k->max)
		item = (struct item *)(k->items + k->item_bytes * k->used++);
	else
		item = evict(k, data);
	if (item == NULL)
		return NULL;
	memset(item, 0, k->item_bytes);
	name = short_name(name, digest);
	memcpy(item->name, name.base, name.len);
	item->name_len = (uint8_t)name.len;
	item->slot = slot_of(k, name);
	item->next = k->slots[item->slot];
	k->slots[item->slot] = item;
	age_newest(k, item);
	return item->entry;
}
