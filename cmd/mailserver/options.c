/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/options.h"

#include <stdio.h>
#include <stdlib.h>

struct config_result *options_load(const struct config_request *request, const char *command)
{
	struct config_result *result = config_load(request);
	const struct config_findings *findings = config_result_findings(result);

	for (size_t i = 0; i < findings->count; i++) {
		char *line = config_finding_format(&findings->list[i]);
		fprintf(stderr, "%s\n", line);
		free(line);
	}
	if (config_result_config(result) == NULL) {
		fprintf(stderr, "mailserver %s: the configuration is not valid (%zu %s)\n", command,
			findings->errors, findings->errors == 1 ? "error" : "errors");
		config_result_free(&result);
		return NULL;
	}
	return result;
}
