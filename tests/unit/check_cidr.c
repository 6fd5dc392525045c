/* SPDX-License-Identifier: MIT */
/* addresses and ranges */
#include "lib/cidr.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>

static struct ip ip(const char *text)
{
	struct ip parsed;

	ck_assert_msg(ip_parse(slice_str(text), &parsed), "%s", text);
	return parsed;
}

static bool holds(const char *range, const char *address)
{
	struct ip parsed = ip(address);
	struct cidr cidr;

	ck_assert_msg(cidr_parse(slice_str(range), &cidr), "%s", range);
	return cidr_contains(&cidr, &parsed);
}

START_TEST(addresses_are_written_as_they_are_usually_written)
{
	static const char *const cases[][2] = {
		{ "192.0.2.1", "192.0.2.1" },
		{ "2001:DB8:0:0:0:0:0:1", "2001:db8::1" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "::", "::" },
	};
	char text[IP_TEXT];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip parsed = ip(cases[i][0]);
		ip_format(&parsed, text);
		ck_assert_str_eq(text, cases[i][1]);
	}
}
END_TEST

START_TEST(what_is_no_address_is_refused)
{
	static const char *const cases[] = { "", "192.0.2", "192.0.2.256", "192.0.2.1 ", "[::1]",
		"::1%lo", "192.0.2.1:80", "localhost", "1::2::3", "192.0.2.01",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999" };
	struct ip ignored;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(!ip_parse(slice_str(cases[i]), &ignored), "%s", cases[i]);
	ck_assert(!ip_parse((struct slice){ "192.0.2.1\0x", 11 }, &ignored));
	ck_assert(!ip_parse((struct slice){ NULL, 0 }, &ignored));
}
END_TEST

START_TEST(ranges_hold_what_begins_alike)
{
	ck_assert(holds("10.0.0.0/8", "10.255.0.1"));
	ck_assert(!holds("10.0.0.0/8", "11.0.0.0"));
	ck_assert(holds("192.0.2.128/25", "192.0.2.255"));
	ck_assert(!holds("192.0.2.128/25", "192.0.2.127"));
	ck_assert(holds("192.0.2.1", "192.0.2.1"));
	ck_assert(!holds("192.0.2.1", "192.0.2.0"));
	ck_assert(holds("192.0.2.1/32", "192.0.2.1"));
	ck_assert(holds("2001:db8::/33", "2001:db8:7fff::1"));
	ck_assert(!holds("2001:db8::/33", "2001:db8:8000::1"));
	ck_assert(holds("::1", "::1"));
	ck_assert(holds("10.1.2.3/8", "10.9.9.9"));
}
END_TEST

START_TEST(a_range_of_one_family_holds_none_of_the_other)
{
	ck_assert(holds("0.0.0.0/0", "203.0.113.9"));
	ck_assert(!holds("0.0.0.0/0", "2001:db8::1"));
	ck_assert(holds("::/0", "2001:db8::1"));
	ck_assert(!holds("::/0", "203.0.113.9"));
}
END_TEST

START_TEST(mapped_addresses_are_the_ipv4_ones)
{
	ck_assert(holds("192.0.2.0/24", "::ffff:192.0.2.9"));
	ck_assert(holds("::ffff:192.0.2.0/120", "192.0.2.9"));
	ck_assert(!holds("::ffff:192.0.2.0/120", "192.0.3.9"));
}
END_TEST

START_TEST(what_is_no_range_is_refused)
{
	static const char *const cases[] = { "", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129",
		"10.0.0.0/8/8", "10.0.0.0/-1", "10.0.0.0/ 8", "10.0.0.0/0008", "10.0.0.0/x",
		"10.0.0.0/255.0.0.0" };
	struct cidr ignored;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(!cidr_parse(slice_str(cases[i]), &ignored), "%s", cases[i]);
}
END_TEST

START_TEST(sockets_tell_their_address)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr un = { .sa_family = AF_UNIX };
	struct ip found, wanted = ip("192.0.2.1");

	ck_assert(ip_of_sockaddr((struct sockaddr *)&v4, &found));
	ck_assert_mem_eq(&found, &wanted, sizeof(found));
	ck_assert(ip_of_sockaddr((struct sockaddr *)&v6, &found));
	wanted = ip("::1");
	ck_assert_mem_eq(&found, &wanted, sizeof(found));
	ck_assert(!ip_of_sockaddr(&un, &found));
}
END_TEST

START_TEST(a_list_holds_what_one_of_it_holds)
{
	struct cidr ranges[2];
	struct cidr_list list = { ranges, 2 };
	struct ip inside = ip("::1"), outside = ip("::2");

	ck_assert(cidr_parse(slice_str("10.0.0.0/8"), &ranges[0]));
	ck_assert(cidr_parse(slice_str("::1"), &ranges[1]));
	ck_assert(cidr_list_contains(&list, &inside));
	ck_assert(!cidr_list_contains(&list, &outside));
	list.count = 0;
	ck_assert(!cidr_list_contains(&list, &inside));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cidr");
	TCase *tc = tcase_create("cidr");
	SRunner *sr = srunner_create(suite);

	tcase_add_test(tc, addresses_are_written_as_they_are_usually_written);
	tcase_add_test(tc, what_is_no_address_is_refused);
	tcase_add_test(tc, ranges_hold_what_begins_alike);
	tcase_add_test(tc, a_range_of_one_family_holds_none_of_the_other);
	tcase_add_test(tc, mapped_addresses_are_the_ipv4_ones);
	tcase_add_test(tc, what_is_no_range_is_refused);
	tcase_add_test(tc, sockets_tell_their_address);
	tcase_add_test(tc, a_list_holds_what_one_of_it_holds);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
