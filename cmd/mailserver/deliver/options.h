/* SPDX-License-Identifier: MIT */
/* options.h - what `mailserver deliver` was told: by flags, then by the environment */
#ifndef CMD_MAILSERVER_DELIVER_OPTIONS_H
#define CMD_MAILSERVER_DELIVER_OPTIONS_H

#include "cmd/mailserver/deliver/http.h"
#include "cmd/mailserver/deliver/outcome.h"

enum { DELIVER_TIMEOUT_S = 120, DELIVER_SPOOL_MIB = 1024 };

struct deliver_options {
	const char *url, *ca_file, *token, *token_file;
	const char *sender; /* NULL: not said */
	const char **recipients;
	size_t recipient_count;
	const char *orig_recipient, *client_address, *client_hostname, *client_helo, *queue_id;
	const char *spool;
	uint64_t spool_max_bytes;
	enum mta mta;
	long timeout_s;
	bool flush;
	bool has_envelope; /* by flags */
};

extern const char deliver_usage[];

/* False, with a text in `error_r`, for what cannot be meant; `mta` is then right nevertheless, if it
 * was said at all. The strings are argv's and the environment's. */
bool deliver_options_read(
	int argc, char **argv, struct deliver_options *options_r, char *error_r, size_t error_size);

/* The token, from where it was said to be (free() it); NULL with a text in `error_r`. */
char *deliver_token(const struct deliver_options *options, char *error_r, size_t error_size);

/* The fields of the POST that say who sent it to whom: into `headers`. False, with a text in
 * `error_r`, for a value that no field can hold. */
bool deliver_headers(const struct deliver_options *options, struct buf *headers, char *error_r,
	size_t error_size);

#endif
