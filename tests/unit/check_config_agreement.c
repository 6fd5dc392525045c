/* SPDX-License-Identifier: MIT */
/* The schema, the sample, the reference page, `config show` and the program say the same. */
#include "lib/config/schema.h"
#include "tests/unit/config_fixture.h"

#include <stdlib.h>

/* The part behind each value's "  # " may differ. */
static char *without_origins(const char *text)
{
	char *kept = arena_strdup(config_arena, text), *out = kept;

	for (const char *p = text; *p != '\0'; p++) {
		if (strncmp(p, "  # ", 4) == 0)
			p = strchr(p, '\n');
		*out++ = *p;
	}
	*out = '\0';
	return kept;
}

START_TEST(what_is_shown_loads_again_as_the_same)
{
	const char *first;

	write_file("other", TOKEN "-other", strlen(TOKEN "-other"));
	load_token_file(TOKEN,
		arena_printf(config_arena,
			"port: 4000\nlisten: ['::1', 'unix:/run/a b']\ndata_dir: 'a: #b\"'\n"
			"metrics_namespace: 'null'\nlog: {level: error}\nsocket_mode: 0660\n"
			"trusted_proxies: 10.0.0.0/8,::1\n"
			"retention: {days: 7, tenants: [{tenant: b.c, days: 0}, {tenant: d, days: "
			"9}]}\n"
			"tokens: [{name: a, tenant: b.c, scopes: 'read,admin', token_file: '%s'}]",
			home_path("other")));
	ck_assert_uint_eq(error_count(), 0);
	first = shown_text();
	must_load(first);
	ck_assert_uint_eq(warning_count(), 0);
	ck_assert_str_eq(config_result_config(config_result)->data_dir, "a: #b\"");
	ck_assert_str_eq(without_origins(shown_text()), without_origins(first));
}
END_TEST

START_TEST(schema_says_for_every_key_what_it_does_and_what_would_be_right)
{
	for (size_t i = 0; i < config_keys.count; i++) {
		const struct config_key *key = &config_keys.list[i];
		ck_assert_msg(node_get_text(key->rules, "description") != NULL, "%s", key->dotted);
		if (key->kind == KEY_SECTION || key->kind == KEY_UNUSED)
			continue;
		ck_assert_msg(node_get_text(key->rules, "type") != NULL, "%s", key->dotted);
		ck_assert_msg(strncmp(node_get_text(key->rules, "x-hint"), "use ", 4) == 0, "%s",
			key->dotted);
	}
}
END_TEST

static void no_fault(void *data, const char *pointer, const char *rule)
{
	ck_abort_msg("%s: %s: %s", (const char *)data, pointer, rule);
}

START_TEST(defaults_keep_the_schema)
{
	for (size_t i = 0; i < config_keys.count; i++) {
		const struct node *value = node_get(config_keys.list[i].rules, "default");
		struct schema *schema;
		struct buf rules, json;
		if (value == NULL)
			continue;
		buf_init(&rules, CONFIG_OUTPUT_BYTES);
		buf_init(&json, CONFIG_OUTPUT_BYTES);
		node_json(&rules, config_keys.list[i].rules);
		node_json(&json, value);
		schema = schema_new(rules.base, NULL);
		schema_check(schema, json.base, no_fault, (void *)config_keys.list[i].dotted);
		schema_free(&schema);
		buf_deinit(&rules);
		buf_deinit(&json);
	}
}
END_TEST

START_TEST(sample_is_valid_as_it_stands)
{
	ck_assert_ptr_nonnull(load_file("configs/mailserver.yaml"));
	ck_assert_uint_eq(warning_count(), 1);
	ck_assert_str_eq(config_result_findings(config_result)->list[0].pointer, "/bearer_token");
	must_load(shown_text());
}
END_TEST

/* `#key:` and `  #key:` become `key:`, as the sample tells its reader to. */
static char *uncommented(const char *text)
{
	char *kept = arena_strdup(config_arena, text), *out = kept;
	bool at_start = true;

	for (const char *p = text; *p != '\0'; p++) {
		if (at_start && *p == '#' && p[1] != ' ' && p[1] != '\n')
			p++;
		at_start = *p == '\n' || (at_start && *p == ' ');
		*out++ = *p;
	}
	*out = '\0';
	return kept;
}

START_TEST(sample_names_every_key_with_its_default)
{
	struct findings none = { .arena = config_arena };
	const char *yaml = uncommented(read_file("configs/mailserver.yaml"));
	struct node *sample = yaml_read(&none, "sample", yaml, strlen(yaml));

	ck_assert_ptr_nonnull(sample);
	for (size_t i = 0; i < config_keys.count; i++) {
		const struct config_key *key = &config_keys.list[i];
		if (key->kind == KEY_ITEM) {
			assert_holds(yaml, arena_printf(config_arena, " %s: ", key->name));
			continue;
		}
		const struct node *value = node_at(sample, key->pointer);
		const struct node *usual = node_get(key->rules, "default");
		struct buf a, b;
		ck_assert_msg((value == NULL) == (key->kind == KEY_UNUSED), "%s", key->dotted);
		if (key->kind != KEY_VALUE && key->kind != KEY_LIST)
			continue;
		buf_init(&a, CONFIG_OUTPUT_BYTES);
		buf_init(&b, CONFIG_OUTPUT_BYTES);
		node_json(&a, value);
		node_json(&b, usual != NULL ? usual : node_string(config_arena, "", value->at));
		ck_assert_msg(strcmp(a.base, b.base) == 0, "%s: %s", key->dotted, a.base);
		buf_deinit(&a);
		buf_deinit(&b);
	}
	must_load(yaml);
	ck_assert_uint_eq(warning_count(), 1); /* the missing token */
}
END_TEST

/* The default as the reference writes it. */
static const char *documented_default(const struct config_key *key)
{
	const struct node *usual = node_get(key->rules, "default");
	struct buf list;
	const char *text;

	if (strcmp(key->dotted, "storage.url") == 0)
		return "`sqlite://<data_dir>/mail.db`";
	if (strcmp(key->dotted, "spool_dir") == 0)
		return "`<data_dir>/spool`";
	if (usual == NULL)
		return "none";
	if (usual->type != NODE_LIST)
		return arena_printf(config_arena, "`%s`", usual->text);
	buf_init(&list, CONFIG_OUTPUT_BYTES);
	buf_puts(&list, "");
	for (const struct member *m = usual->first; m != NULL; m = m->next)
		buf_printf(&list, "%s\"%s\"", list.len > 0 ? ", " : "", m->value->text);
	text = arena_printf(config_arena, "`[%s]`", list.base);
	buf_deinit(&list);
	return text;
}

static const char *documented_bounds(const struct config_key *key)
{
	const struct node *least = node_get(key->rules, "minimum");
	const struct node *most = node_get(key->rules, "maximum");

	if (least == NULL)
		return "";
	if (most->integer == UINT32_MAX)
		return arena_printf(config_arena, "%s or more", least->text);
	return arena_printf(config_arena, "%s–%s", least->text, most->text);
}

START_TEST(reference_has_every_key_with_default_bounds_and_description)
{
	const char *page = read_file("docs/configuration.md");

	for (size_t i = 0; i < config_keys.count; i++) {
		const struct config_key *key = &config_keys.list[i];
		const char *description = node_get_text(key->rules, "description");
		if (key->kind == KEY_UNUSED) {
			assert_holds(page, arena_printf(config_arena, "`%s`", key->dotted));
			continue;
		}
		assert_holds(page, description);
		if (key->kind == KEY_SECTION)
			continue;
		assert_holds(page, arena_printf(config_arena, "\n| `%s` | %s | %s", key->dotted,
					   documented_default(key), documented_bounds(key)));
	}
}
END_TEST

static void add_agreement(Suite *s)
{
	TCase *tc = config_tcase(s, "one description");

	tcase_add_test(tc, what_is_shown_loads_again_as_the_same);
	tcase_add_test(tc, schema_says_for_every_key_what_it_does_and_what_would_be_right);
	tcase_add_test(tc, defaults_keep_the_schema);
	tcase_add_test(tc, sample_is_valid_as_it_stands);
	tcase_add_test(tc, sample_names_every_key_with_its_default);
	tcase_add_test(tc, reference_has_every_key_with_default_bounds_and_description);
}

int main(void)
{
	Suite *s = suite_create("config_agreement");

	add_agreement(s);
	return config_run(s);
}
