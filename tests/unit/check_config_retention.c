/* SPDX-License-Identifier: MIT */
/* How long mail is kept, in the configuration. */
#include "tests/unit/config_fixture.h"

#include <stdlib.h>

START_TEST(mail_is_kept_for_ever_and_keys_for_ten_days)
{
	const struct config *c = must_load("");

	ck_assert_uint_eq(c->retention.days, 0);
	ck_assert_uint_eq(c->retention.tenants_count, 0);
	ck_assert_uint_eq(c->retention.dedup_days, 10);
}
END_TEST

START_TEST(tenants_have_days_of_their_own)
{
	const struct config *c = must_load("retention:\n"
					   "  days: 365\n"
					   "  tenants:\n"
					   "    - tenant: acme.org\n"
					   "      days: '90'\n"
					   "    - {tenant: 0123, days: 0}\n"
					   "  dedup_days: 6\n");

	ck_assert_uint_eq(c->retention.days, 365);
	ck_assert_uint_eq(c->retention.tenants_count, 2);
	ck_assert_str_eq(c->retention.tenants[0].tenant, "acme.org");
	ck_assert_uint_eq(c->retention.tenants[0].days, 90);
	ck_assert_str_eq(c->retention.tenants[1].tenant, "0123");
	ck_assert_uint_eq(c->retention.tenants[1].days, 0);
	ck_assert_uint_eq(c->retention.dedup_days, 6);
	ck_assert_uint_eq(warning_count(), 1); /* the missing token */
}
END_TEST

START_TEST(days_come_from_the_environment_and_tenants_do_not)
{
	setenv("MAIL_RETENTION_DAYS", "30", 1);
	setenv("MAIL_RETENTION_DEDUP_DAYS", "20", 1);
	setenv("MAIL_RETENTION_TENANTS", "acme", 1);
	const struct config *c = must_load("retention: {days: 7, dedup_days: 7}");
	ck_assert_uint_eq(c->retention.days, 30);
	ck_assert_uint_eq(c->retention.dedup_days, 20);
	ck_assert_uint_eq(c->retention.tenants_count, 0);
	assert_holds(findings_text(),
		"environment MAIL_RETENTION_TENANTS: warning: /retention/tenants: not used: ");
	unsetenv("MAIL_RETENTION_DAYS");
	unsetenv("MAIL_RETENTION_DEDUP_DAYS");
	unsetenv("MAIL_RETENTION_TENANTS");
}
END_TEST

START_TEST(keys_outlive_the_patience_of_mtas)
{
	must_find_only("retention: {dedup_days: 5}",
		"/retention/dedup_days: 5 is out of range: use a number of days between 6 and");
}
END_TEST

START_TEST(days_are_whole_and_not_negative)
{
	must_find_only("retention: {days: -1}", "/retention/days: -1 is out of range");
	must_find_only("retention: {days: 1.5}", "/retention/days: 1.5 is not a whole number");
	must_find_only("retention: {days: 36501}", "/retention/days: 36501 is out of range");
	must_find_only("retention: {tenants: [{tenant: a, days: 1 week}]}",
		"/retention/tenants/0/days: \"1 week\" is not a whole number");
}
END_TEST

START_TEST(a_tenant_needs_a_name_and_days)
{
	must_find_only("retention: {tenants: [{tenant: a}]}",
		"/retention/tenants/0: a section of keys has no days: use keys below it");
	must_find_only("retention: {tenants: [{days: 1}]}",
		"/retention/tenants/0: a section of keys has no tenant");
	must_find_only("retention: {tenants: [{tenant: two words, days: 1}]}",
		"/retention/tenants/0/tenant: \"two words\" does not have the right form");
	must_find_only("retention: {tenants: [acme]}",
		"/retention/tenants/0: \"acme\" is not a section of keys");
	must_find_only("retention: {tenants: acme}", "/retention/tenants: \"acme\" is not a list");
}
END_TEST

START_TEST(a_tenant_stands_once)
{
	must_find_only("retention:\n"
		       "  tenants:\n"
		       "    - {tenant: acme, days: 1}\n"
		       "    - {tenant: other, days: 1}\n"
		       "    - {tenant: acme, days: 2}\n",
		"5:16: error: /retention/tenants/2/tenant: \"acme\" stands in the list already, in "
		"/retention/tenants/0 (");
	assert_holds(findings_text(), ":3:16): name each tenant once");
	must_load("retention: {tenants: [{tenant: acme, days: 1}, {tenant: Acme, days: 1}]}");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("config_retention");
	TCase *tc = config_tcase(s, "retention");

	tcase_add_test(tc, mail_is_kept_for_ever_and_keys_for_ten_days);
	tcase_add_test(tc, tenants_have_days_of_their_own);
	tcase_add_test(tc, days_come_from_the_environment_and_tenants_do_not);
	tcase_add_test(tc, keys_outlive_the_patience_of_mtas);
	tcase_add_test(tc, days_are_whole_and_not_negative);
	tcase_add_test(tc, a_tenant_needs_a_name_and_days);
	tcase_add_test(tc, a_tenant_stands_once);
	return config_run(s);
}
