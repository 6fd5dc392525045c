/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/deliver/http.h"
#include "cmd/mailserver/deliver/io.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>

/* What is used of libcurl. */
struct library {
	CURLcode (*global_init)(long flags);
	CURL *(*easy_init)(void);
	CURLcode (*easy_setopt)(CURL *curl, CURLoption option, ...);
	CURLcode (*easy_perform)(CURL *curl);
	CURLcode (*easy_getinfo)(CURL *curl, CURLINFO info, ...);
	void (*easy_cleanup)(CURL *curl);
	struct curl_slist *(*slist_append)(struct curl_slist *list, const char *line);
	void (*slist_free_all)(struct curl_slist *list);
	const char *(*easy_strerror)(CURLcode code);
};

static bool load(struct library *lib_r, char *error_r, size_t error_size)
{
	const struct {
		const char *name;
		void *at;
	} wanted[] = {
		{ "curl_global_init", &lib_r->global_init },
		{ "curl_easy_init", &lib_r->easy_init },
		{ "curl_easy_setopt", &lib_r->easy_setopt },
		{ "curl_easy_perform", &lib_r->easy_perform },
		{ "curl_easy_getinfo", &lib_r->easy_getinfo },
		{ "curl_easy_cleanup", &lib_r->easy_cleanup },
		{ "curl_slist_append", &lib_r->slist_append },
		{ "curl_slist_free_all", &lib_r->slist_free_all },
		{ "curl_easy_strerror", &lib_r->easy_strerror },
	};
	/* Stays loaded until the process ends. */
	void *library = dlopen("libcurl.so.4", RTLD_LAZY | RTLD_LOCAL);

	for (size_t i = 0; library != NULL && i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		void *symbol = dlsym(library, wanted[i].name);
		if (symbol == NULL)
			library = NULL;
		else
			memcpy(wanted[i].at, &symbol, sizeof(symbol));
	}
	if (library == NULL)
		snprintf(error_r, error_size, "https needs libcurl (package libcurl4): %s",
			dlerror());
	return library != NULL && lib_r->global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

struct transfer {
	const struct message *message;
	uint64_t sent;
	bool is_unreadable;
	struct http_answer *answer;
};

static size_t on_read(char *p, size_t size, size_t count, void *data)
{
	struct transfer *t = data;
	ssize_t n = message_read_at(t->message, t->sent, p, size * count);

	if (n < 0) {
		t->is_unreadable = true;
		return CURL_READFUNC_ABORT;
	}
	t->sent += (uint64_t)n;
	return (size_t)n;
}

static size_t on_field(char *p, size_t size, size_t count, void *data)
{
	struct transfer *t = data;
	struct slice line = { p, size * count };
	const char *colon = memchr(line.base, ':', line.len);

	if (colon != NULL) {
		size_t name_len = (size_t)(colon - line.base);
		answer_note_field(t->answer, (struct slice){ line.base, name_len },
			(struct slice){ colon + 1, line.len - name_len - 1 });
	}
	return line.len;
}

static size_t on_body(char *p, size_t size, size_t count, void *data)
{
	struct transfer *t = data;

	buf_add(&t->answer->body, p, size * count);
	return t->answer->body.truncated ? 0 : size * count;
}

static struct curl_slist *header_list(const struct library *lib, struct slice headers)
{
	struct curl_slist *list = NULL;
	struct buf line;

	buf_init(&line, headers.len + 1);
	while (headers.len > 0) {
		size_t len = (size_t)((const char *)memchr(headers.base, '\r', headers.len) -
				      headers.base);
		buf_clear(&line);
		buf_add(&line, headers.base, len);
		list = lib->slist_append(list, line.base);
		headers.base += len + 2;
		headers.len -= len + 2;
	}
	buf_deinit(&line);
	return list;
}

static void set_up(const struct library *lib, CURL *curl, const struct http_post *post,
	struct transfer *t, struct curl_slist *headers)
{
	long left_ms = (long)(post->deadline_ms - clock_ms());

	lib->easy_setopt(curl, CURLOPT_URL, post->target->url);
	lib->easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	lib->easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	lib->easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever the environment says */
	lib->easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	lib->easy_setopt(curl, CURLOPT_POST, 1L);
	lib->easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->message->size);
	lib->easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	lib->easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
	lib->easy_setopt(curl, CURLOPT_READDATA, t);
	lib->easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_field);
	lib->easy_setopt(curl, CURLOPT_HEADERDATA, t);
	lib->easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	lib->easy_setopt(curl, CURLOPT_WRITEDATA, t);
	lib->easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_MS);
	lib->easy_setopt(curl, CURLOPT_TIMEOUT_MS, left_ms > 0 ? left_ms : 1L);
	if (post->ca_file != NULL) {
		lib->easy_setopt(curl, CURLOPT_CAINFO, post->ca_file);
		lib->easy_setopt(curl, CURLOPT_CAPATH, NULL);
	}
}

static enum http_result judge(CURLcode code, const struct transfer *t)
{
	if (t->is_unreadable)
		return HTTP_UNREADABLE;
	switch (code) {
	case CURLE_OK:
		return HTTP_ANSWERED;
	case CURLE_OPERATION_TIMEDOUT:
		return t->sent > 0 ? HTTP_TIMED_OUT : HTTP_NOT_REACHED;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_WRITE_ERROR:
		return HTTP_CUT_SHORT;
	default:
		return t->sent > 0 ? HTTP_CUT_SHORT : HTTP_NOT_REACHED;
	}
}

enum http_result https_post(struct http_post *post, struct http_answer *answer_r)
{
	struct transfer t = { .message = post->message, .answer = answer_r };
	char why[CURL_ERROR_SIZE] = "";
	struct library lib;
	long status = 0;

	if (!load(&lib, post->error, sizeof(post->error)))
		return HTTP_NO_LIBRARY;
	CURL *curl = lib.easy_init();
	if (curl == NULL) {
		snprintf(post->error, sizeof(post->error), "libcurl does not start");
		return HTTP_NO_LIBRARY;
	}
	struct curl_slist *headers = header_list(&lib, post->headers);
	set_up(&lib, curl, post, &t, headers);
	lib.easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
	CURLcode code = lib.easy_perform(curl);
	lib.easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	answer_r->status = (int)status;
	enum http_result result = judge(code, &t);
	if (result != HTTP_ANSWERED)
		snprintf(post->error, sizeof(post->error), "%s: %s", post->target->authority,
			why[0] != '\0' ? why : lib.easy_strerror(code));
	lib.easy_cleanup(curl);
	lib.slist_free_all(headers);
	return result;
}
