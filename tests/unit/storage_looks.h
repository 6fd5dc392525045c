/* SPDX-License-Identifier: MIT */
/* storage_looks.h - what a record must say, given the sample that was put: to be passed to get() */
#ifndef TESTS_UNIT_STORAGE_LOOKS_H
#define TESTS_UNIT_STORAGE_LOOKS_H

#include "tests/unit/storage_fixture.h"

/* Every field as it was put. */
void looks_like(const struct storage_record *r, const struct sample *s);
/* The envelope as it was put, and nothing derived: the database refused that. */
void looks_bare(const struct storage_record *r, const struct sample *s);

/* It is found under its id, looks like it, and its raw bytes are the same. */
void assert_kept(const struct sample *s);

#endif
