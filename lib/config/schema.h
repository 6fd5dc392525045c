/* SPDX-License-Identifier: MIT */
/* schema.h - JSON Schema (draft-07): does this JSON text have the described shape?
 *
 * valijson behind a C interface; schema.cc is the program's only C++. No exception leaves it, and
 * allocation failure aborts. Remote references are not fetched. Patterns are ECMAScript regular
 * expressions whose matching recurses: bound the length of the text that is checked.
 *
 * Threads    A schema belongs to one thread at a time. */
#ifndef LIB_CONFIG_SCHEMA_H
#define LIB_CONFIG_SCHEMA_H

#ifdef __cplusplus
extern "C" {
#endif

struct schema;

enum schema_verdict {
	SCHEMA_VALID,
	SCHEMA_INVALID,    /* every reason was reported, at least one */
	SCHEMA_UNREADABLE, /* the text is not JSON; that was reported with the pointer "" */
};

/* One reason: the JSON pointer of the value at fault, and the rule it breaks in the words of the
 * validator. Both are borrowed until the function returns. A map or list is reported for its own
 * faults, not for those of what it holds. */
typedef void schema_report_fn(void *data, const char *pointer, const char *rule);

/* NULL when the text is not a schema; `*error_r`, which may be NULL, then says why: free() it. */
struct schema *schema_new(const char *json, char **error_r);
void schema_free(struct schema **schema); /* accepts a pointer to NULL */

enum schema_verdict schema_check(
	struct schema *schema, const char *json, schema_report_fn *report, void *data);

#ifdef __cplusplus
}
#endif

#endif
