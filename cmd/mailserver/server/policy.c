/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/server/policy.h"
#include "lib/tls.h"

#include <assert.h>

enum { GLOBAL_BURST_PART = 6 }; /* of a minute's: what comes in ten seconds, at once */

static struct cidr_list proxies_new(const struct config *config)
{
	size_t count = config->trusted_proxies_count;
	struct cidr_list list = { .count = count };

	if (count == 0)
		return list;
	list.list = h2o_mem_alloc(count * sizeof(*list.list));
	for (size_t i = 0; i < count; i++) {
		bool is_range = cidr_parse(slice_str(config->trusted_proxies[i]), &list.list[i]);
		assert(is_range);
		(void)is_range;
	}
	return list;
}

static struct bucket_rate global_rate_of(const struct config *config)
{
	uint32_t per_minute = config->limits.global_per_minute;

	return (struct bucket_rate){
		.per_minute = per_minute,
		.burst = per_minute > GLOBAL_BURST_PART ? per_minute / GLOBAL_BURST_PART : 1,
	};
}

struct policy *policy_new(const struct config *config, SSL_CTX *tls)
{
	struct policy *policy = h2o_mem_alloc(sizeof(*policy));

	if (tls != NULL)
		SSL_CTX_up_ref(tls);
	*policy = (struct policy){
		.live = {
			.auth = auth_new(config),
			.trusted_proxies = proxies_new(config),
			.global_rate = global_rate_of(config),
		},
		.proxy_protocol = config->proxy_protocol,
		.tls = tls,
	};
	return policy;
}

void policy_free(struct policy **policy)
{
	struct policy *p = *policy;

	if (p == NULL)
		return;
	auth_release(&p->live.auth);
	free(p->live.trusted_proxies.list);
	SSL_CTX_free(p->tls);
	free(p);
	*policy = NULL;
}

int policy_tls(const struct config *config, SSL_CTX **tls_r, char **error_r)
{
	SSL_CTX *tls = NULL;

	if (config->tls.cert_file[0] != '\0') {
		tls = tls_context_new(config->tls.cert_file, config->tls.key_file, error_r);
		if (tls == NULL)
			return -1;
	}
	*tls_r = tls;
	return 0;
}
