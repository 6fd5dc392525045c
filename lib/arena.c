/* SPDX-License-Identifier: MIT */
#include "lib/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ALIGN = _Alignof(max_align_t),
	FIRST_BLOCK = 4096,
	LARGEST_BLOCK = 256 * 1024, /* what is larger gets a block of its own */
};

struct block {
	struct block *next;
	size_t used, size;
	_Alignas(max_align_t) char data[];
};

struct arena {
	struct block *blocks; /* the first one is the one being filled */
	size_t next_size, footprint;
};

static void *must_alloc(size_t bytes)
{
	void *p = malloc(bytes);

	if (p == NULL) {
		fprintf(stderr, "out of memory (%zu bytes)\n", bytes);
		abort();
	}
	return p;
}

struct arena *arena_new(void)
{
	struct arena *arena = must_alloc(sizeof(*arena));

	*arena = (struct arena){ .next_size = FIRST_BLOCK, .footprint = sizeof(*arena) };
	return arena;
}

void arena_free(struct arena **arena)
{
	if (*arena == NULL)
		return;
	for (struct block *b = (*arena)->blocks, *next; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	free(*arena);
	*arena = NULL;
}

static struct block *block_add(struct arena *arena, size_t size)
{
	struct block *b = must_alloc(sizeof(*b) + size);

	*b = (struct block){ .size = size };
	arena->footprint += sizeof(*b) + size;
	return b;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
	struct block *b = arena->blocks;

	bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
	if (b != NULL && b->size - b->used >= bytes) {
		void *p = b->data + b->used;
		b->used += bytes;
		return p;
	}
	if (bytes > arena->next_size / 4) {
		/* Alone in its block, behind the one being filled, which goes on being filled. */
		struct block *own = block_add(arena, bytes);
		own->used = bytes;
		if (b == NULL) {
			arena->blocks = own;
		} else {
			own->next = b->next;
			b->next = own;
		}
		return own->data;
	}
	struct block *fresh = block_add(arena, arena->next_size);
	if (arena->next_size < LARGEST_BLOCK)
		arena->next_size *= 2;
	fresh->next = arena->blocks;
	fresh->used = bytes;
	arena->blocks = fresh;
	return fresh->data;
}

void *arena_zalloc(struct arena *arena, size_t bytes)
{
	return memset(arena_alloc(arena, bytes), 0, bytes);
}

void *arena_dup(struct arena *arena, const void *p, size_t bytes)
{
	void *copy = arena_alloc(arena, bytes);

	if (bytes > 0)
		memcpy(copy, p, bytes);
	return copy;
}

char *arena_strndup(struct arena *arena, const char *s, size_t len)
{
	char *copy = arena_alloc(arena, len + 1);

	if (len > 0)
		memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *arena_strdup(struct arena *arena, const char *s)
{
	return s != NULL ? arena_strndup(arena, s, strlen(s)) : NULL;
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
	va_list args, again;
	int len;
	char *s;

	va_start(args, fmt);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	s = arena_alloc(arena, (size_t)len + 1);
	vsnprintf(s, (size_t)len + 1, fmt, again);
	va_end(again);
	return s;
}

size_t arena_footprint(const struct arena *arena)
{
	return arena->footprint;
}
