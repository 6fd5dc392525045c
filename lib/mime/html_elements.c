/* SPDX-License-Identifier: MIT */
#include "lib/mime/html.h"

#include <stdlib.h>

static const struct element {
	char name[HTML_NAME_MAX + 1];
	enum html_kind kind;
} elements[] = {
	/* in the order of strcmp() */
	{ "a", HTML_LINK },
	{ "address", HTML_LINE },
	{ "article", HTML_LINE },
	{ "aside", HTML_LINE },
	{ "blockquote", HTML_QUOTE },
	{ "body", HTML_LINE },
	{ "br", HTML_BREAK },
	{ "button", HTML_CELL },
	{ "caption", HTML_LINE },
	{ "center", HTML_LINE },
	{ "dd", HTML_LINE },
	{ "details", HTML_LINE },
	{ "div", HTML_LINE },
	{ "dl", HTML_PARAGRAPH },
	{ "dt", HTML_LINE },
	{ "fieldset", HTML_LINE },
	{ "figcaption", HTML_LINE },
	{ "figure", HTML_LINE },
	{ "footer", HTML_LINE },
	{ "form", HTML_LINE },
	{ "h1", HTML_PARAGRAPH },
	{ "h2", HTML_PARAGRAPH },
	{ "h3", HTML_PARAGRAPH },
	{ "h4", HTML_PARAGRAPH },
	{ "h5", HTML_PARAGRAPH },
	{ "h6", HTML_PARAGRAPH },
	{ "header", HTML_LINE },
	{ "hr", HTML_RULE },
	{ "html", HTML_LINE },
	{ "iframe", HTML_NO_TEXT },
	{ "img", HTML_IMAGE },
	{ "legend", HTML_LINE },
	{ "li", HTML_ITEM },
	{ "main", HTML_LINE },
	{ "menu", HTML_LIST },
	{ "nav", HTML_LINE },
	{ "noembed", HTML_NO_TEXT },
	{ "noframes", HTML_NO_TEXT },
	{ "ol", HTML_NUMBERED },
	{ "option", HTML_LINE },
	{ "p", HTML_PARAGRAPH },
	{ "pre", HTML_PREFORMATTED },
	{ "script", HTML_NO_TEXT },
	{ "section", HTML_LINE },
	{ "style", HTML_NO_TEXT },
	{ "summary", HTML_LINE },
	{ "table", HTML_ROW },
	{ "td", HTML_CELL },
	{ "template", HTML_NO_TEXT },
	{ "textarea", HTML_PREFORMATTED },
	{ "th", HTML_CELL },
	{ "title", HTML_NO_TEXT },
	{ "tr", HTML_ROW },
	{ "ul", HTML_LIST },
	{ "xml", HTML_NO_TEXT },
	{ "xmp", HTML_NO_TEXT },
};

static int compare(const void *name, const void *element)
{
	return strcmp(name, ((const struct element *)element)->name);
}

enum html_kind html_kind_of(const char *name)
{
	const struct element *found = bsearch(name, elements,
		sizeof(elements) / sizeof(elements[0]), sizeof(elements[0]), compare);

	return found != NULL ? found->kind : HTML_INLINE;
}

bool html_is_void(const char *name)
{
	static const char *const names[] = { "area", "base", "br", "col", "embed", "hr", "img",
		"input", "link", "meta", "param", "source", "track", "wbr" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return name[0] == '\0';
}
