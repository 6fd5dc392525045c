/* SPDX-License-Identifier: MIT */
/* The schema reader against the mandatory draft-07 cases of the JSON Schema test suite. */
#include "lib/config/schema.h"

#include <check.h>
#include <glob.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char suite[] = "/usr/share/json-schema-test-suite/tests/draft7/*.json";

enum { SUITE_CASES = 402 }; /* as Debian 12 has them, those with remote references left out */

/* Groups that refer to a document elsewhere, by a name that only a fetch would resolve. */
static const char *const remote_groups[] = {
	"valid definition",
	"invalid definition",
	"remote ref, containing refs itself",
	"Recursive references between schemas",
};

struct tally {
	unsigned agreed, disagreed, remote;
};

struct reports {
	char text[1024];
	unsigned count;
};

static void note(void *data, const char *pointer, const char *rule)
{
	struct reports *reports = data;
	size_t len = strlen(reports->text);

	ck_assert_str_ne(rule, "");
	snprintf(reports->text + len, sizeof(reports->text) - len, "%s;", pointer);
	reports->count++;
}

static struct schema *schema_of(const char *json)
{
	char *error = NULL;
	struct schema *schema = schema_new(json, &error);

	ck_assert_msg(schema != NULL, "%s: %s", json, error);
	return schema;
}

/* The pointers that are reported, each with a semicolon. */
static const char *pointers(const char *rules, const char *json)
{
	static struct reports reports;
	struct schema *schema = schema_of(rules);

	reports = (struct reports){ 0 };
	schema_check(schema, json, note, &reports);
	schema_free(&schema);
	return reports.text;
}

static bool is_remote(const char *file, const char *group)
{
	if (strstr(file, "/refRemote.json") != NULL)
		return true;
	for (size_t i = 0; i < sizeof(remote_groups) / sizeof(remote_groups[0]); i++)
		if (strcmp(group, remote_groups[i]) == 0)
			return true;
	return false;
}

static void run_case(struct schema *schema, const char *group, const json_t *test, struct tally *t)
{
	char *data = json_dumps(json_object_get(test, "data"), JSON_ENCODE_ANY);
	bool is_valid = json_is_true(json_object_get(test, "valid"));
	struct reports reports = { 0 };
	enum schema_verdict verdict = schema_check(schema, data, note, &reports);

	if (verdict == (is_valid ? SCHEMA_VALID : SCHEMA_INVALID) &&
		(reports.count > 0) == !is_valid) {
		t->agreed++;
	} else {
		t->disagreed++;
		printf("%s: %s: verdict %d, %u reports\n", group,
			json_string_value(json_object_get(test, "description")), (int)verdict,
			reports.count);
	}
	free(data);
}

static void run_group(const char *file, const json_t *group, struct tally *t)
{
	const char *name = json_string_value(json_object_get(group, "description"));
	const json_t *test;
	size_t i;

	if (is_remote(file, name)) {
		t->remote += json_array_size(json_object_get(group, "tests"));
		return;
	}
	char *rules = json_dumps(json_object_get(group, "schema"), JSON_ENCODE_ANY);
	struct schema *schema = schema_of(rules);
	json_array_foreach(json_object_get(group, "tests"), i, test)
		run_case(schema, name, test, t);
	schema_free(&schema);
	free(rules);
}

START_TEST(every_mandatory_case_of_draft_07_agrees)
{
	struct tally t = { 0 };
	glob_t files;

	if (glob(suite, 0, NULL, &files) != 0) {
		puts("check_schema: skipped, package json-schema-test-suite is not installed");
		return;
	}
	for (size_t i = 0; i < files.gl_pathc; i++) {
		json_t *groups = json_load_file(files.gl_pathv[i], 0, NULL);
		const json_t *group;
		size_t g;
		ck_assert_msg(groups != NULL, "%s", files.gl_pathv[i]);
		json_array_foreach(groups, g, group) run_group(files.gl_pathv[i], group, &t);
		json_decref(groups);
	}
	globfree(&files);
	printf("check_schema: %u cases agree, %u do not, %u need remote documents\n", t.agreed,
		t.disagreed, t.remote);
	ck_assert_uint_eq(t.disagreed, 0);
	ck_assert_uint_ge(t.agreed, SUITE_CASES);
}
END_TEST

START_TEST(all_faults_are_reported_at_once)
{
	static const char rules[] =
		"{\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"minimum\":3},"
		"\"c\":{\"properties\":{\"d\":{\"enum\":[1]}}}}}";

	ck_assert_str_eq(pointers(rules, "{\"a\":\"x\",\"b\":2,\"c\":{\"d\":2}}"), "/a;/b;/c/d;");
}
END_TEST

START_TEST(a_map_is_reported_for_its_own_faults_only)
{
	static const char rules[] = "{\"properties\":{\"a\":{\"properties\":{\"b\":{\"type\":"
				    "\"integer\"}},\"required\":[\"c\"]}}}";

	ck_assert_str_eq(pointers(rules, "{\"a\":{\"b\":\"x\",\"c\":1}}"), "/a/b;");
	ck_assert_str_eq(pointers(rules, "{\"a\":{\"b\":1}}"), "/a;");
}
END_TEST

START_TEST(list_items_and_odd_names_have_their_pointers)
{
	ck_assert_str_eq(pointers("{\"items\":{\"type\":\"string\"}}", "[\"a\",1]"), "/1;");
	ck_assert_str_eq(
		pointers("{\"additionalProperties\":{\"type\":\"string\"}}", "{\"a/b~[c]\":1}"),
		"/a~1b~0[c];");
}
END_TEST

START_TEST(text_that_is_no_json_is_unreadable)
{
	static const char *const texts[] = { "", "{", "{\"a\":}", "nul", "\xff", "\"\xff\"" };
	struct schema *schema = schema_of("true");

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct reports reports = { 0 };
		ck_assert_int_eq(schema_check(schema, texts[i], note, &reports), SCHEMA_UNREADABLE);
		ck_assert_str_eq(reports.text, ";");
	}
	schema_free(&schema);
}
END_TEST

START_TEST(what_is_no_schema_is_refused_with_a_reason)
{
	static const char *const schemas[] = { "", "[]", "{\"type\":5}",
		"{\"$ref\":\"http://x/y\"}", "{\"minLength\":\"a\"}" };

	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
		char *error = NULL;
		ck_assert_msg(schema_new(schemas[i], &error) == NULL, "%s", schemas[i]);
		ck_assert_ptr_nonnull(error);
		ck_assert_str_ne(error, "");
		free(error);
		ck_assert_ptr_null(schema_new(schemas[i], NULL));
	}
}
END_TEST

START_TEST(a_pattern_that_is_none_is_invalid_and_not_a_crash)
{
	ck_assert_str_eq(pointers("{\"pattern\":\"(\"}", "\"a\""), ";");
}
END_TEST

START_TEST(freeing_nothing_is_fine)
{
	struct schema *schema = NULL;

	schema_free(&schema);
	schema = schema_of("true");
	schema_free(&schema);
	ck_assert_ptr_null(schema);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("schema");
	TCase *tc = tcase_create("schema");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, every_mandatory_case_of_draft_07_agrees);
	tcase_add_test(tc, all_faults_are_reported_at_once);
	tcase_add_test(tc, a_map_is_reported_for_its_own_faults_only);
	tcase_add_test(tc, list_items_and_odd_names_have_their_pointers);
	tcase_add_test(tc, text_that_is_no_json_is_unreadable);
	tcase_add_test(tc, what_is_no_schema_is_refused_with_a_reason);
	tcase_add_test(tc, a_pattern_that_is_none_is_invalid_and_not_a_crash);
	tcase_add_test(tc, freeing_nothing_is_fine);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
