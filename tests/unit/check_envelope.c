/* SPDX-License-Identifier: MIT */
/* envelope and json_message: who sent it to whom, from headers, from JSON, from the message */
#include "lib/envelope.h"
#include "lib/json_message.h"

#include <check.h>
#include <stdlib.h>

static struct arena *arena;
static struct envelope env;

static void setup(void)
{
	mime_init();
	arena = arena_new();
	env = (struct envelope){ .sender = NULL };
}

static void teardown(void)
{
	arena_free(&arena);
}

static struct slice str(const char *s)
{
	return slice_str(s);
}

START_TEST(null_sender_has_three_spellings)
{
	static const char *const spellings[] = { "", "<>", " <> ", "MAILER-DAEMON", "mailer-daemon",
		"<MAILER-DAEMON>" };

	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++)
		ck_assert_str_eq(envelope_sender(arena, str(spellings[i])), "");
	ck_assert_str_eq(envelope_sender(arena, str(" <a@example.org> ")), "a@example.org");
	ck_assert_str_eq(envelope_sender(arena, str("MAILER-DAEMON@example.org")),
		"MAILER-DAEMON@example.org");
}
END_TEST

START_TEST(recipients_are_split_at_commas_only_when_each_piece_is_an_address)
{
	envelope_add_recipients(arena, &env, str("a@x.org, <b@x.org>,c@x.org"));
	ck_assert_uint_eq(env.recipient_count, 3);
	ck_assert_str_eq(env.recipients[1], "b@x.org");
	envelope_add_recipients(arena, &env, str("\"d, e\"@x.org"));
	envelope_add_recipients(arena, &env, str("f, g@x.org"));
	envelope_add_recipients(arena, &env, str("  "));
	ck_assert_uint_eq(env.recipient_count, 5);
	ck_assert_str_eq(env.recipients[3], "\"d, e\"@x.org");
	ck_assert_str_eq(env.recipients[4], "f, g@x.org");
}
END_TEST

START_TEST(recipients_are_bounded_and_cleaned)
{
	for (int i = 0; i < ENVELOPE_MAX_RECIPIENTS + 10; i++)
		envelope_add_recipients(arena, &env, str("a\xff@x.org"));
	ck_assert_uint_eq(env.recipient_count, ENVELOPE_MAX_RECIPIENTS);
	ck_assert_str_eq(env.recipients[9999], "a\xef\xbf\xbd@x.org");
}
END_TEST

START_TEST(client_addresses_are_addresses_or_nothing)
{
	ck_assert_str_eq(envelope_client_address(arena, str("192.0.2.1")), "192.0.2.1");
	ck_assert_str_eq(envelope_client_address(arena, str("[2001:db8::1]")), "2001:db8::1");
	ck_assert_str_eq(envelope_client_address(arena, str("IPv6:2001:db8::1")), "2001:db8::1");
	ck_assert_ptr_null(envelope_client_address(arena, str("unknown")));
	ck_assert_ptr_null(envelope_client_address(arena, str("")));
	ck_assert_ptr_null(envelope_client_address(arena, str("192.0.2.256")));
}
END_TEST

START_TEST(gomails_swapped_headers_are_put_right)
{
	env.sender = "bob@example.com";
	envelope_add_recipients(arena, &env, str("unknown"));
	envelope_unswap(&env);
	ck_assert_uint_eq(env.recipient_count, 1);
	ck_assert_str_eq(env.recipients[0], "bob@example.com");
	ck_assert_ptr_null(env.sender);

	env = (struct envelope){ .sender = "a@example.org" };
	envelope_add_recipients(arena, &env, str("unknown@example.com"));
	envelope_unswap(&env);
	ck_assert_str_eq(env.sender, "a@example.org");
	ck_assert_str_eq(env.recipients[0], "unknown@example.com");
}
END_TEST

static void complete_from(const char *raw)
{
	struct mime_message *m = mime_parse(raw, strlen(raw), &mime_limits_default);
	envelope_complete(arena, &env, m);
	mime_message_free(&m);
}

START_TEST(what_the_mta_did_not_say_comes_from_the_message)
{
	complete_from("Return-Path: <bounce@example.org>\r\nDelivered-To: b@example.com\r\n"
		      "X-Original-To: c@example.com\r\nFrom: A <a@example.org>\r\n"
		      "To: d@example.com\r\n\r\nx\r\n");
	ck_assert_str_eq(env.sender, "bounce@example.org");
	ck_assert_uint_eq(env.recipient_count, 1);
	ck_assert_str_eq(env.recipients[0], "b@example.com");

	env = (struct envelope){ .sender = NULL };
	complete_from("From: \"A, B\" <a@example.org>\r\nTo: D <d@example.com>, e@example.com\r\n"
		      "\r\nx\r\n");
	ck_assert_str_eq(env.sender, "a@example.org");
	ck_assert_uint_eq(env.recipient_count, 2);
	ck_assert_str_eq(env.recipients[1], "e@example.com");

	env = (struct envelope){ .sender = NULL };
	complete_from("Subject: nobody\r\n\r\nx\r\n");
	ck_assert_str_eq(env.sender, "");
	ck_assert_uint_eq(env.recipient_count, 0);
}
END_TEST

START_TEST(what_the_mta_said_stands)
{
	env.sender = "";
	envelope_add_recipients(arena, &env, str("b@example.com"));
	complete_from("Return-Path: <r@example.org>\r\nDelivered-To: x@example.com\r\n\r\nx\r\n");
	ck_assert_str_eq(env.sender, "");
	ck_assert_uint_eq(env.recipient_count, 1);
	ck_assert_str_eq(env.recipients[0], "b@example.com");
}
END_TEST

static void digest_of(const char *sender, const char *const *recipients, size_t count,
	const char *queue_id, const char *key, uint8_t digest_r[SHA256_BYTES])
{
	static const uint8_t message[SHA256_BYTES] = { 1, 2, 3 };
	struct envelope e = {
		.sender = sender,
		.recipients = (const char **)recipients,
		.recipient_count = count,
		.queue_id = queue_id,
	};

	envelope_digest(
		&e, key != NULL ? slice_str(key) : (struct slice){ NULL, 0 }, message, digest_r);
}

START_TEST(digest_tells_envelopes_apart_but_not_the_order_of_recipients)
{
	const char *const ab[] = { "a@x", "b@x" }, *const ba[] = { "b@x", "a@x" };
	const char *const joined[] = { "a@xb@x" };
	uint8_t first[SHA256_BYTES], other[SHA256_BYTES];

	digest_of("s@x", ab, 2, "Q1", NULL, first);
	digest_of("s@x", ba, 2, "Q1", NULL, other);
	ck_assert(digest_equal(first, other));
	digest_of("t@x", ab, 2, "Q1", NULL, other);
	ck_assert(!digest_equal(first, other));
	digest_of("s@x", ab, 1, "Q1", NULL, other);
	ck_assert(!digest_equal(first, other));
	digest_of("s@x", joined, 1, "Q1", NULL, other);
	ck_assert(!digest_equal(first, other));
	digest_of("s@x", ab, 2, "Q2", NULL, other);
	ck_assert(!digest_equal(first, other));
	digest_of("s@x", ab, 2, NULL, NULL, other);
	ck_assert(!digest_equal(first, other));
}
END_TEST

START_TEST(digest_with_a_key_ignores_the_envelope)
{
	const char *const a[] = { "a@x" };
	uint8_t first[SHA256_BYTES], other[SHA256_BYTES];

	digest_of("s@x", a, 1, "Q1", "k", first);
	digest_of("t@x", a, 1, "Q2", "k", other);
	ck_assert(digest_equal(first, other));
	digest_of("s@x", a, 1, "Q1", "l", other);
	ck_assert(!digest_equal(first, other));
}
END_TEST

static bool read_json(const char *json, struct slice *raw_r, const char **details_r)
{
	return json_message_read(arena, slice_str(json), &env, raw_r, details_r);
}

START_TEST(json_gives_envelope_and_bytes)
{
	const char *details = NULL;
	struct slice raw;

	ck_assert(
		read_json("{\"sender\":\"<a@example.org>\",\"recipient\":[\"b@x.org\",\"c@x.org\"],"
			  "\"raw\":\"Subject: x\\r\\n\\r\\na\\u0000b\",\"connection\":"
			  "{\"client_address\":\"192.0.2.1\",\"client_hostname\":\"h\","
			  "\"client_helo\":\"e\"},\"unknown\":{}}",
			&raw, &details));
	ck_assert_uint_eq(raw.len, 17);
	ck_assert_mem_eq(raw.base, "Subject: x\r\n\r\na\0b", 17);
	ck_assert_str_eq(env.sender, "a@example.org");
	ck_assert_uint_eq(env.recipient_count, 2);
	ck_assert_str_eq(env.client_address, "192.0.2.1");
	ck_assert_str_eq(env.client_helo, "e");
}
END_TEST

START_TEST(json_without_raw_makes_the_same_minimal_message_each_time)
{
	static const char json[] = "{\"sender\":\"a@x.org\",\"recipient\":\"b@x.org\","
				   "\"subject\":\"Gr\\u00fc\\u00dfe\\r\\nBcc: evil@x.org\","
				   "\"body\":\"Hallo\"}";
	const char *details = NULL;
	struct slice raw, again;

	ck_assert(read_json(json, &raw, &details));
	env = (struct envelope){ .sender = NULL };
	ck_assert(read_json(json, &again, &details));
	ck_assert(slice_eq(raw, again));

	struct mime_message *m = mime_parse(raw.base, raw.len, &mime_limits_default);
	ck_assert_str_eq(m->from.list[0].address, "a@x.org");
	ck_assert_str_eq(m->to.list[0].address, "b@x.org");
	ck_assert_uint_eq(m->bcc.count, 0);
	ck_assert_ptr_nonnull(strstr(m->subject, "Gr\xc3\xbc\xc3\x9f"
						 "e"));
	ck_assert_str_eq(m->text, "Hallo");
	mime_message_free(&m);
}
END_TEST

START_TEST(json_that_is_none_or_has_wrong_types_is_refused_with_the_place)
{
	static const struct {
		const char *json, *details;
	} cases[] = {
		{ "{\"sender\":\"a\"", "line 1" },
		{ "{\"sender\":\"a\",\"recipient\":\"b\"} x", "line 1" },
		{ "[]", "object" },
		{ "{\"sender\":1,\"recipient\":\"b\"}", "\"field\":\"sender\"" },
		{ "{\"recipient\":1}", "\"field\":\"recipient\"" },
		{ "{\"recipient\":[\"a\",{}]}", "\"field\":\"recipient\"" },
		{ "{\"recipient\":\"b\",\"raw\":[]}", "\"field\":\"raw\"" },
		{ "{\"recipient\":\"b\",\"connection\":3}", "\"field\":\"connection\"" },
		{ "{\"recipient\":\"b\",\"connection\":{\"client_helo\":3}}",
			"connection.client_helo" },
		{ "{\"sender\":\"a@x.org\"}", "recipient" },
		{ "{\"sender\":\"a@x.org\",\"recipient\":[],\"raw\":\"\"}", "recipient" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *details = NULL;
		struct slice raw;
		env = (struct envelope){ .sender = NULL };
		ck_assert_msg(!read_json(cases[i].json, &raw, &details), "%s", cases[i].json);
		ck_assert_msg(strstr(details, cases[i].details) != NULL, "%s: %s", cases[i].json,
			details);
	}
}
END_TEST

START_TEST(json_with_bytes_that_are_not_utf8_is_taken_with_them_replaced)
{
	const char *details = NULL;
	struct slice raw;

	ck_assert(read_json("{\"recipient\":\"b@x.org\",\"raw\":\"caf\xe9\"}", &raw, &details));
	ck_assert(slice_eq(raw, SLICE_LIT("caf\xef\xbf\xbd")));
}
END_TEST

static const struct {
	const char *recipient, *tag;
} mailbox_tags[] = {
	{ "user+tag@example.org", "tag" },
	{ "user+a+b@example.org", "a+b" },
	{ "user+tag", "tag" },
	{ "\"user+big tag\"@example.org", "big tag" },
	{ "\"us\\\"er+t@g\"@example.org", "t@g" },
	{ "\"user\"+\"tag\"@example.org", "tag" },
	{ "user@example.org", NULL },
	{ "user@plus+example.org", NULL },
	{ "user+@example.org", NULL },
	{ "+tag@example.org", NULL },
	{ "\"user+tag", "tag" },
	{ "\"user\\", NULL },
	{ "@", NULL },
	{ "", NULL },
};

START_TEST(a_mailbox_tag_stands_behind_the_plus_of_the_local_part)
{
	const char *tag = envelope_mailbox_tag(arena, mailbox_tags[_i].recipient);

	ck_assert_pstr_eq(tag, mailbox_tags[_i].tag);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("envelope");
	TCase *tc = tcase_create("envelope");
	SRunner *sr = srunner_create(suite);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, null_sender_has_three_spellings);
	tcase_add_test(tc, recipients_are_split_at_commas_only_when_each_piece_is_an_address);
	tcase_add_test(tc, recipients_are_bounded_and_cleaned);
	tcase_add_test(tc, client_addresses_are_addresses_or_nothing);
	tcase_add_test(tc, gomails_swapped_headers_are_put_right);
	tcase_add_test(tc, what_the_mta_did_not_say_comes_from_the_message);
	tcase_add_test(tc, what_the_mta_said_stands);
	tcase_add_test(tc, digest_tells_envelopes_apart_but_not_the_order_of_recipients);
	tcase_add_test(tc, digest_with_a_key_ignores_the_envelope);
	tcase_add_test(tc, json_gives_envelope_and_bytes);
	tcase_add_test(tc, json_without_raw_makes_the_same_minimal_message_each_time);
	tcase_add_test(tc, json_that_is_none_or_has_wrong_types_is_refused_with_the_place);
	tcase_add_test(tc, json_with_bytes_that_are_not_utf8_is_taken_with_them_replaced);
	tcase_add_loop_test(tc, a_mailbox_tag_stands_behind_the_plus_of_the_local_part, 0,
		sizeof(mailbox_tags) / sizeof(mailbox_tags[0]));
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
