/* SPDX-License-Identifier: MIT */
#include "lib/config/bind.h"

#include <cyaml/cyaml.h>

enum { JSON_BYTES = 16 * 1024 * 1024 };

#define UINT(type, member) CYAML_FIELD_UINT(#member, CYAML_FLAG_DEFAULT, type, member)
#define BOOL(type, member) CYAML_FIELD_BOOL(#member, CYAML_FLAG_DEFAULT, type, member)
#define TEXT(type, member)                                                                         \
	CYAML_FIELD_STRING_PTR(#member, CYAML_FLAG_POINTER, type, member, 0, CYAML_UNLIMITED)

static const cyaml_schema_value_t text_entry = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, CYAML_UNLIMITED),
};

#define TEXTS(type, member)                                                                        \
	CYAML_FIELD_SEQUENCE(                                                                      \
		#member, CYAML_FLAG_POINTER, type, member, &text_entry, 0, CYAML_UNLIMITED)

static const cyaml_schema_field_t token_fields[] = {
	TEXT(struct config_token, name),
	TEXT(struct config_token, tenant),
	TEXTS(struct config_token, scopes),
	TEXT(struct config_token, sha256),
	TEXT(struct config_token, token_file),
	UINT(struct config_token, rate_limit_per_minute),
	UINT(struct config_token, rate_limit_burst),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t token_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_token, token_fields),
};

static const cyaml_schema_field_t tls_fields[] = {
	TEXT(struct config_tls, cert_file),
	TEXT(struct config_tls, key_file),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t storage_fields[] = {
	TEXT(struct config_storage, url),
	BOOL(struct config_storage, migrate),
	UINT(struct config_storage, connections),
	BOOL(struct config_storage, prepared_statements),
	UINT(struct config_storage, partition_days),
	UINT(struct config_storage, connect_timeout),
	UINT(struct config_storage, statement_timeout),
	UINT(struct config_storage, batch_messages),
	UINT(struct config_storage, batch_bytes),
	UINT(struct config_storage, queue_messages),
	UINT(struct config_storage, queue_bytes),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t tenant_retention_fields[] = {
	TEXT(struct config_tenant_retention, tenant),
	UINT(struct config_tenant_retention, days),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t tenant_retention_entry = {
	CYAML_VALUE_MAPPING(
		CYAML_FLAG_DEFAULT, struct config_tenant_retention, tenant_retention_fields),
};

static const cyaml_schema_field_t retention_fields[] = {
	UINT(struct config_retention, days),
	CYAML_FIELD_SEQUENCE("tenants", CYAML_FLAG_POINTER, struct config_retention, tenants,
		&tenant_retention_entry, 0, CYAML_UNLIMITED),
	UINT(struct config_retention, dedup_days),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t limits_fields[] = {
	UINT(struct config_limits, max_message_bytes),
	UINT(struct config_limits, spool_threshold_bytes),
	UINT(struct config_limits, header_bytes),
	UINT(struct config_limits, header_fields),
	UINT(struct config_limits, parts),
	UINT(struct config_limits, depth),
	UINT(struct config_limits, addresses),
	UINT(struct config_limits, text_bytes),
	UINT(struct config_limits, filename_bytes),
	UINT(struct config_limits, parse_cpu_ms),
	UINT(struct config_limits, parse_threads),
	UINT(struct config_limits, global_per_minute),
	UINT(struct config_limits, in_flight_messages),
	UINT(struct config_limits, in_flight_bytes),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t redis_fields[] = {
	TEXT(struct config_redis, url),
	UINT(struct config_redis, timeout_ms),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t log_fields[] = {
	TEXT(struct config_log, level),
	TEXT(struct config_log, format),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t fields[] = {
	UINT(struct config, port),
	TEXT(struct config, mode),
	TEXTS(struct config, listen),
	TEXT(struct config, socket_mode),
	TEXT(struct config, socket_group),
	UINT(struct config, workers),
	TEXT(struct config, data_dir),
	TEXT(struct config, spool_dir),
	TEXT(struct config, bearer_token),
	TEXT(struct config, bearer_token_file),
	CYAML_FIELD_SEQUENCE("tokens", CYAML_FLAG_POINTER, struct config, tokens, &token_entry, 0,
		CYAML_UNLIMITED),
	TEXTS(struct config, trusted_proxies),
	BOOL(struct config, proxy_protocol),
	UINT(struct config, rate_limit_per_minute),
	UINT(struct config, rate_limit_burst),
	UINT(struct config, read_timeout),
	UINT(struct config, write_timeout),
	UINT(struct config, idle_timeout),
	UINT(struct config, handler_timeout),
	UINT(struct config, max_connections),
	BOOL(struct config, metrics_enabled),
	UINT(struct config, metrics_port),
	CYAML_FIELD_SEQUENCE("metrics_listen", CYAML_FLAG_POINTER, struct config, metrics_listen,
		&text_entry, 0, CYAML_UNLIMITED),
	TEXT(struct config, metrics_path),
	TEXT(struct config, metrics_namespace),
	UINT(struct config, shutdown_timeout),
	UINT(struct config, drain_delay),
	CYAML_FIELD_MAPPING("storage", CYAML_FLAG_DEFAULT, struct config, storage, storage_fields),
	CYAML_FIELD_MAPPING(
		"retention", CYAML_FLAG_DEFAULT, struct config, retention, retention_fields),
	CYAML_FIELD_MAPPING("tls", CYAML_FLAG_DEFAULT, struct config, tls, tls_fields),
	CYAML_FIELD_MAPPING("limits", CYAML_FLAG_DEFAULT, struct config, limits, limits_fields),
	CYAML_FIELD_MAPPING("redis", CYAML_FLAG_DEFAULT, struct config, redis, redis_fields),
	CYAML_FIELD_MAPPING("log", CYAML_FLAG_DEFAULT, struct config, log, log_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config, fields),
};

static const cyaml_config_t settings = {
	.mem_fn = cyaml_mem,
	.flags = CYAML_CFG_NO_ALIAS,
};

struct config *config_bind(const struct node *root, const char **error_r)
{
	cyaml_data_t *loaded = NULL;
	struct buf json;
	cyaml_err_t err;

	buf_init(&json, JSON_BYTES);
	node_json(&json, root);
	err = cyaml_load_data(
		(const uint8_t *)json.base, json.len, &settings, &schema, &loaded, NULL);
	buf_deinit(&json);
	if (err != CYAML_OK) {
		*error_r = cyaml_strerror(err);
		return NULL;
	}
	return (struct config *)loaded;
}

void config_bind_free(struct config **config)
{
	if (*config != NULL)
		cyaml_free(&settings, &schema, *config, 0);
	*config = NULL;
}
