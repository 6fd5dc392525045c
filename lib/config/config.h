/* SPDX-License-Identifier: MIT */
/* config.h - the configuration: where it comes from, what is wrong with it, what is in force
 *
 * Order: flags, then environment, then file, then defaults. schemas/config.schema.json (compiled
 * in) is its one description: keys, types, bounds and defaults stand there and nowhere else.
 *
 * Threads    Loading uses the environment and belongs to the main thread; a loaded configuration
 *            is read-only and may be read by all.
 * Ownership  A configuration owns all it points at: config_result_free(). */
#ifndef LIB_CONFIG_CONFIG_H
#define LIB_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Filled by libcyaml. Names are the keys'; times are seconds unless the name says otherwise. */
struct config {
	uint32_t port;
	char *mode; /* "simple" or "socket" */
	char **listen;
	unsigned listen_count;
	char *socket_mode, *socket_group; /* of unix: listeners; "": as they come */
	uint32_t workers;                 /* 0: one per core */
	char *data_dir;
	char *spool_dir;    /* where large bodies lie while they are taken in; never "" */
	char *bearer_token; /* also when it was read from bearer_token_file; "": none */
	char *bearer_token_file;
	struct config_token {
		char *name, *tenant;
		char **scopes; /* "ingest", "read", "admin" */
		unsigned scopes_count;
		char *sha256; /* 64 hex digits, also when the token was read from token_file */
		char *token_file;
		uint32_t rate_limit_per_minute, rate_limit_burst; /* 0: the server's */
	} * tokens;
	unsigned tokens_count;
	char **trusted_proxies; /* lib/cidr.h can parse them */
	unsigned trusted_proxies_count;
	bool proxy_protocol;
	uint32_t rate_limit_per_minute, rate_limit_burst;
	uint32_t read_timeout, write_timeout, idle_timeout, handler_timeout;
	uint32_t max_connections;
	bool metrics_enabled;
	uint32_t metrics_port;
	char **metrics_listen; /* addresses, on metrics_port */
	unsigned metrics_listen_count;
	char *metrics_path;
	char *metrics_namespace;
	uint32_t shutdown_timeout, drain_delay;
	struct config_storage {
		char *url; /* never "": config_load puts sqlite://<data_dir>/mail.db in */
		bool migrate;
		uint32_t connections; /* per worker */
		bool prepared_statements;
		uint32_t partition_days;
		uint32_t connect_timeout, statement_timeout;
		uint32_t batch_messages;
		uint64_t batch_bytes;
		uint32_t queue_messages;
		uint64_t queue_bytes;
	} storage;
	struct config_retention {
		uint32_t days; /* this and a tenant's: 0 keeps for ever */
		struct config_tenant_retention {
			char *tenant; /* each once */
			uint32_t days;
		} * tenants;
		unsigned tenants_count;
		uint32_t dedup_days;
	} retention;
	struct config_tls {
		char *cert_file, *key_file; /* both or none; "": none */
	} tls;
	struct config_limits {
		uint64_t max_message_bytes;
		uint64_t spool_threshold_bytes; /* larger bodies go to a file in spool_dir */
		uint64_t header_bytes;
		uint32_t header_fields, parts, depth, addresses;
		uint64_t text_bytes;
		uint32_t filename_bytes;
		uint32_t parse_cpu_ms;
		uint32_t parse_threads;     /* 0: one per core */
		uint32_t global_per_minute; /* 0: none */
		uint32_t in_flight_messages;
		uint64_t in_flight_bytes;
	} limits;
	struct config_redis {
		char *url; /* "": none */
		uint32_t timeout_ms;
	} redis;
	struct config_log {
		char *level;  /* "debug", "info", "warning" or "error" */
		char *format; /* "auto" (text on a terminal, else JSON), "json" or "text" */
	} log;
};

enum config_severity { CONFIG_ERROR, CONFIG_WARNING };

struct config_finding {
	enum config_severity severity;
	const char *source;    /* file name, "environment MAIL_PORT", "option --port" */
	unsigned line, column; /* from 1; 0 where there is none */
	const char *pointer;   /* JSON pointer (RFC 6901) of the key, "" for the whole */
	const char *message;   /* what is wrong and what would be right, one line */
};

struct config_findings {
	struct config_finding *list;
	size_t count, errors, warnings;
};

/* One value given on the command line: -p 4000 is { "port", "4000", "--port" }. */
struct config_override {
	const char *key; /* sections joined by dots: "storage.url" */
	const char *value;
	const char *option;
};

struct config_request {
	const char *file; /* NULL: $MAIL_CONFIG, else the first that is there of ./mailserver.yaml,
			   * /etc/mailserver/mailserver.yaml, ~/.mailserver/mailserver.yaml,
			   * /etc/gomail.yaml; none of them is fine, a named one must be readable */
	const struct config_override *overrides;
	size_t override_count;
	bool strict;     /* unknown keys are errors */
	bool need_token; /* no token at all is an error (the server), else a warning */
};

struct config_result; /* findings, merged values and where they came from, in one arena */

/* Never fails: whatever is wrong is among the findings. */
struct config_result *config_load(const struct config_request *request);
void config_result_free(struct config_result **r);
const struct config_findings *config_result_findings(const struct config_result *r);
/* NULL when there are errors. Lives as long as the result. */
const struct config *config_result_config(const struct config_result *r);
/* The file that was read or should have been; NULL when none was named and none found. */
const char *config_result_file(const struct config_result *r);

/* Calls `changed` with the name of each key ("storage.url") that has not the same value in both. */
void config_result_compare(const struct config_result *a, const struct config_result *b,
	void (*changed)(void *data, const char *key), void *data);

/* `file:line:column: error: /json/pointer: message`, without a newline, into a malloc()ed string. */
char *config_finding_format(const struct config_finding *f);
/* All of them in that form, a newline behind each, malloc()ed. */
char *config_findings_text(const struct config_findings *findings);
/* All findings as a JSON object {"valid":…,"errors":[…],"warnings":[…]}, malloc()ed. */
char *config_findings_json(const struct config_findings *findings);
/* `key: value  # from where`, YAML that can be used again, secrets as "(hidden)"; malloc()ed. */
char *config_result_show(const struct config_result *r);

extern const char config_schema_json[]; /* schemas/config.schema.json */

#endif
