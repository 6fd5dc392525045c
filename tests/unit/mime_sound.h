/* SPDX-License-Identifier: MIT */
/* mime_sound.h - what holds for every result of lib/mime, whatever the bytes; for checks and fuzzing
 */
#ifndef TESTS_UNIT_MIME_SOUND_H
#define TESTS_UNIT_MIME_SOUND_H

#include "lib/mime/mime.h"

/* NULL when `m`, which came from these bytes, is sound, else what is wrong with it. */
const char *mime_unsound(const char *raw, size_t len, const struct mime_message *m);

#endif
