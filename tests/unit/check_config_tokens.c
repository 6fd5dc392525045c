/* SPDX-License-Identifier: MIT */
/* The list of tokens, proxies and TLS files in the configuration. */
#include "tests/unit/config_fixture.h"

#include <stdlib.h>
#include <sys/stat.h>

#define DIGEST_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* --- lists of objects -------------------------------------------------------------------------- */

START_TEST(objects_of_a_list_have_their_types_and_defaults)
{
	const struct config *c = must_load("tokens:\n"
					   "  - name: postfix\n"
					   "    sha256: " DIGEST_A "\n"
					   "  - name: 0123\n"
					   "    tenant: acme.org\n"
					   "    scopes: read, admin\n"
					   "    sha256: " DIGEST_B "\n"
					   "    rate_limit_per_minute: \"60\"\n"
					   "    rate_limit_burst: 4294967295\n");

	ck_assert_uint_eq(c->tokens_count, 2);
	ck_assert_str_eq(c->tokens[0].name, "postfix");
	ck_assert_str_eq(c->tokens[0].tenant, "default");
	ck_assert_uint_eq(c->tokens[0].scopes_count, 1);
	ck_assert_str_eq(c->tokens[0].scopes[0], "ingest");
	ck_assert_str_eq(c->tokens[0].sha256, DIGEST_A);
	ck_assert_str_eq(c->tokens[0].token_file, "");
	ck_assert_uint_eq(c->tokens[0].rate_limit_burst, 0);
	ck_assert_str_eq(c->tokens[1].name, "0123");
	ck_assert_str_eq(c->tokens[1].tenant, "acme.org");
	ck_assert_uint_eq(c->tokens[1].scopes_count, 2);
	ck_assert_str_eq(c->tokens[1].scopes[1], "admin");
	ck_assert_uint_eq(c->tokens[1].rate_limit_per_minute, 60);
	ck_assert_uint_eq(c->tokens[1].rate_limit_burst, UINT32_MAX);
	ck_assert_uint_eq(warning_count(), 0);
}
END_TEST

START_TEST(no_list_is_an_empty_list)
{
	static const char *const yamls[] = { "", "tokens:", "tokens: []", "tokens: ''" };

	for (size_t i = 0; i < sizeof(yamls) / sizeof(yamls[0]); i++)
		ck_assert_uint_eq(must_load(yamls[i])->tokens_count, 0);
	assert_holds(shown_text(), "\ntokens: []  # default\n");
}
END_TEST

START_TEST(what_is_wrong_within_a_list_is_named_by_place_and_pointer)
{
	ck_assert_ptr_null(load("tokens:\n"
				"  - name: a\n"
				"    sha256: " DIGEST_A "\n"
				"    scopes: [read, write]\n"
				"  - name: b\n"
				"    tenant: two words\n"
				"    sha256: Qx77\n"));
	ck_assert_uint_eq(error_count(), 3);
	assert_holds(finding_at("/tokens/0/scopes/1")->message, "\"write\" is not known: use in");
	ck_assert_uint_eq(finding_at("/tokens/0/scopes/1")->line, 4);
	ck_assert_uint_eq(finding_at("/tokens/1/tenant")->line, 6);
	ck_assert_uint_eq(finding_at("/tokens/1/sha256")->line, 7);
	ck_assert_uint_eq(finding_at("/tokens/1/sha256")->column, 13);
	assert_holds(finding_at("/tokens/1/sha256")->message, "use the 64 hexadecimal digits");
}
END_TEST

START_TEST(what_is_no_object_of_the_list_is_refused)
{
	must_find_only("tokens: Qx77", "/tokens: the value is not a list: use a list of tokens");
	must_find_only("tokens: {name: a}", "/tokens: the value is not a list");
	must_find_only("tokens: [Qx77]", "/tokens/0: the value is not a section of keys");
	must_find_only("tokens: [~]", "/tokens/0: the value is not a section of keys");
	must_find_only(
		"tokens: [{sha256: " DIGEST_A "}]", "/tokens/0: the value has no name: use keys");
	must_find_only("tokens: [{name: a, sha256: " DIGEST_A ", scopes: []}]",
		"/tokens/0/scopes: the list is empty");
	must_find_only("tokens: [{name: a, sha256: " DIGEST_A ", scopes: [read, read]}]",
		"/tokens/0/scopes: the list names the same thing twice");
}
END_TEST

START_TEST(unknown_keys_of_objects_are_guessed)
{
	must_load("tokens: [{name: a, sha256: " DIGEST_A ", tennant: x}]");
	assert_holds(finding_at("/tokens/0/tennant")->message, "did you mean tokens.tenant?");
	ck_assert_uint_eq(warning_count(), 1);
}
END_TEST

START_TEST(a_list_of_objects_is_not_taken_from_the_environment)
{
	setenv("MAIL_TOKENS", "a", 1);
	ck_assert_uint_eq(must_load("")->tokens_count, 0);
	assert_holds(findings_text(), "environment MAIL_TOKENS: warning: /tokens: not used: ");
	unsetenv("MAIL_TOKENS");
}
END_TEST

/* --- tokens ------------------------------------------------------------------------------------ */

START_TEST(exactly_one_of_digest_and_file_is_set)
{
	must_find_only("tokens: [{name: a}]", "/tokens/0: neither sha256 nor token_file is set");
	must_find_only("tokens: [{name: a, sha256: " DIGEST_A ", token_file: /x}]",
		"/tokens/0/token_file: sha256 is set as well");
}
END_TEST

static const char *with_token_file(const char *token)
{
	return arena_printf(config_arena, "tokens: [{name: a, token_file: %s}]",
		write_file("token", token, strlen(token)));
}

START_TEST(a_token_file_becomes_a_digest)
{
	const char *digest = must_load(with_token_file(TOKEN "\r\n"))->tokens[0].sha256;

	ck_assert_uint_eq(strlen(digest), 64);
	ck_assert_uint_eq(warning_count(), 0);
	must_find_only(arena_printf(config_arena,
			       "tokens: [{name: a, token_file: %s}, {name: b, sha256: %s}]",
			       home_path("token"), digest),
		"/tokens/1/sha256: the same token as /tokens/0 (");
	must_load(with_token_file(TOKEN));
	ck_assert_int_eq(chmod(home_path("token"), 0644), 0);
	must_load(arena_printf(
		config_arena, "tokens: [{name: a, token_file: %s}]", home_path("token")));
	assert_holds(finding_at("/tokens/0/token_file")->message, "chmod 600");
}
END_TEST

START_TEST(unusable_token_files_of_the_list_are_errors)
{
	must_find_only(with_token_file("\n"), "holds no token");
	must_find_only(with_token_file("Qx77-short\n"), "use at least 16 characters");
	must_find_only(with_token_file(TOKEN "\n" TOKEN "\n"), "none of them a control character");
	assert_lacks(findings_text(), TOKEN);
	must_find_only("tokens: [{name: a, token_file: /absent/x}]",
		"/tokens/0/token_file: \"/absent/x\" cannot be read");
}
END_TEST

START_TEST(names_and_tokens_stand_once)
{
	ck_assert_ptr_null(
		load("tokens:\n"
		     "  - {name: a, sha256: " DIGEST_A "}\n"
		     "  - {name: b, sha256: " DIGEST_B "}\n"
		     "  - {name: a, sha256: "
		     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA}\n"));
	ck_assert_uint_eq(error_count(), 2);
	ck_assert_uint_eq(finding_at("/tokens/2/name")->line, 4);
	assert_holds(finding_at("/tokens/2/name")->message, "\"a\" is the name of /tokens/0 (");
	assert_holds(finding_at("/tokens/2/name")->message, ":2:12) already");
	assert_holds(finding_at("/tokens/2/sha256")->message, "the same token as /tokens/0 (");
}
END_TEST

START_TEST(bearer_token_is_one_of_them)
{
	const char *digest = must_load(with_token_file(TOKEN))->tokens[0].sha256;
	const char *yaml = arena_printf(
		config_arena, "bearer_token: " TOKEN "\ntokens: [{name: a, sha256: %s}]", digest);

	must_find_only(yaml, "/tokens/0/sha256: the same token as /bearer_token (");
	must_find_only("bearer_token: " TOKEN "\ntokens: [{name: bearer_token, sha256: " DIGEST_A
		       "}]",
		"\"bearer_token\" is the name of /bearer_token (");
}
END_TEST

START_TEST(one_listed_token_is_enough_for_the_server)
{
	static const char yaml[] = "tokens: [{name: a, sha256: " DIGEST_A "}]";
	struct config_request request = {
		.file = write_file("t.yaml", yaml, sizeof(yaml) - 1),
		.need_token = true,
	};

	ck_assert_ptr_nonnull(load_request(&request));
	ck_assert_uint_eq(warning_count(), 0);
}
END_TEST

START_TEST(tokens_are_shown_without_their_digests)
{
	const char *yaml = with_token_file(TOKEN);
	const char *digest = must_load(yaml)->tokens[0].sha256;

	assert_lacks(shown_text(), digest);
	assert_holds(shown_text(), "\ntokens:  # ");
	assert_holds(shown_text(), "\n  - name: a  # ");
	assert_holds(shown_text(), "\n    scopes: [\"ingest\"]  # default\n");
	assert_holds(shown_text(),
		arena_printf(config_arena, "\n    token_file: %s", home_path("token")));
	must_load("tokens: [{name: a, sha256: " DIGEST_A "}]");
	assert_lacks(shown_text(), DIGEST_A);
	assert_holds(shown_text(), "\n    sha256: \"(hidden)\"  # ");
}
END_TEST

/* --- proxies, sockets, TLS --------------------------------------------------------------------- */

START_TEST(trusted_proxies_are_addresses_and_ranges)
{
	const struct config *c = must_load("trusted_proxies: '10.0.0.0/8, ::1'");

	ck_assert_uint_eq(c->trusted_proxies_count, 2);
	ck_assert_str_eq(c->trusted_proxies[1], "::1");
	ck_assert(!c->proxy_protocol);
	ck_assert_uint_eq(must_load("")->trusted_proxies_count, 0);
	must_find_only("trusted_proxies: [proxy.example.org]", "/trusted_proxies/0: ");
	must_find_only("trusted_proxies: ['::1', 10.0.0.0/33]",
		"/trusted_proxies/1: \"10.0.0.0/33\" is neither an address nor a range");
}
END_TEST

START_TEST(proxy_protocol_without_proxies_is_warned_of)
{
	must_load("proxy_protocol: true\nbearer_token: " TOKEN);
	assert_holds(finding_at("/proxy_protocol")->message, "trusted_proxies is empty");
	must_load("proxy_protocol: true\ntrusted_proxies: ::1\nbearer_token: " TOKEN);
	ck_assert_uint_eq(warning_count(), 0);
}
END_TEST

START_TEST(socket_mode_is_octal_and_stays_as_it_was_written)
{
	ck_assert_str_eq(must_load("socket_mode: 0660")->socket_mode, "0660");
	ck_assert_str_eq(must_load("socket_mode: '600'")->socket_mode, "600");
	must_find_only("socket_mode: 0880", "/socket_mode: \"0880\" does not have the right form");
	must_find_only("socket_mode: rw", "use octal digits, such as 0660");
}
END_TEST

START_TEST(certificate_and_key_come_together)
{
	const struct config *c = must_load("tls: {cert_file: /c, key_file: /k}");

	ck_assert_str_eq(c->tls.cert_file, "/c");
	ck_assert_str_eq(c->tls.key_file, "/k");
	must_find_only("tls: {cert_file: /c}", "/tls/key_file: not set, but tls.cert_file is");
	must_find_only("tls: {key_file: /k}", "/tls/cert_file: not set, but tls.key_file is");
	ck_assert_str_eq(must_load("")->tls.cert_file, "");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("config_tokens");
	TCase *tc = config_tcase(s, "lists of objects");

	tcase_add_test(tc, objects_of_a_list_have_their_types_and_defaults);
	tcase_add_test(tc, no_list_is_an_empty_list);
	tcase_add_test(tc, what_is_wrong_within_a_list_is_named_by_place_and_pointer);
	tcase_add_test(tc, what_is_no_object_of_the_list_is_refused);
	tcase_add_test(tc, unknown_keys_of_objects_are_guessed);
	tcase_add_test(tc, a_list_of_objects_is_not_taken_from_the_environment);
	tc = config_tcase(s, "tokens");
	tcase_add_test(tc, exactly_one_of_digest_and_file_is_set);
	tcase_add_test(tc, a_token_file_becomes_a_digest);
	tcase_add_test(tc, unusable_token_files_of_the_list_are_errors);
	tcase_add_test(tc, names_and_tokens_stand_once);
	tcase_add_test(tc, bearer_token_is_one_of_them);
	tcase_add_test(tc, one_listed_token_is_enough_for_the_server);
	tcase_add_test(tc, tokens_are_shown_without_their_digests);
	tc = config_tcase(s, "proxies, sockets, TLS");
	tcase_add_test(tc, trusted_proxies_are_addresses_and_ranges);
	tcase_add_test(tc, proxy_protocol_without_proxies_is_warned_of);
	tcase_add_test(tc, socket_mode_is_octal_and_stays_as_it_was_written);
	tcase_add_test(tc, certificate_and_key_come_together);
	return config_run(s);
}
