/* SPDX-License-Identifier: MIT */
/* The configuration: its layers, the values it takes, and its secrets. */
#include "tests/unit/config_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- layers ------------------------------------------------------------------------------------ */

START_TEST(defaults_are_those_of_the_contract)
{
	const struct config *c = must_load("");

	ck_assert_uint_eq(c->port, 3000);
	ck_assert_str_eq(c->mode, "simple");
	ck_assert_uint_eq(c->listen_count, 2);
	ck_assert_str_eq(c->listen[0], "127.0.0.1");
	ck_assert_str_eq(c->listen[1], "::1");
	ck_assert_uint_eq(c->metrics_listen_count, 1);
	ck_assert_str_eq(c->metrics_listen[0], "127.0.0.1");
	ck_assert_str_eq(c->data_dir, "/var/lib/mailserver");
	ck_assert_str_eq(c->spool_dir, "/var/lib/mailserver/spool");
	ck_assert_str_eq(c->bearer_token, "");
	ck_assert_uint_eq(c->rate_limit_per_minute, 6000);
	ck_assert_uint_eq(c->rate_limit_burst, 1000);
	ck_assert_uint_eq(c->read_timeout, 30);
	ck_assert_uint_eq(c->write_timeout, 30);
	ck_assert_uint_eq(c->idle_timeout, 60);
	ck_assert_uint_eq(c->handler_timeout, 25);
	ck_assert_uint_eq(c->max_connections, 1000);
	ck_assert(c->metrics_enabled);
	ck_assert_uint_eq(c->metrics_port, 9090);
	ck_assert_str_eq(c->metrics_path, "/metrics");
	ck_assert_str_eq(c->metrics_namespace, "");
	ck_assert_uint_eq(c->shutdown_timeout, 30);
	ck_assert_str_eq(c->storage.url, "sqlite:///var/lib/mailserver/mail.db");
	ck_assert(c->storage.migrate);
	ck_assert_uint_eq(c->storage.queue_bytes, 268435456);
	ck_assert_uint_eq(c->limits.max_message_bytes, 26214400);
	ck_assert_uint_eq(c->limits.depth, 50);
	ck_assert_str_eq(c->log.level, "info");
	ck_assert_str_eq(c->log.format, "auto");
}
END_TEST

START_TEST(option_wins_over_environment_over_file_over_default)
{
	const struct config_override port = { "port", "4003", "--port" };
	struct config_request request = { .overrides = &port };

	ck_assert_uint_eq(must_load("")->port, 3000);
	ck_assert_uint_eq(must_load("port: 4001")->port, 4001);
	setenv("MAIL_PORT", "4002", 1);
	ck_assert_uint_eq(must_load("port: 4001")->port, 4002);
	request.file = home_path("t.yaml");
	request.override_count = 1;
	ck_assert_uint_eq(load_request(&request)->port, 4003);
}
END_TEST

START_TEST(each_value_is_shown_with_where_it_came_from)
{
	const struct config_override token = { "bearer_token", TOKEN, "--token" };
	struct config_request request = {
		.file = write_file("t.yaml", "workers: 3\nlog:\n  level: debug\n", 31),
		.overrides = &token,
		.override_count = 1,
	};

	setenv("MAIL_STORAGE_BATCH_MESSAGES", "7", 1);
	ck_assert_ptr_nonnull(load_request(&request));
	assert_holds(shown_text(), "port: 3000  # default\n");
	assert_holds(shown_text(),
		arena_printf(config_arena, "\nworkers: 3  # %s:1:10\n", request.file));
	assert_holds(shown_text(),
		arena_printf(config_arena, "\n  level: debug  # %s:3:10\n", request.file));
	assert_holds(
		shown_text(), "\n  batch_messages: 7  # environment MAIL_STORAGE_BATCH_MESSAGES\n");
	assert_holds(shown_text(), "\nbearer_token: \"(hidden)\"  # option --token\n");
}
END_TEST

START_TEST(every_key_can_be_set_by_its_variable)
{
	for (size_t i = 0; i < config_keys.count; i++) {
		const struct config_key *key = &config_keys.list[i];
		const struct node *value = node_get(key->rules, "default");
		if (key->kind != KEY_VALUE || value == NULL)
			continue;
		setenv(key->variable, value->type == NODE_LIST ? "::1" : value->text, 1);
		must_load("");
		assert_holds(shown_text(),
			arena_printf(config_arena, "  # environment %s\n", key->variable));
		ck_assert_msg(warning_count() == 1, "%s", findings_text()); /* the missing token */
		unsetenv(key->variable);
	}
}
END_TEST

START_TEST(gomails_token_variable_is_below_ours)
{
	setenv("API_BEARER_TOKEN", "token-of-api-bearer-token", 1);
	ck_assert_str_eq(
		must_load("bearer_token: " TOKEN)->bearer_token, "token-of-api-bearer-token");
	setenv("MAIL_BEARER_TOKEN", "token-of-mail-bearer-token", 1);
	ck_assert_str_eq(must_load("")->bearer_token, "token-of-mail-bearer-token");
	setenv("MAIL_BEARER_TOKEN", "", 1);
	ck_assert_str_eq(must_load("")->bearer_token, "token-of-api-bearer-token");
}
END_TEST

START_TEST(empty_variable_is_not_set_and_empty_option_is_an_error)
{
	const struct config_override port = { "port", "", "--port" };

	setenv("MAIL_PORT", "", 1);
	setenv("MAIL_NONSENSE", "", 1);
	ck_assert_uint_eq(must_load("port: 4001")->port, 4001);
	ck_assert_uint_eq(warning_count(), 1);
	unsetenv("MAIL_NONSENSE");
	ck_assert_ptr_null(load_request(&(struct config_request){
		.file = home_path("t.yaml"), .overrides = &port, .override_count = 1 }));
	ck_assert_str_eq(finding_at("/port")->source, "option --port");
}
END_TEST

START_TEST(lists_come_from_commas_too)
{
	const struct config *c;

	setenv("MAIL_LISTEN", " 192.0.2.1 ,unix:/run/m.sock,", 1);
	c = must_load("");
	ck_assert_uint_eq(c->listen_count, 2);
	ck_assert_str_eq(c->listen[0], "192.0.2.1");
	ck_assert_str_eq(c->listen[1], "unix:/run/m.sock");
	unsetenv("MAIL_LISTEN");
	ck_assert_str_eq(must_load("listen: ::1")->listen[0], "::1");
	ck_assert_str_eq(must_load("listen:\n  - ::1\n  - 10.0.0.1\n")->listen[1], "10.0.0.1");
}
END_TEST

/* --- where the file is looked for -------------------------------------------------------------- */

START_TEST(named_file_goes_before_variable_before_present_folder_before_home)
{
	static const char *const places[] = { "named.yaml", "variable.yaml", "here/mailserver.yaml",
		".mailserver/mailserver.yaml" };
	char yaml[32];

	ck_assert_int_eq(mkdir(home_path("here"), 0700), 0);
	ck_assert_int_eq(mkdir(home_path(".mailserver"), 0700), 0);
	for (int i = 0; i < 4; i++) {
		snprintf(yaml, sizeof(yaml), "port: 400%d", i);
		write_file(places[i], yaml, strlen(yaml));
	}
	ck_assert_int_eq(chdir(home_path("here")), 0);
	setenv("MAIL_CONFIG", home_path("variable.yaml"), 1);
	ck_assert_uint_eq(load_file(home_path("named.yaml"))->port, 4000);
	ck_assert_uint_eq(load_file(NULL)->port, 4001);
	unsetenv("MAIL_CONFIG");
	ck_assert_uint_eq(load_file(NULL)->port, 4002);
	ck_assert_str_eq(config_result_file(config_result), "mailserver.yaml");
	ck_assert_int_eq(unlink("mailserver.yaml"), 0);
	if (access("/etc/mailserver/mailserver.yaml", F_OK) != 0)
		ck_assert_uint_eq(load_file(NULL)->port, 4003);
}
END_TEST

START_TEST(named_file_must_be_readable)
{
	ck_assert_ptr_null(load_file(home_path("absent.yaml")));
	assert_holds(
		findings_text(), "No such file or directory: check the path, or make the file");
	assert_lacks(findings_text(), "bearer_token");
	setenv("MAIL_CONFIG", home_path("."), 1);
	ck_assert_ptr_null(load_file(NULL));
	assert_holds(findings_text(), "Is a directory: name a file within it");
	ck_assert_ptr_null(load_file("/dev/zero"));
	assert_holds(findings_text(), "is larger than 262144 bytes");
}
END_TEST

/* --- values ------------------------------------------------------------------------------------ */

START_TEST(quoted_numbers_and_booleans_are_taken)
{
	const struct config *c = must_load("port: \"4000\"\nmax_connections: ' 70 '\n"
					   "metrics_enabled: \"false\"\nstorage: {migrate: 'No'}\n"
					   "read_timeout: 5.0\nworkers: 0x10\n");

	ck_assert_uint_eq(c->port, 4000);
	ck_assert_uint_eq(c->max_connections, 70);
	ck_assert(!c->metrics_enabled);
	ck_assert(!c->storage.migrate);
	ck_assert_uint_eq(c->read_timeout, 5);
	ck_assert_uint_eq(c->workers, 16);
	ck_assert_uint_eq(must_load("{\n\t\"port\": \"4000\"\n}\n")->port, 4000);
	ck_assert(!must_load("metrics_enabled: off")->metrics_enabled);
	ck_assert(!must_load("metrics_enabled: 0")->metrics_enabled);
}
END_TEST

START_TEST(text_that_looks_like_a_number_stays_as_it_was_written)
{
	ck_assert_str_eq(must_load("bearer_token: 00123456789012345678901234567890")->bearer_token,
		"00123456789012345678901234567890");
	ck_assert_str_eq(must_load("data_dir: 1e3")->data_dir, "1e3");
	ck_assert_str_eq(must_load("data_dir: True")->data_dir, "True");
}
END_TEST

START_TEST(zero_is_the_default_for_gomails_numbers_and_zero_for_ours)
{
	const struct config *c = must_load("port: 0\nrate_limit_burst: \"0\"\nidle_timeout: 0.0\n"
					   "workers: 0\nlimits: {text_bytes: 0}\n");

	ck_assert_uint_eq(c->port, 3000);
	ck_assert_uint_eq(c->rate_limit_burst, 1000);
	ck_assert_uint_eq(c->idle_timeout, 60);
	ck_assert_uint_eq(c->workers, 0);
	ck_assert_uint_eq(c->limits.text_bytes, 0);
	must_find_only("shutdown_timeout: 0", "/shutdown_timeout: 0 is out of range");
}
END_TEST

START_TEST(null_and_empty_mean_not_set)
{
	const struct config *c = must_load("port:\nmode: ''\ndata_dir: \"\"\nstorage:\nlog: ~\n"
					   "limits: {depth: null}\nmax_connections: \"\"\n");

	ck_assert_uint_eq(c->port, 3000);
	ck_assert_str_eq(c->mode, "simple");
	ck_assert_str_eq(c->data_dir, "/var/lib/mailserver");
	ck_assert_uint_eq(c->limits.depth, 50);
	ck_assert_uint_eq(warning_count(), 1); /* the missing token */
}
END_TEST

START_TEST(storage_and_spool_lie_in_the_data_dir_unless_set)
{
	const struct config *c = must_load("data_dir: data");

	ck_assert_str_eq(c->storage.url, "sqlite://data/mail.db");
	ck_assert_str_eq(c->spool_dir, "data/spool");
	c = must_load("data_dir: data\nspool_dir: /tmp\nstorage: {url: 'host=db dbname=m'}");
	ck_assert_str_eq(c->storage.url, "host=db dbname=m");
	ck_assert_str_eq(c->spool_dir, "/tmp");
}
END_TEST

static void set_number(const struct config_key *key, int64_t number)
{
	setenv(key->variable, arena_printf(config_arena, "%lld", (long long)number), 1);
	load("");
}

START_TEST(bounds_hold_for_every_number_and_the_program_can_keep_them)
{
	for (size_t i = 0; i < config_keys.count; i++) {
		const struct config_key *key = &config_keys.list[i];
		const struct node *least = node_get(key->rules, "minimum");
		const struct node *most = node_get(key->rules, "maximum");
		if (key->kind != KEY_VALUE || least == NULL)
			continue;
		set_number(key, least->integer);
		ck_assert_msg(error_count() == 0, "%s", findings_text());
		set_number(key, most->integer);
		ck_assert_msg(error_count() == 0, "%s", findings_text());
		set_number(key, most->integer + 1);
		assert_holds(finding_at(key->pointer)->message, " is out of range: use a ");
		set_number(key, -1);
		assert_holds(finding_at(key->pointer)->message, "-1 is out of range: use a ");
		unsetenv(key->variable);
	}
}
END_TEST

START_TEST(addresses_must_be_addresses)
{
	char path[200];

	must_load("listen: ['192.0.2.1', '2001:db8::1', '::ffff:192.0.2.1', 'unix:/run/x']");
	must_find_only("listen: [127.0.0.1.1]", "/listen/0: \"127.0.0.1.1\" is not an addr");
	must_find_only("listen: ['::1', localhost]", "/listen/1: \"localhost\" does not have");
	must_find_only("listen: ['127.0.0.1:25']", "/listen/0: ");
	must_find_only(
		"metrics_listen: ['::1', 1.2.3]", "/metrics_listen/1: \"1.2.3\" is not an addr");
	must_find_only("listen: ['unix:']", "/listen/0: ");
	must_find_only("listen: []", "/listen: the list is empty: use a list of addresses");
	must_find_only("listen: [1.1.1.1, 1.1.1.1]", "/listen: the list names the same thing");
	must_find_only("listen: [~]", "/listen/0: null is not a text");
	must_find_only("listen: [[1]]", "/listen/0: the list is not a text");
	snprintf(path, sizeof(path), "listen: 'unix:/%0120d'", 0);
	must_find_only(path, "too long for a socket: use at most 107 bytes");
}
END_TEST

START_TEST(values_at_odds_with_one_another_are_warned_of)
{
	must_load("storage: {queue_bytes: 1000}");
	assert_holds(finding_at("/storage/queue_bytes")->message, "always be answered 503");
	must_load("handler_timeout: 50");
	ck_assert_uint_eq(finding_at("/handler_timeout")->column, 18);
	must_load("metrics_port: 3000");
	assert_holds(finding_at("/metrics_port")->message, "the same as port (3000)");
	must_load("metrics_port: 3000\nmetrics_enabled: false");
	ck_assert_uint_eq(warning_count(), 1); /* the missing token */
}
END_TEST

/* --- tokens and secrets ------------------------------------------------------------------------ */

START_TEST(token_file_is_read_without_its_newline)
{
	ck_assert_str_eq(load_token_file(TOKEN "\n", "")->bearer_token, TOKEN);
	ck_assert_uint_eq(warning_count(), 0);
	ck_assert_str_eq(load_token_file(TOKEN "\r\n", "")->bearer_token, TOKEN);
	ck_assert_str_eq(load_token_file(TOKEN, "")->bearer_token, TOKEN);
}
END_TEST

START_TEST(unusable_token_files_are_errors)
{
	ck_assert_ptr_null(load_token_file("Kurz-9f1c\n", ""));
	ck_assert_str_eq(finding_at("/bearer_token")->source, home_path("token"));
	assert_holds(
		finding_at("/bearer_token")->message, "the value is too short: use at least 16");
	ck_assert_ptr_null(load_token_file("\n", ""));
	assert_holds(finding_at("/bearer_token_file")->message, "holds no token");
	ck_assert_ptr_null(load_token_file(TOKEN "\n" TOKEN, ""));
	assert_holds(finding_at("/bearer_token")->message, "does not have the right form");
	must_find_only("bearer_token: \"a\\tb\"", "/bearer_token: the value is too short");
	must_find_only("bearer_token_file: /absent/token", "cannot be read: No such file");
	must_find_only("bearer_token_file: [a]", "/bearer_token_file: the list is not a text");
}
END_TEST

START_TEST(token_file_that_others_can_read_is_warned_of)
{
	load_token_file(TOKEN, "");
	ck_assert_int_eq(chmod(home_path("token"), 0640), 0);
	ck_assert_ptr_nonnull(load_file(home_path("t.yaml")));
	ck_assert_uint_eq(warning_count(), 1);
	assert_holds(finding_at("/bearer_token_file")->message, "chmod 600");
}
END_TEST

START_TEST(of_two_tokens_the_written_one_wins_with_a_warning)
{
	const struct config *c = load_token_file(TOKEN, "bearer_token: the-written-out-token");

	ck_assert_str_eq(c->bearer_token, "the-written-out-token");
	assert_holds(finding_at("/bearer_token_file")->message, "bearer_token is set as well");
}
END_TEST

START_TEST(no_token_is_a_warning_and_an_error_for_the_server)
{
	struct config_request request = { .file = write_file("t.yaml", "", 0) };

	ck_assert_ptr_nonnull(load_request(&request));
	ck_assert_int_eq(finding_at("/bearer_token")->severity, CONFIG_WARNING);
	request.need_token = true;
	ck_assert_ptr_null(load_request(&request));
	ck_assert_int_eq(finding_at("/bearer_token")->severity, CONFIG_ERROR);
}
END_TEST

START_TEST(secrets_are_in_no_output)
{
	static const char *const yamls[] = {
		"bearer_token: Qx77secret",
		"bearer_token: Qx77secret-that-is-long-enough",
		"bearer_token: [Qx77secret]",
		"bearer_token: {Qx77secret: 1}",
		"bearer_token: \"Qx77secret-with-a-newline\\n\"",
		"storage: {url: 'mysql://mail:Qx77secret@db/mail'}",
		"storage: {url: 'postgresql://mail:Qx77secret@db/mail'}",
		"storage: {url: 'postgresql://mail:Qx77@77/secret:@db/mail'}",
		"storage: {url: 'postgresql://db/mail?sslmode=require&password=Qx77secret'}",
		"storage: {url: 'postgresql://m:Qx77a@db/mail?sslpassword=Qx77secret'}",
		"storage: {url: 'host=db PASSWORD = ''Qx77 secret'' dbname=mail'}",
		"storage: {url: [Qx77secret]}",
		"do_api_token: Qx77secret",
	};

	for (size_t i = 0; i < sizeof(yamls) / sizeof(yamls[0]); i++) {
		char *json;
		load(yamls[i]);
		json = config_findings_json(config_result_findings(config_result));
		assert_lacks(json, "Qx77");
		assert_lacks(findings_text(), "Qx77");
		assert_lacks(shown_text(), "Qx77");
		assert_lacks(shown_text(), "secret");
		free(json);
	}
	load_token_file("Qx77secret", "");
	assert_lacks(findings_text(), "Qx77");
	assert_lacks(shown_text(), "Qx77");
}
END_TEST

START_TEST(database_url_is_shown_without_its_password_only)
{
	must_load("storage: {url: 'postgresql://mail:Qx77@db:5432/mail?sslmode=require'}");
	assert_holds(
		shown_text(), "url: \"postgresql://mail:(hidden)@db:5432/mail?sslmode=require\"");
	must_load("storage: {url: 'postgresql://mail@db/mail'}");
	assert_holds(shown_text(), "url: \"postgresql://mail@db/mail\"");
	must_load("storage: {url: 'host=db password=x'}");
	assert_holds(shown_text(), "url: \"host=db password=(hidden)\"");
}
END_TEST

static void add_layers(Suite *s)
{
	TCase *tc = config_tcase(s, "layers");

	tcase_add_test(tc, defaults_are_those_of_the_contract);
	tcase_add_test(tc, option_wins_over_environment_over_file_over_default);
	tcase_add_test(tc, each_value_is_shown_with_where_it_came_from);
	tcase_add_test(tc, every_key_can_be_set_by_its_variable);
	tcase_add_test(tc, gomails_token_variable_is_below_ours);
	tcase_add_test(tc, empty_variable_is_not_set_and_empty_option_is_an_error);
	tcase_add_test(tc, lists_come_from_commas_too);
	tcase_add_test(tc, named_file_goes_before_variable_before_present_folder_before_home);
	tcase_add_test(tc, named_file_must_be_readable);
}

static void add_values(Suite *s)
{
	TCase *tc = config_tcase(s, "values");

	tcase_add_test(tc, quoted_numbers_and_booleans_are_taken);
	tcase_add_test(tc, text_that_looks_like_a_number_stays_as_it_was_written);
	tcase_add_test(tc, zero_is_the_default_for_gomails_numbers_and_zero_for_ours);
	tcase_add_test(tc, null_and_empty_mean_not_set);
	tcase_add_test(tc, storage_and_spool_lie_in_the_data_dir_unless_set);
	tcase_add_test(tc, bounds_hold_for_every_number_and_the_program_can_keep_them);
	tcase_add_test(tc, addresses_must_be_addresses);
	tcase_add_test(tc, values_at_odds_with_one_another_are_warned_of);
}

static void add_secrets(Suite *s)
{
	TCase *tc = config_tcase(s, "secrets");

	tcase_add_test(tc, token_file_is_read_without_its_newline);
	tcase_add_test(tc, unusable_token_files_are_errors);
	tcase_add_test(tc, token_file_that_others_can_read_is_warned_of);
	tcase_add_test(tc, of_two_tokens_the_written_one_wins_with_a_warning);
	tcase_add_test(tc, no_token_is_a_warning_and_an_error_for_the_server);
	tcase_add_test(tc, secrets_are_in_no_output);
	tcase_add_test(tc, database_url_is_shown_without_its_password_only);
}

int main(void)
{
	Suite *s = suite_create("config");

	add_layers(s);
	add_values(s);
	add_secrets(s);
	return config_run(s);
}
