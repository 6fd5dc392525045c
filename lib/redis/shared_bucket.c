/* SPDX-License-Identifier: MIT */
#include "lib/redis/shared_bucket.h"
#include "lib/digest.h"
#include "lib/embed.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

EMBED(bucket_lua, "lib/redis/bucket.lua");

enum { MAX_KEY_BYTES = 256, MICRO = 1000 };

static const char key_prefix[] = "mailserver:bucket:";

static void on_reply(struct redis_command *command, const redisReply *reply);

/* Redis knows a script by its SHA-1. Hashing it anew takes a microsecond. */
static void script_id(char hex_r[2 * SHA_DIGEST_LENGTH + 1])
{
	uint8_t digest[SHA_DIGEST_LENGTH];

	SHA1((const uint8_t *)bucket_lua, strlen(bucket_lua), digest);
	hex_encode(digest, sizeof(digest), hex_r);
}

/* A name that is too long is told from others by its digest. */
static size_t format_key(char key[MAX_KEY_BYTES], struct slice name)
{
	size_t len = strlen(key_prefix);
	uint8_t digest[SHA256_BYTES];

	memcpy(key, key_prefix, len);
	if (len + name.len <= MAX_KEY_BYTES) {
		memcpy(key + len, name.base, name.len);
		return len + name.len;
	}
	sha256(name.base, name.len, digest);
	hex_encode(digest, SHA256_BYTES, key + len);
	return len + SHA256_HEX;
}

static bool send_ask(struct redis_link *link, struct shared_ask *ask)
{
	char id[2 * SHA_DIGEST_LENGTH + 1], key[MAX_KEY_BYTES], per_minute[16], burst[16],
		wanted[16];
	const char *argv[] = { "EVALSHA", id, "1", key, per_minute, burst, wanted };
	enum { ARGS = sizeof(argv) / sizeof(argv[0]) };
	size_t lengths[ARGS];

	script_id(id);
	snprintf(per_minute, sizeof(per_minute), "%u", ask->rate.per_minute);
	snprintf(burst, sizeof(burst), "%u", ask->rate.burst);
	snprintf(wanted, sizeof(wanted), "%u", ask->wanted);
	if (ask->in_full) {
		argv[0] = "EVAL";
		argv[1] = bucket_lua;
	}
	for (size_t i = 0; i < ARGS; i++)
		lengths[i] = argv[i] == key ? format_key(key, ask->name) : strlen(argv[i]);
	ask->command.done = on_reply;
	return redis_link_send(link, &ask->command, ARGS, argv, lengths);
}

static bool read_number(const redisReply *reply, uint64_t max, uint64_t *number_r)
{
	if (reply->type != REDIS_REPLY_INTEGER || reply->integer < 0 ||
		(uint64_t)reply->integer > max)
		return false;
	*number_r = (uint64_t)reply->integer;
	return true;
}

static bool read_answer(
	const struct shared_ask *ask, const redisReply *reply, struct shared_answer *answer_r)
{
	uint64_t given, tokens, fraction;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 ||
		!read_number(reply->element[0], ask->wanted, &given) ||
		!read_number(reply->element[1], ask->rate.burst, &tokens) ||
		!read_number(reply->element[2], BUCKET_TOKEN / MICRO, &fraction))
		return false;
	*answer_r = (struct shared_answer){
		.given = (uint32_t)given,
		.tokens = (uint32_t)tokens,
		.fraction = fraction * MICRO,
	};
	return true;
}

static void on_reply(struct redis_command *command, const redisReply *reply)
{
	struct shared_ask *ask = H2O_STRUCT_FROM_MEMBER(struct shared_ask, command, command);
	struct shared_answer answer;

	if (reply == NULL) {
		ask->done(ask, SHARED_LOST, NULL, NULL);
		return;
	}
	if (reply->type == REDIS_REPLY_ERROR && !ask->in_full &&
		strncmp(reply->str, "NOSCRIPT", strlen("NOSCRIPT")) == 0) {
		ask->in_full = true;
		if (!send_ask(command->link, ask))
			ask->done(ask, SHARED_LOST, NULL, NULL);
		return;
	}
	if (reply->type == REDIS_REPLY_ERROR) {
		ask->done(ask, SHARED_FAILED, NULL, reply->str);
	} else if (!read_answer(ask, reply, &answer)) {
		ask->done(ask, SHARED_FAILED, NULL, "an answer of another shape than the script's");
	} else {
		redis_link_proved(command->link);
		ask->done(ask, SHARED_OK, &answer, NULL);
	}
}

bool shared_bucket_ask(struct redis_link *link, struct shared_ask *ask)
{
	ask->in_full = false;
	return send_ask(link, ask);
}
