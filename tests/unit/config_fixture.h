/* SPDX-License-Identifier: MIT */
/* config_fixture.h - what the Check programs about the configuration share
 *
 * Each case has an empty home folder, an environment without any of our variables, and one result
 * at a time: that of the last load. Cases run from the repository's root. */
#ifndef TESTS_UNIT_CONFIG_FIXTURE_H
#define TESTS_UNIT_CONFIG_FIXTURE_H

#include "lib/config/config.h"
#include "lib/config/keys.h"
#include "lib/config/yaml_tree.h"

#include <check.h>

#define TOKEN "0123456789abcdef-token"

enum { CONFIG_FILE_BYTES = 256 * 1024, CONFIG_OUTPUT_BYTES = 1024 * 1024 };

extern struct arena *config_arena; /* freed behind the case */
extern struct config_keys config_keys;
extern struct config_result *config_result;

/* A case of the suite with the fixture around each of its tests. */
TCase *config_tcase(Suite *s, const char *name);
/* Runs it; the exit code for main. */
int config_run(Suite *s);

const char *home_path(const char *name);
const char *write_file(const char *name, const void *bytes, size_t len);
char *read_file(const char *path);

/* The configuration, or NULL when there are errors. */
const struct config *load_request(const struct config_request *request);
const struct config *load_file(const char *path);
const struct config *load_bytes(const void *bytes, size_t len);
const struct config *load(const char *yaml);
const struct config *must_load(const char *yaml);
void must_find_only(const char *yaml, const char *error);
/* A token file within the home, and a configuration that names it and holds `more`. */
const struct config *load_token_file(const char *token, const char *more);

/* About the last load. */
const char *findings_text(void);
const char *shown_text(void);
size_t error_count(void);
size_t warning_count(void);
/* The finding about a key; the test fails when there is none. */
const struct config_finding *finding_at(const char *pointer);

void assert_holds(const char *text, const char *part);
void assert_lacks(const char *text, const char *part);

#endif
