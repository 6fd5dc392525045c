/* SPDX-License-Identifier: MIT */
/* What mail programs write around quotations, in the languages that they write it in. */
#include "lib/mime/reply.h"

#include <ctype.h>

enum {
	LONGEST_ATTRIBUTION = 500,
	LONGEST_LINE = 200, /* of the other kinds */
	LONGEST_LABEL = 40,
	LONG_RULER = 5,
};

/* How a line begins that says who wrote what follows, and what else is in it. */
static const struct {
	const char *begin, *verb;
} attributions[] = {
	{ "On ", "wrote" },
	{ "Am ", "schrieb" },
	{ "Le ", "a \u00e9crit" },
	{ "El ", "escribi\u00f3" },
	{ "Op ", "schreef" },
	{ "Op ", "geschreven" },
	{ "Il ", "ha scritto" },
	{ "Em ", "escreveu" },
	{ "A ", "escreveu" },
	{ "Den ", "skrev" },
	{ "P\u00e5 ", "skrev" },
	{ "W dniu ", "napisa\u0142" },
	{ "W dniu ", "pisze" },
	{ "Dnia ", "napisa\u0142" },
	{ "Dne ", "napsal" },
	{ "\u5728", "\u5199\u9053" },
	{ "\u65bc", "\u5beb\u9053" },
	{ "\u65bc ", "\u5beb\u9053" },
};

/* The same for lines that begin with the year or the name. */
static const char *const verbs[] = { "wrote", "writes", "schrieb", "schreibt", "a \u00e9crit",
	"escribi\u00f3", "schreef", "ha scritto", "escreveu", "skrev", "napisa\u0142", "pisze",
	"napsal", "\u043f\u0438\u0448\u0435\u0442", "\u043d\u0430\u043f\u0438\u0441\u0430\u043b",
	"\u306e\u30e1\u30fc\u30eb", "\u306e\u30e1\u30c3\u30bb\u30fc\u30b8",
	"\u66f8\u304d\u307e\u3057\u305f", "\u66f8\u3044\u305f", "\uc791\uc131", "\u5199\u9053",
	"\u5beb\u9053", NULL };

static const char *const from_labels[] = { "From", "Von", "De", "Van", "Da", "Fr\u00e5n", "Fra",
	"Od", "\u041e\u0442", "\u5dee\u51fa\u4eba", "\u9001\u4fe1\u8005", "\u53d1\u4ef6\u4eba",
	"\u5bc4\u4ef6\u8005", "\ubcf4\ub0b8 \uc0ac\ub78c", NULL };

static const char *const labels[] = { "Sent", "Date", "To", "Cc", "Bcc", "Subject", "Reply-To",
	"Gesendet", "Datum", "An", "Kopie", "Betreff", "Envoy\u00e9", "Date d'envoi", "\u00c0",
	"Objet", "Enviado", "Enviado el", "Fecha", "Para", "CC", "Asunto", "Verzonden", "Aan",
	"Onderwerp", "Inviato", "Data", "A", "Oggetto", "Enviada em", "Assunto", "Skickat", "Till",
	"\u00c4mne", "Sendt", "Til", "Emne", "Wys\u0142ano", "Do", "Temat", "DW",
	"\u0414\u0430\u0442\u0430", "\u041e\u0442\u043f\u0440\u0430\u0432\u043b\u0435\u043d\u043e",
	"\u041a\u043e\u043c\u0443", "\u0422\u0435\u043c\u0430", "\u9001\u4fe1\u65e5\u6642",
	"\u65e5\u6642", "\u5b9b\u5148", "\u4ef6\u540d", "\u53d1\u9001\u65f6\u95f4",
	"\u6536\u4ef6\u4eba", "\u4e3b\u9898", "\u6284\u9001", "\ubcf4\ub0b8 \ub0a0\uc9dc",
	"\ubc1b\ub294 \uc0ac\ub78c", "\uc81c\ubaa9", NULL };

/* Between dashes. */
static const char *const dividers[] = { "Original Message", "Original-Message", "Original message",
	"Original Appointment", "Original email", "Forwarded message", "Forwarded by",
	"Urspr\u00fcngliche Nachricht", "Original-Nachricht", "Originalnachricht",
	"Urspr\u00fcnglicher Termin", "Weitergeleitete Nachricht", "Message d'origine",
	"Message d\u2019origine", "Message original", "Message initial",
	"Message transf\u00e9r\u00e9", "Mensaje original", "Mensaje reenviado", "Forwarded Message",
	"Oorspronkelijk bericht", "Doorgestuurd bericht", "Messaggio originale",
	"Messaggio inoltrato", "Mensagem original", "Mensagem encaminhada",
	"Ursprungligt meddelande", "Oprindelig meddelelse", "Opprinnelig melding",
	"Wiadomo\u015b\u0107 oryginalna",
	"\u0418\u0441\u0445\u043e\u0434\u043d\u043e\u0435 "
	"\u0441\u043e\u043e\u0431\u0449\u0435\u043d\u0438\u0435",
	"\u041f\u0435\u0440\u0435\u0441\u044b\u043b\u0430\u0435\u043c\u043e\u0435 "
	"\u0441\u043e\u043e\u0431\u0449\u0435\u043d\u0438\u0435",
	"\u5143\u306e\u30e1\u30c3\u30bb\u30fc\u30b8",
	"\u30aa\u30ea\u30b8\u30ca\u30eb \u30e1\u30c3\u30bb\u30fc\u30b8",
	"\u8ee2\u9001\u30e1\u30c3\u30bb\u30fc\u30b8", "\u539f\u59cb\u90ae\u4ef6",
	"\u90ae\u4ef6\u539f\u4ef6", "\u8f6c\u53d1\u90ae\u4ef6", "\uc6d0\ubcf8 \uba54\uc2dc\uc9c0",
	NULL };

/* On their own. */
static const char *const bare_dividers[] = { "Begin forwarded message:",
	"Anfang der weitergeleiteten Nachricht:", "Anfang der weitergeleiteten E-Mail:",
	"D\u00e9but du message r\u00e9exp\u00e9di\u00e9",
	"D\u00e9but du message transf\u00e9r\u00e9", "Inicio del mensaje reenviado:",
	"Begin doorgestuurd bericht:", "Inizio messaggio inoltrato:",
	"\u8ee2\u9001\u3055\u308c\u305f\u30e1\u30c3\u30bb\u30fc\u30b8", NULL };

static const char *const device_signatures[] = { "Sent from my ", "Sent from Mail for ",
	"Sent from Outlook", "Sent from Yahoo Mail", "Sent from iPhone", "Sent from Samsung",
	"Sent from Proton", "Sent via ", "Sent with ", "Sent using ", "Get Outlook for ",
	"Get BlueMail for ", "Von meinem ", "Gesendet von ", "Gesendet mit ",
	"Holen Sie sich Outlook", "Outlook f\u00fcr ", "Diese Nachricht wurde von meinem ",
	"Envoy\u00e9 de mon ", "Envoy\u00e9 depuis ", "Envoy\u00e9 \u00e0 partir de ",
	"Obtenez Outlook pour ", "T\u00e9l\u00e9charger Outlook pour ", "Enviado desde ",
	"Enviado de mi ", "Enviado do meu ", "Obtener Outlook para ", "Verzonden vanaf ",
	"Verstuurd vanaf ", "Verzonden met ", "Verstuurd met ", "Outlook voor ", "Inviato da ",
	"Skickat fr\u00e5n ", "Sendt fra ", "Wys\u0142ane z ",
	"\u041e\u0442\u043f\u0440\u0430\u0432\u043b\u0435\u043d\u043e \u0441 ", NULL };
static const char *const device_endings[] = { "\u304b\u3089\u9001\u4fe1", /* からの送信 */
	"\u304b\u3089\u306e\u9001\u4fe1", NULL };

static bool begins_with(struct slice s, const char *prefix)
{
	return slice_ibegins(s, slice_str(prefix));
}

static bool begins_with_any(struct slice s, const char *const *prefixes)
{
	for (; *prefixes != NULL; prefixes++) {
		/* A glance at the first byte, in either case, spares most comparisons. */
		if (s.len > 0 && ((s.base[0] ^ **prefixes) & ~0x20) == 0 &&
			begins_with(s, *prefixes))
			return true;
	}
	return false;
}

static bool ends_with(struct slice s, const char *suffix)
{
	return slice_ends(s, slice_str(suffix));
}

static bool has(struct slice s, const char *word)
{
	return memmem(s.base, s.len, word, strlen(word)) != NULL;
}

static struct slice without_front(struct slice s, size_t n)
{
	return (struct slice){ s.base + n, s.len - n };
}

/* The length of the blank that `s` begins or ends with: besides ASCII's the no-break spaces, the
 * ideographic space and the direction marks. */
static size_t blank_at(struct slice s, bool at_end)
{
	static const char *const wide[] = { "\u00a0", "\u202f", "\u3000", "\u200e", "\u200f",
		"\u200b", "\ufeff" };

	if (s.len == 0)
		return 0;
	unsigned char c = (unsigned char)s.base[at_end ? s.len - 1 : 0];
	if (c == ' ' || c == '\t' || c == '\r')
		return 1;
	for (size_t i = 0; c > 0x7f && i < sizeof(wide) / sizeof(wide[0]); i++) {
		if (at_end ? ends_with(s, wide[i]) : begins_with(s, wide[i]))
			return strlen(wide[i]);
	}
	return 0;
}

struct slice reply_trim(struct slice line)
{
	size_t n;

	while ((n = blank_at(line, false)) > 0)
		line = without_front(line, n);
	while ((n = blank_at(line, true)) > 0)
		line.len -= n;
	return line;
}

static bool is_dash(char c)
{
	return c == '-' || c == '_' || c == '=' || c == '*';
}

bool reply_is_ruler(struct slice line)
{
	if (line.len < LONG_RULER)
		return false;
	for (size_t i = 0; i < line.len; i++) {
		if (!is_dash(line.base[i]))
			return false;
	}
	return true;
}

bool reply_is_divider(struct slice line)
{
	if (line.len == 0 || line.len > LONGEST_LINE)
		return false;
	if (!islower((unsigned char)line.base[0]) && has(line, "above this line"))
		return true;
	if (line.len > 4 && is_dash(line.base[0]) && is_dash(line.base[1])) {
		while (line.len > 0 && (is_dash(line.base[0]) || line.base[0] == ' '))
			line = without_front(line, 1);
		return begins_with_any(line, dividers);
	}
	return begins_with_any(line, bare_dividers);
}

bool reply_is_device_signature(struct slice line)
{
	if (line.len > LONGEST_LINE)
		return false;
	for (const char *const *end = device_endings; *end != NULL; end++) {
		if (ends_with(line, *end))
			return true;
	}
	return begins_with_any(line, device_signatures);
}

/* `Label:`, perhaps set in bold by asterisks, perhaps with a blank or a wide colon. */
static bool is_label_of(struct slice line, const char *const *list)
{
	static const char wide_colon[] = "\uff1a";
	struct slice head = { line.base, line.len < LONGEST_LABEL ? line.len : LONGEST_LABEL };
	const char *colon = memchr(head.base, ':', head.len), *wide = NULL;

	if (memchr(head.base, wide_colon[0], head.len) != NULL)
		wide = memmem(head.base, head.len, wide_colon, sizeof(wide_colon) - 1);
	if (colon == NULL || (wide != NULL && wide < colon))
		colon = wide;
	if (colon == NULL)
		return false;
	head.len = (size_t)(colon - head.base);
	while (head.len > 0 && head.base[0] == '*')
		head = without_front(head, 1);
	while (head.len > 0 && head.base[head.len - 1] == '*')
		head.len--;
	head = reply_trim(head);
	for (; *list != NULL; list++) {
		if (slice_ieq(head, slice_str(*list)))
			return true;
	}
	return false;
}

bool reply_is_from_label(struct slice line)
{
	return line.len > 0 && is_label_of(line, from_labels);
}

bool reply_is_label(struct slice line)
{
	return line.len > 0 && is_label_of(line, labels);
}

/* Attributions */

static bool is_digit(struct slice s, size_t i)
{
	return i < s.len && isdigit((unsigned char)s.base[i]);
}

static bool is_year(struct slice s, size_t i)
{
	return is_digit(s, i) && is_digit(s, i + 1) && is_digit(s, i + 2) && is_digit(s, i + 3) &&
	       !is_digit(s, i + 4) && (i == 0 || !is_digit(s, i - 1)) &&
	       (memcmp(s.base + i, "19", 2) == 0 || memcmp(s.base + i, "20", 2) == 0);
}

static bool has_year(struct slice s)
{
	for (size_t i = 0; i + 4 <= s.len; i++) {
		if (is_year(s, i))
			return true;
	}
	return false;
}

/* 10:20, or 10.20, or 10h20 */
static bool has_time(struct slice s)
{
	for (size_t i = 1; i + 2 < s.len; i++) {
		if (strchr(":.h", s.base[i]) != NULL && is_digit(s, i - 1) && is_digit(s, i + 1) &&
			is_digit(s, i + 2))
			return true;
	}
	return false;
}

static bool has_verb(struct slice s)
{
	for (const char *const *verb = verbs; *verb != NULL; verb++) {
		if (has(s, *verb))
			return true;
	}
	return false;
}

bool reply_ends_with_colon(struct slice line)
{
	return ends_with(line, ":") || ends_with(line, "\uff1a");
}

bool reply_begins_attribution(struct slice line)
{
	if (line.len == 0 || line.len > LONGEST_ATTRIBUTION)
		return false;
	if (is_year(line, 0))
		return true;
	for (size_t i = 0; i < sizeof(attributions) / sizeof(attributions[0]); i++) {
		if (line.base[0] == attributions[i].begin[0] &&
			begins_with(line, attributions[i].begin))
			return true;
	}
	return false;
}

enum reply_attribution reply_attribution(struct slice s, bool broken)
{
	bool dated, known = false;

	if (s.len > LONGEST_ATTRIBUTION || !reply_ends_with_colon(s))
		return REPLY_NO_ATTRIBUTION;
	dated = has(s, "@") || has_year(s) || has_time(s);
	for (size_t i = 0; i < sizeof(attributions) / sizeof(attributions[0]); i++) {
		if (begins_with(s, attributions[i].begin) && has(s, attributions[i].verb))
			known = true;
	}
	if (is_year(s, 0) && (has_verb(s) || has(s, "@")))
		known = true;
	if (known)
		return dated ? REPLY_SURELY : REPLY_PERHAPS;
	if (broken)
		return REPLY_NO_ATTRIBUTION;
	/* Gmail's in other languages: "пт, 7 нояб. 2025 г. в 10:20, Name <address>:" */
	if (has(s, "@") && has_year(s) && has_time(s))
		return REPLY_SURELY;
	return has_verb(s) || has(s, "@") ? REPLY_PERHAPS : REPLY_NO_ATTRIBUTION;
}
