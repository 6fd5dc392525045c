/* SPDX-License-Identifier: MIT */
#define VALIJSON_USE_EXCEPTIONS 1

/* GCC 12 takes <regex> for faulty when sanitizers are on (GCC bug 105562). */
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

#include "lib/config/schema.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <string>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>
#include <vector>

using nlohmann::json;
using valijson::ValidationResults;
using valijson::adapters::NlohmannJsonAdapter;
using Path = std::vector<std::string>;

struct schema {
	valijson::Schema rules;
};

/* valijson names the way to a value `<root>`, `[storage]`, `[url]`. */
static std::string pointer_of(const Path &path)
{
	std::string pointer;

	for (size_t i = 1; i < path.size(); i++) {
		pointer += '/';
		for (char c : path[i].substr(1, path[i].size() - 2)) {
			if (c == '~')
				pointer += "~0";
			else if (c == '/')
				pointer += "~1";
			else
				pointer += c;
		}
	}
	return pointer;
}

static bool lies_within(const Path &inner, const Path &outer)
{
	return inner.size() > outer.size() && std::equal(outer.begin(), outer.end(), inner.begin());
}

/* valijson follows the report about a value by one about each map or list around it. */
static bool is_echo(const ValidationResults::Error &error, const ValidationResults::Error *before)
{
	return before != nullptr && lies_within(before->context, error.context) &&
	       error.description.rfind("Failed to validate", 0) == 0;
}

static void report_all(const ValidationResults &results, schema_report_fn *report, void *data)
{
	const ValidationResults::Error *before = nullptr;

	for (const auto &error : results) {
		if (!is_echo(error, before))
			report(data, pointer_of(error.context).c_str(), error.description.c_str());
		before = &error;
	}
	if (before == nullptr)
		report(data, "", "The value does not have the described shape.");
}

struct schema *schema_new(const char *text, char **error_r)
{
	try {
		auto fresh = std::make_unique<schema>();
		json document = json::parse(text);
		valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
		parser.populateSchema(NlohmannJsonAdapter(document), fresh->rules);
		return fresh.release();
	} catch (const std::bad_alloc &) {
		std::abort();
	} catch (const std::exception &e) {
		if (error_r != nullptr)
			*error_r = strdup(e.what());
		return nullptr;
	}
}

void schema_free(struct schema **s)
{
	delete *s;
	*s = nullptr;
}

enum schema_verdict schema_check(
	struct schema *s, const char *text, schema_report_fn *report, void *data)
{
	try {
		json document = json::parse(text);
		ValidationResults results;
		valijson::Validator validator(valijson::Validator::kStrongTypes);
		if (validator.validate(s->rules, NlohmannJsonAdapter(document), &results))
			return SCHEMA_VALID;
		report_all(results, report, data);
		return SCHEMA_INVALID;
	} catch (const std::bad_alloc &) {
		std::abort();
	} catch (const json::exception &e) {
		report(data, "", e.what());
		return SCHEMA_UNREADABLE;
	} catch (const std::exception &e) {
		/* A rule that cannot be applied, such as a pattern that is no regular expression. */
		report(data, "", e.what());
		return SCHEMA_INVALID;
	}
}
