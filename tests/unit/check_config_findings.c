/* SPDX-License-Identifier: MIT */
/* What is said about a configuration that is not as it should be. */
#include "tests/unit/config_fixture.h"

#include <stdio.h>
#include <stdlib.h>

/* --- keys that are not known ------------------------------------------------------------------- */

START_TEST(unknown_keys_are_warnings_with_a_guess)
{
	static const struct {
		const char *yaml, *pointer, *message;
	} cases[] = {
		{ "prot: 1", "/prot", "unknown key: did you mean port?" },
		{ "lgo: {level: info}", "/lgo", "did you mean log?" },
		{ "max-connections: 1", "/max-connections", "did you mean max_connections?" },
		{ "storge: {url: x}", "/storge", "did you mean storage?" },
		{ "storage: {conections: 1}", "/storage/conections",
			"did you mean storage.connections?" },
		{ "url: x", "/url", "did you mean storage.url?" },
		{ "log: {port: 1}", "/log/port", "did you mean port?" },
		{ "dkim_selektor: x", "/dkim_selektor", "unknown key, not used: take it out" },
		{ "something_else: 1", "/something_else", "unknown key, not used: take it out" },
		{ "a/b~c: 1", "/a~1b~0c", "unknown key, not used" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		must_load(cases[i].yaml);
		ck_assert_int_eq(finding_at(cases[i].pointer)->severity, CONFIG_WARNING);
		assert_holds(finding_at(cases[i].pointer)->message, cases[i].message);
	}
}
END_TEST

START_TEST(strict_makes_unknown_keys_errors_but_not_gomails)
{
	struct config_request request = {
		.file = write_file("t.yaml", "prot: 1\ndo_api_token: x\n", 24),
		.strict = true,
	};

	ck_assert_ptr_null(load_request(&request));
	ck_assert_uint_eq(error_count(), 1);
	ck_assert_int_eq(finding_at("/prot")->severity, CONFIG_ERROR);
	ck_assert_int_eq(finding_at("/do_api_token")->severity, CONFIG_WARNING);
}
END_TEST

START_TEST(unknown_variables_are_warnings_with_a_guess)
{
	setenv("MAIL_PROT", "1", 1);
	setenv("MAIL_HOSTNAME", "mail.example.com", 1);
	setenv("MAIL_STORAGE_ULR", "x", 1);
	must_load("bearer_token: " TOKEN);
	ck_assert_uint_eq(warning_count(), 3);
	assert_holds(findings_text(), "environment MAIL_PROT: warning: unknown variable, not used: "
				      "did you mean MAIL_PORT?\n");
	assert_holds(findings_text(), "did you mean MAIL_STORAGE_URL?\n");
	assert_holds(
		findings_text(), "environment MAIL_HOSTNAME: warning: /mail_hostname: GoMail's");
	unsetenv("MAIL_PROT");
	unsetenv("MAIL_STORAGE_ULR");
}
END_TEST

START_TEST(a_file_that_gomail_saved_is_valid)
{
	const struct config *c = load_file("tests/fixtures/config/gomail-saved.yaml");

	ck_assert_msg(c != NULL, "%s", findings_text());
	ck_assert_uint_eq(warning_count(), 15); /* one for each key without a use */
	ck_assert_uint_eq(c->port, 3000);
	ck_assert_str_eq(c->data_dir, "/opt/mailserver/data");
	ck_assert_str_eq(c->bearer_token, "a-token-of-a-gomail-site");
	ck_assert_uint_eq(c->rate_limit_per_minute, 6000);
	ck_assert_uint_eq(c->metrics_port, 9090);
	ck_assert_str_eq(c->metrics_path, "/metrics");
	ck_assert(!c->metrics_enabled);
	ck_assert_uint_eq(c->handler_timeout, 25);
}
END_TEST

/* --- findings ---------------------------------------------------------------------------------- */

START_TEST(everything_wrong_is_said_at_once_with_its_place)
{
	ck_assert_ptr_null(load_file("tests/fixtures/config/wrong.yaml"));
	ck_assert_str_eq(findings_text(), read_file("tests/fixtures/config/wrong.expected"));
}
END_TEST

START_TEST(findings_of_the_environment_and_options_name_them)
{
	const struct config_override mode = { "mode", "sokket", "--mode" };

	setenv("MAIL_LOG_LEVEL", "loud", 1);
	setenv("MAIL_STORAGE_CONNECTIONS", "many", 1);
	ck_assert_ptr_null(load_request(&(struct config_request){
		.file = write_file("t.yaml", "", 0), .overrides = &mode, .override_count = 1 }));
	assert_holds(findings_text(),
		"environment MAIL_LOG_LEVEL: error: /log/level: \"loud\" is not "
		"known: use debug, info, warning or error\n");
	assert_holds(findings_text(),
		"environment MAIL_STORAGE_CONNECTIONS: error: "
		"/storage/connections: \"many\" is not a whole number: use a ");
	assert_holds(findings_text(),
		"option --mode: error: /mode: \"sokket\" is not known: use simple or socket\n");
}
END_TEST

START_TEST(a_finding_is_one_line_and_short)
{
	char yaml[4000];

	must_load("\"a\\nb\\e[31m\": 1");
	assert_holds(findings_text(), "/a\\x0ab\\x1b[31m: unknown key");
	snprintf(yaml, sizeof(yaml), "mode: \"%03000d\\n\\u00fc\"", 0);
	ck_assert_ptr_null(load(yaml));
	ck_assert_uint_lt(strlen(finding_at("/mode")->message), 150);
	setenv("MAIL_MODE", "a\xff", 1);
	ck_assert_ptr_null(load(""));
	assert_holds(finding_at("/mode")->message, "not text in UTF-8");
}
END_TEST

START_TEST(json_has_the_same_findings_by_severity)
{
	const struct node *json;
	struct findings none = { .arena = config_arena };
	char *text;

	load("prot: 1\nport: \"a\\\"b\"\n");
	text = config_findings_json(config_result_findings(config_result));
	json = yaml_read(&none, "json", text, strlen(text));
	free(text);
	ck_assert_ptr_nonnull(json);
	ck_assert(!node_get_flag(json, "valid"));
	ck_assert_uint_eq(node_length(node_get(json, "errors")), 1);
	ck_assert_uint_eq(node_length(node_get(json, "warnings")), 2);
	json = node_get(json, "errors")->first->value;
	ck_assert_str_eq(node_get_text(json, "source"), home_path("t.yaml"));
	ck_assert_str_eq(node_get_text(json, "line"), "2");
	ck_assert_str_eq(node_get_text(json, "column"), "7");
	ck_assert_str_eq(node_get_text(json, "pointer"), "/port");
	assert_holds(node_get_text(json, "message"), "\"a\"b\" is not a whole number");
}
END_TEST

/* --- files that are not what they should be ---------------------------------------------------- */

START_TEST(what_cannot_be_read_is_said_with_its_place)
{
	static const struct {
		const char *yaml, *message;
	} cases[] = {
		{ "port: 1\nport: 2",
			":2:1: error: /port: is set twice, first at line 1, column 1" },
		{ "log: {level: info, level: info}", ":1:20: error: /log/level: is set twice" },
		{ "port: 1\n---\nport: 2", ":3:1: error: a second document begins here" },
		{ "log:\n\tlevel: info", ":2:1: error: indented with a tab" },
		{ "port: 1\n mode: x", ":2:6: error: not valid YAML" },
		{ "a: [1, 2", ": error: not valid YAML" },
		{ "a: \"x", ": error: not valid YAML" },
		{ "port: &p 1", ":1:7: error: /port: anchors (&name) and aliases" },
		{ "port: *p", ":1:7: error: /port: anchors (&name) and aliases" },
		{ "port: !env PORT", ":1:7: error: /port: tags (!name) are not used here" },
		{ "mode: \"a\\0b\"", ":1:7: error: /mode: holds a NUL character" },
		{ "[a, b]: 1", ":1:1: error: a key must be a word" },
		{ "just words", ":1:1: error: not a configuration" },
		{ "- port: 1", ":1:1: error: not a configuration" },
		{ "storage: sqlite:///x", ":1:10: error: /storage: is a section" },
		{ "port: \xc3\x28", ":1:8: error: not text in UTF-8" },
		{ "ab: \xc3\xbc \xff", ":1:7: error: not text in UTF-8" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		must_find_only(cases[i].yaml, cases[i].message);
}
END_TEST

START_TEST(tags_and_quotes_decide_a_type)
{
	ck_assert_str_eq(must_load("data_dir: !!str 12")->data_dir, "12");
	ck_assert_uint_eq(must_load("port: !!int \"4000\"")->port, 4000);
	ck_assert_str_eq(must_load("bearer_token: '*&!" TOKEN "'")->bearer_token, "*&!" TOKEN);
}
END_TEST

START_TEST(small_files_do_not_become_large_ones)
{
	struct buf yaml;

	ck_assert_ptr_null(load_file("tests/fixtures/config/billion-laughs.yaml"));
	buf_init(&yaml, CONFIG_FILE_BYTES - 1);
	for (int i = 0; i < 100000; i++)
		buf_putc(&yaml, '[');
	must_find_only(yaml.base, "nested too deeply");
	buf_clear(&yaml);
	for (int i = 0; i < 20000; i++)
		buf_printf(&yaml, "a%d:\n", i);
	ck_assert_ptr_null(load(yaml.base));
	assert_holds(findings_text(), "too many values for a configuration");
	buf_clear(&yaml);
	buf_printf(&yaml, "storage: {url: \"%05000d\"}", 0);
	must_find_only(yaml.base, "/storage/url: too long: use at most 4096 bytes");
	buf_deinit(&yaml);
}
END_TEST

START_TEST(longest_texts_are_matched_without_harm)
{
	struct buf yaml;

	buf_init(&yaml, CONFIG_FILE_BYTES - 1);
	for (int i = 0; i < YAML_MAX_TEXT; i++)
		buf_putc(&yaml, 'a');
	setenv("MAIL_BEARER_TOKEN", yaml.base, 1);
	setenv("MAIL_METRICS_NAMESPACE", yaml.base, 1);
	must_load("");
	setenv("MAIL_STORAGE_URL", yaml.base, 1);
	setenv("MAIL_LISTEN", yaml.base, 1);
	ck_assert_ptr_null(load(""));
	ck_assert_uint_eq(error_count(), 2);
	buf_putc(&yaml, 'a');
	setenv("MAIL_METRICS_NAMESPACE", yaml.base, 1);
	load("");
	assert_holds(finding_at("/metrics_namespace")->message, "too long");
	buf_deinit(&yaml);
}
END_TEST

START_TEST(cut_and_damaged_files_never_crash)
{
	enum { STEP = 31 };
	char *yaml = read_file("tests/fixtures/config/wrong.yaml");
	size_t len = strlen(yaml);
	unsigned seed = 1;

	for (size_t cut = 0; cut < len; cut += STEP)
		load_bytes(yaml, cut);
	for (int round = 0; round < 60; round++) {
		char *damaged = arena_dup(config_arena, yaml, len);
		for (int i = 0; i < 3; i++) {
			seed = seed * 1103515245 + 12345;
			damaged[(seed >> 8) % len] = (char)(seed >> 24);
		}
		load_bytes(damaged, len);
	}
	yaml[0] = '\0';
	load_bytes(yaml, 64);
	ck_assert_uint_ge(error_count(), 1);
}
END_TEST

static void add_findings(Suite *s)
{
	TCase *tc = config_tcase(s, "findings");

	tcase_add_test(tc, unknown_keys_are_warnings_with_a_guess);
	tcase_add_test(tc, strict_makes_unknown_keys_errors_but_not_gomails);
	tcase_add_test(tc, unknown_variables_are_warnings_with_a_guess);
	tcase_add_test(tc, a_file_that_gomail_saved_is_valid);
	tcase_add_test(tc, everything_wrong_is_said_at_once_with_its_place);
	tcase_add_test(tc, findings_of_the_environment_and_options_name_them);
	tcase_add_test(tc, a_finding_is_one_line_and_short);
	tcase_add_test(tc, json_has_the_same_findings_by_severity);
	tcase_add_test(tc, what_cannot_be_read_is_said_with_its_place);
	tcase_add_test(tc, tags_and_quotes_decide_a_type);
	tcase_add_test(tc, small_files_do_not_become_large_ones);
	tcase_add_test(tc, longest_texts_are_matched_without_harm);
	tcase_add_test(tc, cut_and_damaged_files_never_crash);
}

int main(void)
{
	Suite *s = suite_create("config_findings");

	add_findings(s);
	return config_run(s);
}
