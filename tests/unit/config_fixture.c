/* SPDX-License-Identifier: MIT */
#include "tests/unit/config_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 512, CASE_TIMEOUT_S = 30 };

struct arena *config_arena;
struct config_keys config_keys;
struct config_result *config_result;

static char root[PATH_BYTES], home[] = "/tmp/check_config.XXXXXX";

static void forget_environment(void)
{
	for (size_t i = 0; i < config_keys.count; i++)
		if (config_keys.list[i].variable != NULL)
			unsetenv(config_keys.list[i].variable);
	unsetenv("API_BEARER_TOKEN");
	unsetenv("MAIL_CONFIG");
}

static void setup(void)
{
	config_arena = arena_new();
	config_keys = config_keys_read(config_arena);
	forget_environment();
	ck_assert_ptr_nonnull(getcwd(root, sizeof(root)));
	ck_assert_ptr_nonnull(mkdtemp(home));
	setenv("HOME", home, 1);
}

static void teardown(void)
{
	char command[PATH_BYTES];

	config_result_free(&config_result);
	arena_free(&config_arena);
	ck_assert_int_eq(chdir(root), 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", home);
	ck_assert_int_eq(system(command), 0);
}

TCase *config_tcase(Suite *s, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, CASE_TIMEOUT_S);
	suite_add_tcase(s, tc);
	return tc;
}

int config_run(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}

const char *home_path(const char *name)
{
	return arena_printf(config_arena, "%s/%s", home, name);
}

const char *write_file(const char *name, const void *bytes, size_t len)
{
	const char *path = home_path(name);
	FILE *out = fopen(path, "w");

	ck_assert_ptr_nonnull(out);
	ck_assert_uint_eq(fwrite(bytes, 1, len, out), len);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_int_eq(chmod(path, 0600), 0);
	return path;
}

char *read_file(const char *path)
{
	FILE *in = fopen(path, "r");
	char *text = arena_alloc(config_arena, CONFIG_FILE_BYTES);
	size_t len;

	ck_assert_msg(in != NULL, "%s", path);
	len = fread(text, 1, CONFIG_FILE_BYTES - 1, in);
	fclose(in);
	text[len] = '\0';
	return text;
}

const struct config *load_request(const struct config_request *request)
{
	config_result_free(&config_result);
	config_result = config_load(request);
	ck_assert_int_eq(config_result_config(config_result) == NULL,
		config_result_findings(config_result)->errors > 0);
	return config_result_config(config_result);
}

const struct config *load_file(const char *path)
{
	return load_request(&(struct config_request){ .file = path });
}

const struct config *load_bytes(const void *bytes, size_t len)
{
	return load_file(write_file("t.yaml", bytes, len));
}

const struct config *load(const char *yaml)
{
	return load_bytes(yaml, strlen(yaml));
}

const char *findings_text(void)
{
	char *text = config_findings_text(config_result_findings(config_result));
	const char *kept = arena_strdup(config_arena, text);

	free(text);
	return kept;
}

const char *shown_text(void)
{
	char *text = config_result_show(config_result);
	const char *kept = arena_strdup(config_arena, text);

	free(text);
	return kept;
}

const struct config *must_load(const char *yaml)
{
	const struct config *c = load(yaml);

	ck_assert_msg(c != NULL, "%s", findings_text());
	return c;
}

size_t warning_count(void)
{
	return config_result_findings(config_result)->warnings;
}

size_t error_count(void)
{
	return config_result_findings(config_result)->errors;
}

const struct config_finding *finding_at(const char *pointer)
{
	const struct config_findings *all = config_result_findings(config_result);

	for (size_t i = 0; i < all->count; i++)
		if (strcmp(all->list[i].pointer, pointer) == 0)
			return &all->list[i];
	ck_abort_msg("nothing was found at %s, but:\n%s", pointer, findings_text());
}

void assert_holds(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "no \"%s\" in:\n%s", part, text);
}

void assert_lacks(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) == NULL, "\"%s\" in:\n%s", part, text);
}

void must_find_only(const char *yaml, const char *error)
{
	ck_assert_ptr_null(load(yaml));
	ck_assert_uint_eq(error_count(), 1);
	assert_holds(findings_text(), error);
}

const struct config *load_token_file(const char *token, const char *more)
{
	const char *path = write_file("token", token, strlen(token));

	return load(arena_printf(config_arena, "bearer_token_file: %s\n%s", path, more));
}
