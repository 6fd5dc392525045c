/* SPDX-License-Identifier: MIT */
#include "cmd/mailserver/deliver/options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char deliver_usage[] =
	"usage: mailserver deliver [OPTION]... [--] RECIPIENT... <MESSAGE\n"
	"       mailserver deliver --flush --spool DIR [OPTION]...\n"
	"\n"
	"Sends the message on standard input to the server, for an MTA's pipe transport. Prints "
	"one\n"
	"line that begins with an enhanced status code; the exit code says the same. Whatever is "
	"not\n"
	"known to be final is a deferral: the mail stays in the MTA's queue.\n"
	"\n"
	"  --url URL             http://host:port, https://host:port or unix:/path/of/the.sock\n"
	"                        (http://127.0.0.1:3000)\n"
	"  --ca-file FILE        https: certificates to trust instead of the system's\n"
	"  --token-file FILE     holds the token; or MAIL_DELIVER_TOKEN in the environment\n"
	"  --sender ADDRESS      of the envelope; empty or <> is the null sender\n"
	"  --recipient ADDRESS   of the envelope; may repeat, and so may RECIPIENT\n"
	"  --orig-recipient ADDRESS, --client-address IP, --client-hostname NAME,\n"
	"  --client-helo NAME, --queue-id ID\n"
	"                        what else the MTA knows\n"
	"  --mta NAME            postfix (as it is without), exim or qmail: whose exit codes\n"
	"  --timeout SECONDS     for everything (120); the MTA must wait longer than that\n"
	"  --spool DIR           when the server cannot be reached, keep the message there and "
	"say\n"
	"                        that it is delivered\n"
	"  --spool-max MIB       at most so much of it (1024)\n"
	"  --flush               send what is in the spool\n"
	"\n"
	"Each of them can be set in the environment instead: --client-helo is "
	"MAIL_DELIVER_CLIENT_HELO.\n"
	"What is still missing then is taken from SENDER, RECIPIENT, CLIENT_ADDRESS, … as MTAs set "
	"them.\n";

enum { MAX_TOKEN_BYTES = 4096, MAX_TIMEOUT_S = 24 * 3600, MAX_SPOOL_MIB = 1024 * 1024 };

static bool say(char *error_r, size_t size, const char *what, const char *value)
{
	snprintf(error_r, size, "%s \"%s\"", what, value);
	return false;
}

static bool read_mta(const char *name, enum mta *mta_r)
{
	static const char *const names[] = { "postfix", "exim", "qmail" };

	for (int i = 0; i < 3; i++)
		if (strcmp(name, names[i]) == 0) {
			*mta_r = (enum mta)i;
			return true;
		}
	return false;
}

static bool read_number(const char *text, long least, long most, long *n_r)
{
	char *end;

	errno = 0;
	long n = strtol(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || n < least || n > most)
		return false;
	*n_r = n;
	return true;
}

/* What a flag or a variable says; options that are texts are put where they belong by `place`. */
struct known {
	const char *flag, *variable;
	const char *also; /* the variable in which MTAs say it */
	size_t place;     /* of a const char * in struct deliver_options */
};

#define AT(field) offsetof(struct deliver_options, field)

static const struct known texts[] = {
	{ "url", "MAIL_DELIVER_URL", NULL, AT(url) },
	{ "ca-file", "MAIL_DELIVER_CA_FILE", NULL, AT(ca_file) },
	{ "token-file", "MAIL_DELIVER_TOKEN_FILE", NULL, AT(token_file) },
	{ "sender", "MAIL_DELIVER_SENDER", "SENDER", AT(sender) },
	{ "orig-recipient", "MAIL_DELIVER_ORIG_RECIPIENT", "ORIGINAL_RECIPIENT",
		AT(orig_recipient) },
	{ "client-address", "MAIL_DELIVER_CLIENT_ADDRESS", "CLIENT_ADDRESS", AT(client_address) },
	{ "client-hostname", "MAIL_DELIVER_CLIENT_HOSTNAME", "CLIENT_HOSTNAME",
		AT(client_hostname) },
	{ "client-helo", "MAIL_DELIVER_CLIENT_HELO", "CLIENT_HELO", AT(client_helo) },
	{ "queue-id", "MAIL_DELIVER_QUEUE_ID", NULL, AT(queue_id) },
	{ "spool", "MAIL_DELIVER_SPOOL", NULL, AT(spool) },
};

enum {
	SENDER = 3, /* in texts[] */
	TEXTS = sizeof(texts) / sizeof(texts[0]),
	RECIPIENT = TEXTS,
	MTA,
	TIMEOUT,
	SPOOL_MAX,
	FLUSH,
};

static const char *variable(const char *name)
{
	return name != NULL ? getenv(name) : NULL;
}

static bool set_number(
	struct deliver_options *o, int which, const char *value, char *error_r, size_t error_size)
{
	long mib;

	switch (which) {
	case MTA:
		return read_mta(value, &o->mta) ||
		       say(error_r, error_size, "--mta is postfix, exim or qmail, not", value);
	case TIMEOUT:
		return read_number(value, 1, MAX_TIMEOUT_S, &o->timeout_s) ||
		       say(error_r, error_size, "--timeout is a number of seconds, not", value);
	default:
		if (!read_number(value, 1, MAX_SPOOL_MIB, &mib))
			return say(
				error_r, error_size, "--spool-max is a number of MiB, not", value);
		o->spool_max_bytes = (uint64_t)mib * 1024 * 1024;
		return true;
	}
}

static void set_text(struct deliver_options *o, int which, const char *value)
{
	memcpy((char *)o + texts[which].place, &value, sizeof(value));
}

static void add_recipient(struct deliver_options *o, const char *recipient)
{
	o->recipients[o->recipient_count++] = recipient;
}

static bool read_flags(
	int argc, char **argv, struct deliver_options *o, char *error_r, size_t error_size)
{
	struct option known[TEXTS + 6] = {
		[RECIPIENT] = { "recipient", required_argument, NULL, RECIPIENT },
		[MTA] = { "mta", required_argument, NULL, MTA },
		[TIMEOUT] = { "timeout", required_argument, NULL, TIMEOUT },
		[SPOOL_MAX] = { "spool-max", required_argument, NULL, SPOOL_MAX },
		[FLUSH] = { "flush", no_argument, NULL, FLUSH },
	};
	int which;
	bool is_right = true;

	for (int i = 0; i < TEXTS; i++)
		known[i] = (struct option){ texts[i].flag, required_argument, NULL, i };
	opterr = 0; /* standard error goes nowhere in most MTAs */
	while ((which = getopt_long(argc, argv, "", known, NULL)) != -1) {
		o->has_envelope |= which == RECIPIENT || which == SENDER;
		if (which == '?' && is_right)
			is_right = say(error_r, error_size,
				"unknown, or without its value:", argv[optind - 1]);
		else if (which == RECIPIENT)
			add_recipient(o, optarg);
		else if (which == FLUSH)
			o->flush = true;
		else if (which >= 0 && which < TEXTS)
			set_text(o, which, optarg);
		else if (which != '?' && is_right)
			is_right = set_number(o, which, optarg, error_r, error_size);
		else if (which == MTA) /* after a mistake: its exit code counts all the same */
			read_mta(optarg, &o->mta);
	}
	o->has_envelope |= optind < argc;
	while (optind < argc)
		add_recipient(o, argv[optind++]);
	return is_right;
}

static bool read_environment(struct deliver_options *o, char *error_r, size_t error_size)
{
	static const struct {
		const char *variable;
		int which;
	} numbers[] = {
		{ "MAIL_DELIVER_MTA", MTA },
		{ "MAIL_DELIVER_TIMEOUT", TIMEOUT },
		{ "MAIL_DELIVER_SPOOL_MAX", SPOOL_MAX },
	};

	for (int i = 0; i < 3; i++) {
		const char *value = variable(numbers[i].variable);
		if (value != NULL && value[0] != '\0' &&
			!set_number(o, numbers[i].which, value, error_r, error_size))
			return false;
	}
	for (int i = 0; i < TEXTS; i++) {
		const char *value = variable(texts[i].variable);
		if (value == NULL)
			value = variable(texts[i].also);
		set_text(o, i, value);
	}
	o->token = variable("MAIL_DELIVER_TOKEN");
	return true;
}

/* What Exim and qmail say in their own ways, where nothing else does. */
static void ask_mta(struct deliver_options *o)
{
	const char *recipient = variable("MAIL_DELIVER_RECIPIENT");

	if (recipient == NULL)
		recipient = variable("RECIPIENT");
	if (o->recipient_count == 0 && recipient != NULL && recipient[0] != '\0')
		add_recipient(o, recipient);
	if (o->mta == MTA_EXIM && o->queue_id == NULL)
		o->queue_id = variable("MESSAGE_ID");
	/* A bounce that could not be delivered. */
	if (o->mta == MTA_QMAIL && o->sender != NULL && strcmp(o->sender, "#@[]") == 0)
		o->sender = "";
}

bool deliver_options_read(
	int argc, char **argv, struct deliver_options *options_r, char *error_r, size_t error_size)
{
	*options_r = (struct deliver_options){
		.timeout_s = DELIVER_TIMEOUT_S,
		.spool_max_bytes = (uint64_t)DELIVER_SPOOL_MIB * 1024 * 1024,
		.recipients = calloc((size_t)argc + 1, sizeof(*options_r->recipients)),
	};
	if (options_r->recipients == NULL)
		abort();
	bool is_right = read_environment(options_r, error_r, error_size);
	char ignored[1];
	is_right = read_flags(argc, argv, options_r, is_right ? error_r : ignored,
			   is_right ? error_size : sizeof(ignored)) &&
		   is_right;
	ask_mta(options_r);
	if (options_r->url == NULL || options_r->url[0] == '\0')
		options_r->url = "http://127.0.0.1:3000";
	if (!is_right)
		return false;
	if (options_r->flush && options_r->spool == NULL)
		snprintf(error_r, error_size, "--flush needs --spool: what is to be sent?");
	else if (options_r->flush && options_r->has_envelope)
		snprintf(
			error_r, error_size, "--flush sends the spool, not a message: no envelope");
	else if (!options_r->flush && options_r->recipient_count == 0)
		snprintf(error_r, error_size, "no recipient: give --recipient");
	else if (!options_r->flush && options_r->sender == NULL)
		snprintf(
			error_r, error_size, "no sender: give --sender, empty for the null sender");
	else
		return true;
	return false;
}

char *deliver_token(const struct deliver_options *options, char *error_r, size_t error_size)
{
	char text[MAX_TOKEN_BYTES + 1];
	struct slice token = slice_str(options->token);

	if (options->token_file != NULL) {
		int fd = open(options->token_file, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
		if (n < 0)
			snprintf(error_r, error_size, "cannot read the token file %s: %s",
				options->token_file, strerror(errno));
		if (fd >= 0)
			close(fd);
		if (n < 0)
			return NULL;
		token = (struct slice){ text, (size_t)n };
	}
	token = slice_trim(token);
	if (token.len == 0) {
		snprintf(error_r, error_size, "no token: give --token-file or MAIL_DELIVER_TOKEN");
		return NULL;
	}
	for (size_t i = 0; i < token.len; i++)
		if (token.base[i] <= ' ' || token.base[i] > '~' || token.len > MAX_TOKEN_BYTES) {
			snprintf(error_r, error_size, "what is in %s is not one token",
				options->token_file != NULL ? options->token_file
							    : "MAIL_DELIVER_TOKEN");
			return NULL;
		}
	char *copy = strndup(token.base, token.len);
	if (copy == NULL)
		abort();
	return copy;
}

/* ---- header fields ---- */

/* A server takes about a hundred fields; so many recipients get one each. */
enum { FIELDS_OF_ONE = 60, FIELD_BYTES = 4000 };

static bool is_clean(const char *value)
{
	for (const char *p = value; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	return true;
}

/* Whether it stays one recipient in a list with commas. */
static bool is_plain(const char *recipient)
{
	return strpbrk(recipient, ",\"\\<> ") == NULL && strchr(recipient, '@') != NULL;
}

static void add_field(struct buf *headers, const char *name, const char *value)
{
	if (value != NULL && value[0] != '\0')
		buf_printf(headers, "%s: %s\r\n", name, value);
}

static void add_recipients(const struct deliver_options *o, struct buf *headers)
{
	static const char name[] = "X-Original-Recipient";
	bool joins = o->recipient_count > FIELDS_OF_ONE;
	size_t began = 0; /* where the field of plain ones began; 0: there is none */

	for (size_t i = 0; i < o->recipient_count; i++)
		if (!joins || !is_plain(o->recipients[i]))
			add_field(headers, name, o->recipients[i]);
	for (size_t i = 0; joins && i < o->recipient_count; i++) {
		if (!is_plain(o->recipients[i]))
			continue;
		if (began != 0 && headers->len - began < FIELD_BYTES) {
			buf_printf(headers, ", %s", o->recipients[i]);
			continue;
		}
		if (began != 0)
			buf_puts(headers, "\r\n");
		buf_printf(headers, "%s: %s", name, o->recipients[i]);
		began = headers->len;
	}
	if (began != 0)
		buf_puts(headers, "\r\n");
}

bool deliver_headers(const struct deliver_options *options, struct buf *headers, char *error_r,
	size_t error_size)
{
	const struct {
		const char *name, *value;
	} fields[] = {
		{ "X-Original-Orig-Recipient", options->orig_recipient },
		{ "X-Original-Client-Address", options->client_address },
		{ "X-Original-Client-Hostname", options->client_hostname },
		{ "X-Original-Helo", options->client_helo },
		{ "X-Original-Queue-Id", options->queue_id },
	};
	size_t odd = 0;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (fields[i].value != NULL && !is_clean(fields[i].value))
			return say(error_r, error_size, "a control character in", fields[i].value);
		add_field(headers, fields[i].name, fields[i].value);
	}
	if (!is_clean(options->sender))
		return say(error_r, error_size, "a control character in", options->sender);
	add_field(
		headers, "X-Original-Sender", options->sender[0] != '\0' ? options->sender : "<>");
	for (size_t i = 0; i < options->recipient_count; i++) {
		if (!is_clean(options->recipients[i]) || options->recipients[i][0] == '\0')
			return say(error_r, error_size, "not a recipient:", options->recipients[i]);
		odd += !is_plain(options->recipients[i]);
	}
	if (options->recipient_count > FIELDS_OF_ONE && odd > FIELDS_OF_ONE)
		headers->truncated = true;
	add_recipients(options, headers);
	if (!headers->truncated)
		return true;
	snprintf(error_r, error_size,
		"%zu recipients are too many for one call: let the MTA give fewer",
		options->recipient_count);
	return false;
}
