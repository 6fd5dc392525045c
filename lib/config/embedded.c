/* SPDX-License-Identifier: MIT */
#include "lib/config/config.h"
#include "lib/embed.h"

EMBED(config_schema_json, "schemas/config.schema.json");
