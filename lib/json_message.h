/* SPDX-License-Identifier: MIT */
/* json_message.h - a message that arrives as GoMail's JSON instead of as it is
 *
 * {"sender":…,"recipient":…|[…],"raw":…,"subject":…,"body":…,
 *  "connection":{"client_address":…,"client_hostname":…,"client_helo":…}}
 *
 * Without `raw`, a minimal message is made of sender, recipient, subject and body; it holds no date
 * and no id, so that the same JSON is always the same message. */
#ifndef LIB_JSON_MESSAGE_H
#define LIB_JSON_MESSAGE_H

#include "lib/envelope.h"

/* True, with what the JSON says put over what `env` holds, and the message's bytes in `*raw_r`.
 * False when the text is no JSON, has a value of the wrong type, or neither recipient nor raw:
 * `*details_r` is then JSON text, {"field":…,"error":…}. All in `arena`; `env` must have been
 * filled, if at all, before the call. NUL in a string (\u0000) is a byte like others; bytes that
 * are not UTF-8 are replaced, as JSON cannot carry them. */
bool json_message_read(struct arena *arena, struct slice body, struct envelope *env,
	struct slice *raw_r, const char **details_r);

#endif
