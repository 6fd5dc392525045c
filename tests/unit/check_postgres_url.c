/* SPDX-License-Identifier: MIT */
/* What the Postgres driver decides by itself, without a server. */
#include "storage/postgres/conninfo.h"
#include "storage/postgres/trouble.h"

#include <check.h>
#include <stdlib.h>

static const struct {
	const char *url, *says;
} wrong_urls[] = {
	{ "hst=localhost dbname=mail", "hst" },
	{ "postgresql://localhost/mail?sslmod=require", "sslmod" },
	{ "postgresql://[::1/mail", "]" },
	{ "host=a,b port=1,2,3", "port" },
	{ "host=localhost port=http", "port" },
	{ "host=localhost port=65536", "port" },
	{ "host=a,b hostaddr=127.0.0.1", "hostaddr" },
};

static void assert_refused(const char *url, uint32_t statement_timeout_ms, const char *says)
{
	struct storage_settings set = { .url = url,
		.connect_timeout_ms = 1,
		.statement_timeout_ms = statement_timeout_ms,
		.connections = 1,
		.batch_messages = 1 };
	struct loop *loop = loop_new();
	struct storage *st = NULL;
	char *error = NULL;

	ck_assert_int_eq(storage_open(&set, loop, &st, &error), -1);
	ck_assert_ptr_null(st);
	ck_assert_msg(strstr(error, says) != NULL, "%s", error);
	free(error);
	loop_free(&loop);
}

START_TEST(wrong_url_is_refused_at_once)
{
	assert_refused(wrong_urls[_i].url, 1, wrong_urls[_i].says);
}
END_TEST

START_TEST(settings_that_cannot_work_are_refused)
{
	assert_refused("host=localhost", 0, "statement_timeout");
}
END_TEST

START_TEST(urls_and_keyword_strings_are_told_from_others)
{
	ck_assert(pg_conninfo_is("postgresql:///mail"));
	ck_assert(pg_conninfo_is("postgres://a,b/mail?target_session_attrs=any"));
	ck_assert(pg_conninfo_is("dbname=mail"));
	ck_assert(pg_conninfo_is("service = mail"));
	ck_assert(!pg_conninfo_is("sqlite:///var/mail.db?mode=rw"));
	ck_assert(!pg_conninfo_is("sqlite:/var/a=b.db"));
	ck_assert(!pg_conninfo_is("mysql://localhost/mail?a=b"));
	ck_assert(!pg_conninfo_is("mail.db"));
}
END_TEST

START_TEST(sqlstates_say_whose_trouble_it_is)
{
	ck_assert_int_eq(pg_trouble_of("22021"), PG_TROUBLE_MESSAGE);
	ck_assert_int_eq(pg_trouble_of("23505"), PG_TROUBLE_MESSAGE);
	ck_assert_int_eq(pg_trouble_of("54000"), PG_TROUBLE_MESSAGE);
	ck_assert_int_eq(pg_trouble_of("40P01"), PG_TROUBLE_CONFLICT);
	ck_assert_int_eq(pg_trouble_of("53100"), PG_TROUBLE_FULL);
	ck_assert_int_eq(pg_trouble_of("53300"), PG_TROUBLE_SERVER);
	ck_assert_int_eq(pg_trouble_of("42P01"), PG_TROUBLE_SERVER);
	ck_assert_int_eq(pg_trouble_of("57014"), PG_TROUBLE_SERVER);
	ck_assert_int_eq(pg_trouble_of(PG_READ_ONLY), PG_TROUBLE_SERVER);
	ck_assert_int_eq(pg_trouble_of(""), PG_TROUBLE_SERVER);
}
END_TEST

static Suite *postgres_suite(void)
{
	Suite *suite = suite_create("postgres, without a server");
	TCase *tc = tcase_create("by itself");

	tcase_add_loop_test(
		tc, wrong_url_is_refused_at_once, 0, sizeof(wrong_urls) / sizeof(wrong_urls[0]));
	tcase_add_test(tc, settings_that_cannot_work_are_refused);
	tcase_add_test(tc, urls_and_keyword_strings_are_told_from_others);
	tcase_add_test(tc, sqlstates_say_whose_trouble_it_is);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	SRunner *sr = srunner_create(postgres_suite());

	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
