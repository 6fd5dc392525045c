/* SPDX-License-Identifier: MIT */
/* the chain's decisions, without HTTP: routes, request ids, tokens, clients */
#include "middleware/auth.h"
#include "middleware/client.h"
#include "middleware/request_id.h"
#include "middleware/framing.h"
#include "middleware/router.h"
#include "middleware/trace.h"

#include <check.h>
#include <stdlib.h>

START_TEST(patterns_match_whole_paths_and_give_their_arguments)
{
	struct slice args[ROUTE_MAX_ARGS];

	ck_assert(route_matches("/health", slice_str("/health"), args));
	ck_assert(!route_matches("/health", slice_str("/health/"), args));
	ck_assert(!route_matches("/health", slice_str("/healthy"), args));
	ck_assert(!route_matches("/health/live", slice_str("/health"), args));
	ck_assert(route_matches("/api/emails/{id}/raw", slice_str("/api/emails/x-1/raw"), args));
	ck_assert(slice_eq(args[0], slice_str("x-1")));
	ck_assert(!route_matches("/api/emails/{id}", slice_str("/api/emails/"), args));
	ck_assert(!route_matches("/api/emails/{id}", slice_str("/api/emails/a/b"), args));
	ck_assert(route_matches("/e/{id}/p/{n}", slice_str("/e/1/p/22"), args));
	ck_assert(slice_eq(args[1], slice_str("22")));
}
END_TEST

START_TEST(request_ids_of_others_are_taken_only_when_sane)
{
	char longest[130];

	memset(longest, 'a', sizeof(longest));
	ck_assert(request_id_is_sane(slice_str("req_0123.A:z-9")));
	ck_assert(request_id_is_sane((struct slice){ longest, 128 }));
	ck_assert(!request_id_is_sane((struct slice){ longest, 129 }));
	ck_assert(!request_id_is_sane(slice_str("")));
	ck_assert(!request_id_is_sane(slice_str("a b")));
	ck_assert(!request_id_is_sane(slice_str("a\r\nX: y")));
	ck_assert(!request_id_is_sane(slice_str("\xc3\xbc")));
	ck_assert(!request_id_is_sane((struct slice){ "a\0b", 3 }));
}
END_TEST

static char ingest[] = "ingest", read_scope[] = "read", admin[] = "admin";

/* One bearer_token, and two of a list. */
static struct auth *make_auth(void)
{
	char first[SHA256_HEX + 1], second[SHA256_HEX + 1];
	uint8_t digest[SHA256_BYTES];
	char *first_scopes[] = { ingest }, *second_scopes[] = { read_scope, admin };

	sha256("second-token-002", 16, digest);
	hex_encode(digest, sizeof(digest), first);
	sha256("third-token-0003", 16, digest);
	hex_encode(digest, sizeof(digest), second);
	struct config_token tokens[] = {
		{ .name = (char[]){ "mta" },
			.tenant = (char[]){ "acme" },
			.scopes = first_scopes,
			.scopes_count = 1,
			.sha256 = first,
			.rate_limit_burst = 7 },
		{ .name = (char[]){ "web" },
			.tenant = (char[]){ "acme" },
			.scopes = second_scopes,
			.scopes_count = 2,
			.sha256 = second },
	};
	return auth_new(&(struct config){
		.bearer_token = (char[]){ "first-token-0001" },
		.rate_limit_per_minute = 6000,
		.rate_limit_burst = 1000,
		.tokens = tokens,
		.tokens_count = 2,
	});
}

static enum auth_verdict ask(struct auth *auth, const char *value, bool by_basic, enum scope needed,
	const struct principal **who_r)
{
	*who_r = NULL;
	return auth_check(auth, slice_str(value), by_basic, needed, who_r);
}

START_TEST(bearer_token_has_every_scope_and_the_default_tenant)
{
	static const char *const values[] = { "Bearer first-token-0001", "first-token-0001",
		"bearer  first-token-0001 " };
	struct auth *auth = make_auth();
	const struct principal *who;

	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(ask(auth, values[i], false, SCOPE_ALL, &who), AUTH_OK);
		ck_assert_str_eq(who->name, "bearer_token");
		ck_assert_str_eq(who->tenant, "default");
	}
	auth_release(&auth);
	ck_assert_ptr_null(auth);
}
END_TEST

START_TEST(listed_tokens_have_their_own_name_tenant_and_scopes)
{
	struct auth *auth = make_auth();
	const struct principal *who;

	ck_assert_int_eq(ask(auth, "Bearer second-token-002", false, SCOPE_INGEST, &who), AUTH_OK);
	ck_assert_str_eq(who->name, "mta");
	ck_assert_str_eq(who->tenant, "acme");
	ck_assert_uint_eq(who->burst, 7);
	ck_assert_int_eq(ask(auth, "second-token-002", false, SCOPE_READ, &who), AUTH_SCOPE);
	ck_assert_str_eq(who->name, "mta");
	ck_assert_int_eq(ask(auth, "third-token-0003", false, SCOPE_READ, &who), AUTH_OK);
	ck_assert_int_eq(ask(auth, "third-token-0003", false, SCOPE_ADMIN, &who), AUTH_OK);
	ck_assert_int_eq(ask(auth, "third-token-0003", false, SCOPE_INGEST, &who), AUTH_SCOPE);
	auth_release(&auth);
}
END_TEST

START_TEST(tokens_have_their_own_rate_or_the_usual_one)
{
	struct auth *auth = make_auth();
	const struct principal *who;

	ask(auth, "second-token-002", false, SCOPE_INGEST, &who);
	ck_assert_uint_eq(who->per_minute, 6000);
	ck_assert_uint_eq(who->burst, 7);
	ask(auth, "first-token-0001", false, SCOPE_INGEST, &who);
	ck_assert_uint_eq(who->per_minute, 6000);
	ck_assert_uint_eq(who->burst, 1000);
	auth_release(&auth);
}
END_TEST

START_TEST(other_tokens_are_unknown)
{
	static const char *const values[] = { "Bearer", "Bearer ", "Bearer first-token-000",
		"Bearer first-token-00011", "Bearerfirst-token-0001", "Basic first-token-0001",
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" };
	struct auth *auth = make_auth();
	const struct principal *who;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		ck_assert_msg(ask(auth, values[i], true, SCOPE_INGEST, &who) == AUTH_INVALID, "%s",
			values[i]);
		ck_assert_ptr_null(who);
	}
	ck_assert_int_eq(ask(auth, "", false, SCOPE_INGEST, &who), AUTH_MISSING);
	ck_assert_int_eq(ask(auth, " ", false, SCOPE_INGEST, &who), AUTH_MISSING);
	ck_assert_int_eq(ask(auth, NULL, false, SCOPE_INGEST, &who), AUTH_MISSING);
	auth_release(&auth);
}
END_TEST

/* printf actionmailbox:second-token-002 | base64 */
static const char basic[] = "Basic YWN0aW9ubWFpbGJveDpzZWNvbmQtdG9rZW4tMDAy";

START_TEST(basic_credentials_are_taken_where_they_are_expected)
{
	struct auth *auth = make_auth();
	const struct principal *who;

	ck_assert_int_eq(ask(auth, basic, true, SCOPE_INGEST, &who), AUTH_OK);
	ck_assert_str_eq(who->name, "mta");
	ck_assert_int_eq(ask(auth, basic, true, SCOPE_READ, &who), AUTH_SCOPE);
	ck_assert_int_eq(ask(auth, basic, false, SCOPE_INGEST, &who), AUTH_INVALID);
	ck_assert_int_eq(ask(auth, "Bearer second-token-002", true, SCOPE_INGEST, &who), AUTH_OK);
	auth_release(&auth);
}
END_TEST

START_TEST(broken_basic_credentials_are_unknown)
{
	static const char *const values[] = {
		"Basic",
		"Basic ",
		"Basic !",
		"Basic YWN0aW9ubWFpbGJveA==",                    /* no colon */
		"Basic YWN0aW9ubWFpbGJveDo=",                    /* no token */
		"Basic b3RoZXI6c2Vjb25kLXRva2VuLTAwMg==",        /* other:second-token-002 */
		"Basic YWN0aW9ubWFpbGJveDpzZWNvbmQtdG9rZW4tMDA", /* cut */
		"Basic YWN0aW9ubWFpbGJveDpzZWNvbmQtdG9rZW4tMDAy====",
	};
	struct auth *auth = make_auth();
	const struct principal *who;
	char longest[20000];

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		ck_assert_msg(ask(auth, values[i], true, SCOPE_INGEST, &who) == AUTH_INVALID, "%s",
			values[i]);
	memset(longest, 'A', sizeof(longest));
	memcpy(longest, "Basic ", 6);
	ck_assert_int_eq(auth_check(auth, (struct slice){ longest, sizeof(longest) }, true,
				 SCOPE_INGEST, &who),
		AUTH_INVALID);
	auth_release(&auth);
}
END_TEST

START_TEST(no_token_lets_nobody_in)
{
	struct auth *auth = auth_new(&(struct config){ .bearer_token = (char[]){ "" } });
	const struct principal *who;

	ck_assert_int_eq(ask(auth, "Bearer ", false, SCOPE_INGEST, &who), AUTH_INVALID);
	ck_assert_int_eq(ask(auth, "x", false, SCOPE_INGEST, &who), AUTH_INVALID);
	auth_release(&auth);
}
END_TEST

/* --- who the client is ------------------------------------------------------------------------- */

/* With 10.0.0.0/8 and ::1 trusted; `forwarded` are header values, ended by NULL. */
static const char *client_of(
	const char *peer_text, const char *const *forwarded, const char *real_ip)
{
	static char text[IP_TEXT];
	struct cidr ranges[2];
	struct cidr_list trusted = { ranges, 2 };
	struct slice values[8];
	struct ip peer, found;
	size_t count = 0;

	ck_assert(cidr_parse(slice_str("10.0.0.0/8"), &ranges[0]));
	ck_assert(cidr_parse(slice_str("::1"), &ranges[1]));
	ck_assert(ip_parse(slice_str(peer_text), &peer));
	for (; forwarded[count] != NULL; count++)
		values[count] = slice_str(forwarded[count]);
	found = client_find(&trusted, peer, values, count, slice_str(real_ip));
	ip_format(&found, text);
	return text;
}

#define FORWARDED(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NOT_FORWARDED  ((const char *const[]){ NULL })

START_TEST(what_a_stranger_claims_is_not_believed)
{
	ck_assert_str_eq(client_of("192.0.2.1", FORWARDED("203.0.113.9"), NULL), "192.0.2.1");
	ck_assert_str_eq(client_of("192.0.2.1", NOT_FORWARDED, "203.0.113.9"), "192.0.2.1");
	ck_assert_str_eq(client_of("192.0.2.1", FORWARDED("10.0.0.1"), "10.0.0.1"), "192.0.2.1");
}
END_TEST

START_TEST(the_rightmost_untrusted_address_is_the_client)
{
	ck_assert_str_eq(client_of("10.0.0.1", FORWARDED("203.0.113.9"), NULL), "203.0.113.9");
	ck_assert_str_eq(
		client_of("::1", FORWARDED("198.51.100.1, 203.0.113.9"), NULL), "203.0.113.9");
	ck_assert_str_eq(client_of("10.0.0.1", FORWARDED("1.1.1.1,203.0.113.9 ,\t10.2.2.2"), NULL),
		"203.0.113.9");
	ck_assert_str_eq(
		client_of("10.0.0.1", FORWARDED("1.1.1.1", "203.0.113.9", "10.2.2.2"), "8.8.8.8"),
		"203.0.113.9");
	ck_assert_str_eq(client_of("10.0.0.1", FORWARDED("2001:db8::7, ::1"), NULL), "2001:db8::7");
}
END_TEST

START_TEST(when_all_are_trusted_the_farthest_is_the_client)
{
	ck_assert_str_eq(client_of("10.0.0.1", FORWARDED("10.0.0.3, 10.0.0.2"), NULL), "10.0.0.3");
	ck_assert_str_eq(client_of("10.0.0.1", NOT_FORWARDED, NULL), "10.0.0.1");
}
END_TEST

START_TEST(addresses_with_ports_are_understood)
{
	ck_assert_str_eq(client_of("10.0.0.1", FORWARDED("203.0.113.9:4711"), NULL), "203.0.113.9");
	ck_assert_str_eq(
		client_of("10.0.0.1", FORWARDED("[2001:db8::7]:4711"), NULL), "2001:db8::7");
	ck_assert_str_eq(client_of("10.0.0.1", FORWARDED("[2001:db8::7]"), NULL), "2001:db8::7");
}
END_TEST

START_TEST(what_is_no_address_ends_the_search)
{
	ck_assert_str_eq(client_of("10.0.0.1", FORWARDED("unknown"), NULL), "10.0.0.1");
	ck_assert_str_eq(
		client_of("10.0.0.1", FORWARDED("1.1.1.1, unknown, 10.0.0.2"), NULL), "10.0.0.2");
	ck_assert_str_eq(client_of("10.0.0.1", FORWARDED("1.1.1.1, "), NULL), "10.0.0.1");
	ck_assert_str_eq(client_of("10.0.0.1", FORWARDED(""), NULL), "10.0.0.1");
	ck_assert_str_eq(client_of("10.0.0.1", FORWARDED("["), NULL), "10.0.0.1");
}
END_TEST

START_TEST(real_ip_counts_when_nothing_was_forwarded)
{
	ck_assert_str_eq(client_of("10.0.0.1", NOT_FORWARDED, " 203.0.113.9"), "203.0.113.9");
	ck_assert_str_eq(client_of("10.0.0.1", NOT_FORWARDED, "who knows"), "10.0.0.1");
	ck_assert_str_eq(client_of("10.0.0.1", FORWARDED("1.1.1.1"), "203.0.113.9"), "1.1.1.1");
}
END_TEST

#define TRACE  "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

START_TEST(traceparents_are_taken_only_when_well_formed)
{
	static const char *const good[] = { "00-" TRACE "-" PARENT "-01",
		" 00-" TRACE "-" PARENT "-00 ", "cc-" TRACE "-" PARENT "-01-more" };
	static const char *const bad[] = { "", "00-" TRACE "-" PARENT, "ff-" TRACE "-" PARENT "-01",
		"00-" TRACE "-" PARENT "-01-more", "00-" TRACE "-" PARENT "-01x",
		"00-00000000000000000000000000000000-" PARENT "-01",
		"00-" TRACE "-0000000000000000-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01", "00_" TRACE "_" PARENT "_01",
		"0-" TRACE "-" PARENT "-01" };
	struct slice trace, parent;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_msg(
			traceparent_parse(slice_str(good[i]), &trace, &parent), "%s", good[i]);
		ck_assert(slice_eq(trace, SLICE_LIT(TRACE)));
		ck_assert(slice_eq(parent, SLICE_LIT(PARENT)));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!traceparent_parse(slice_str(bad[i]), &trace, &parent), "%s", bad[i]);
	ck_assert(!traceparent_parse((struct slice){ NULL, 0 }, &trace, &parent));
}
END_TEST

START_TEST(heads_that_two_programs_could_read_differently_are_faulty)
{
	static const struct {
		const char *fields, *fault;
	} cases[] = {
		{ "Host: x\r\nContent-Length: 5\r\n", NULL },
		{ "Transfer-Encoding: chunked\r\n", NULL },
		{ "X-Content-Length: 5\r\nContent-Lengthy: 6\r\nContent-Length: 5\r\n", NULL },
		{ "Content-Length: 5\r\ncontent-length: 6\r\n", "Content-Length" },
		{ "Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length" },
		{ "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "beside" },
		{ "Transfer-Encoding: chunked\r\nTRANSFER-ENCODING: chunked\r\n", "Transfer" },
		{ "X: a\r\n b\r\n", "folded" },
		{ "X: a\r\n\tContent-Length: 5\r\n", "folded" },
		{ "X: a\nContent-Length: 5\r\n", "bare LF" },
		{ "X: a\rContent-Length: 5\r\n", "bare CR" },
	};
	char head[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(head, sizeof(head), "POST / HTTP/1.1\r\n%s\r\n", cases[i].fields);
		const char *fault = framing_fault(slice_str(head));
		if (cases[i].fault == NULL)
			ck_assert_msg(fault == NULL, "%s: %s", head, fault);
		else
			ck_assert_msg(
				fault != NULL && strstr(fault, cases[i].fault) != NULL, "%s", head);
	}
	/* What follows the head is none of its business. */
	ck_assert_ptr_null(framing_fault(slice_str("GET / HTTP/1.1\r\n\r\na\n b\n")));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("middleware");
	TCase *tc = tcase_create("middleware");
	SRunner *sr = srunner_create(suite);

	tcase_add_test(tc, patterns_match_whole_paths_and_give_their_arguments);
	tcase_add_test(tc, request_ids_of_others_are_taken_only_when_sane);
	tcase_add_test(tc, traceparents_are_taken_only_when_well_formed);
	tcase_add_test(tc, heads_that_two_programs_could_read_differently_are_faulty);
	tcase_add_test(tc, bearer_token_has_every_scope_and_the_default_tenant);
	tcase_add_test(tc, listed_tokens_have_their_own_name_tenant_and_scopes);
	tcase_add_test(tc, tokens_have_their_own_rate_or_the_usual_one);
	tcase_add_test(tc, other_tokens_are_unknown);
	tcase_add_test(tc, basic_credentials_are_taken_where_they_are_expected);
	tcase_add_test(tc, broken_basic_credentials_are_unknown);
	tcase_add_test(tc, no_token_lets_nobody_in);
	tcase_add_test(tc, what_a_stranger_claims_is_not_believed);
	tcase_add_test(tc, the_rightmost_untrusted_address_is_the_client);
	tcase_add_test(tc, when_all_are_trusted_the_farthest_is_the_client);
	tcase_add_test(tc, addresses_with_ports_are_understood);
	tcase_add_test(tc, what_is_no_address_ends_the_search);
	tcase_add_test(tc, real_ip_counts_when_nothing_was_forwarded);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
