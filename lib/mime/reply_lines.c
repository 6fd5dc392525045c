/* SPDX-License-Identifier: MIT */
/* What mail programs write around quotations, in the languages that they write it in. */
#include "lib/mime/reply.h"

#include <ctype.h>

enum {
	LONGEST_LINE = 200,
	LONGEST_LABEL = 40,
	LONG_RULER = 3,
	LONG_DASHES = 5,
	DIVIDER_DASHES = 2, /* on each side */
};

static const char *const from_labels[] = { "From", "Von", "De", "Van", "Da", "Fr\u00e5n", "Fra",
	"Od", "\u041e\u0442", "\u0412\u0456\u0434", "\u5dee\u51fa\u4eba", "\u9001\u4fe1\u8005",
	"\u9001\u4fe1\u5143", "\u53d1\u4ef6\u4eba", "\u5bc4\u4ef6\u8005", "\u5bc4\u4ef6\u4eba",
	"\ubcf4\ub0b8 \uc0ac\ub78c", "\ubcf4\ub0b8\uc0ac\ub78c", "L\u00e4hett\u00e4j\u00e4",
	"Kimden", "G\u00f6nderen", "Felad\u00f3", "T\u1eeb", "De la", "\u0391\u03c0\u03cc",
	"\u05de\u05d0\u05ea", "\u0645\u0646", "Exp\u00e9diteur", "Afsender", "Remitente",
	"Remetente", "Mittente", NULL };

/* These alone tell a header from a list of anything. */
static const char *const telling_labels[] = { "Sent", "Subject", "Gesendet", "Betreff",
	"Envoy\u00e9", "Envoy\u00e9 le", "Objet", "Sujet", "Enviado", "Enviado el", "Enviado em",
	"Enviada em", "Asunto", "Assunto", "Verzonden", "Onderwerp", "Inviato", "Oggetto",
	"Skickat", "\u00c4mne", "Sendt", "Emne", "Wys\u0142ano", "Wys\u0142ane", "Temat",
	"Odesl\u00e1no", "P\u0159edm\u011bt", "Odoslan\u00e9", "Predmet",
	"\u041e\u0442\u043f\u0440\u0430\u0432\u043b\u0435\u043d\u043e", "\u0422\u0435\u043c\u0430",
	"\u041d\u0430\u0434\u0456\u0441\u043b\u0430\u043d\u043e", "\u9001\u4fe1\u65e5\u6642",
	"\u4ef6\u540d", "\u53d1\u9001\u65f6\u95f4", "\u4e3b\u9898", "\u5bc4\u4ef6\u65e5\u671f",
	"\u50b3\u9001\u6642\u9593", "\u4e3b\u65e8", "\ubcf4\ub0b8 \ub0a0\uc9dc",
	"\ubcf4\ub0b8\ub0a0\uc9dc", "\uc81c\ubaa9", "L\u00e4hetetty", "Aihe", "G\u00f6nderildi",
	"G\u00f6nderme Tarihi", "Konu", "Elk\u00fcldve", "T\u00e1rgy", "\u0110\u00e3 g\u1eedi",
	"Ch\u1ee7 \u0111\u1ec1", "Trimis", "Subiect",
	"\u03a3\u03c4\u03ac\u03bb\u03b8\u03b7\u03ba\u03b5", "\u0398\u03ad\u03bc\u03b1",
	"\u05e0\u05e9\u05dc\u05d7", "\u05e0\u05d5\u05e9\u05d0",
	"\u0627\u0644\u0645\u0648\u0636\u0648\u0639",
	"\u062a\u0645 \u0627\u0644\u0625\u0631\u0633\u0627\u0644", "Message du", NULL };

static const char *const other_labels[] = { "Date", "To", "Cc", "Bcc", "Reply-To", "Reply To",
	"Datum", "An", "Kopie", "Kopie (Cc)", "Antwort an", "Date d'envoi", "\u00c0", "A",
	"Copie \u00e0", "Copie", "Fecha", "Para", "CCO", "Data", "Aan", "Till", "Kopia", "Til",
	"Kopi", "Dato", "Do", "DW", "Komu", "\u0414\u0430\u0442\u0430", "\u041a\u043e\u043c\u0443",
	"\u041a\u043e\u043f\u0438\u044f", "\u041a\u043e\u043f\u0456\u044f", "\u65e5\u6642",
	"\u65e5\u4ed8", "\u5b9b\u5148", "\u6536\u4ef6\u4eba", "\u6536\u4ef6\u8005", "\u65e5\u671f",
	"\u6284\u9001", "\u526f\u672c", "\ubc1b\ub294 \uc0ac\ub78c", "\ubc1b\ub294\uc0ac\ub78c",
	"\ucc38\uc870", "\ub0a0\uc9dc", "Vastaanottaja", "Kopio",
	"P\u00e4iv\u00e4m\u00e4\u00e4r\u00e4", "P\u00e4iv\u00e4ys", "Kime", "Tarih", "C\u00edmzett",
	"D\u00e1tum", "Ng\u00e0y", "\u0110\u1ebfn", "T\u1edbi", "C\u0103tre",
	"\u03a0\u03c1\u03bf\u03c2", "\u0397\u03bc\u03b5\u03c1\u03bf\u03bc\u03b7\u03bd\u03af\u03b1",
	"\u039a\u03bf\u03b9\u03bd.", "\u05d0\u05dc", "\u05ea\u05d0\u05e8\u05d9\u05da",
	"\u0625\u0644\u0649", "\u0627\u0644\u062a\u0627\u0631\u064a\u062e", "Importance",
	"Attachments", "Answer To", "Rispondi a", "Risposta", NULL };

/* What a form on a web page has, and no header of a message. */
static const char *const form_labels[] = { "Name", "First name", "Last name", "Email", "E-mail",
	"E-Mail address", "Email address", "Phone", "Phone number", "Tel", "Telephone", "Mobile",
	"Message", "Your message", "Comment", "Comments", "Question", "Company", "Address", "IP",
	"IP address", "Website", "Vorname", "Nachname", "Nachricht", "Ihre Nachricht", "Telefon",
	"Firma", "Adresse", "Frage", "Nom", "Pr\u00e9nom", "T\u00e9l\u00e9phone",
	"Message re\u00e7u", "Soci\u00e9t\u00e9", "Nombre", "Apellidos", "Tel\u00e9fono", "Correo",
	"Mensaje", "Empresa", "Nome", "Cognome", "Messaggio", "Telefono", "Naam", "Telefoon",
	"Bericht", "Opmerking", "Mensagem", "Telefone", "Meddelande", "Besked",
	"Wiadomo\u015b\u0107", "Imi\u0119", "\u304a\u540d\u524d", "\u540d\u524d",
	"\u30e1\u30fc\u30eb\u30a2\u30c9\u30ec\u30b9", "\u96fb\u8a71\u756a\u53f7",
	"\u304a\u554f\u3044\u5408\u308f\u305b\u5185\u5bb9", "\u672c\u6587", NULL };

/* Between dashes. */
static const char *const dividers[] = { "Original Message", "Original-Message",
	"Original Appointment", "Original email", "Original e-mail", "Original-eMail",
	"Reply Message", "Forwarded message", "Forwarded Mail", "Urspr\u00fcngliche Nachricht",
	"Original-Nachricht", "Originalnachricht", "Original Nachricht", "Antwort Nachricht",
	"Urspr\u00fcnglicher Termin", "Weitergeleitete Nachricht", "Message d'origine",
	"Message d\u2019origine", "Message original", "Message initial",
	"Message transf\u00e9r\u00e9", "Mensaje original", "Mensaje reenviado", "Mensaje de origen",
	"Oorspronkelijk bericht", "Origineel bericht", "Doorgestuurd bericht",
	"Messaggio originale", "Messaggio inoltrato", "Messaggio Inoltrato", "Mensagem original",
	"Mensagem encaminhada", "Mensagem Original", "Ursprungligt meddelande",
	"Originalmeddelande", "Vidarebefordrat meddelande", "Oprindelig meddelelse",
	"Oprindelig besked", "Videresendt besked", "Videresendt meddelelse", "Opprinnelig melding",
	"Videresendt melding", "Wiadomo\u015b\u0107 oryginalna", "Oryginalna wiadomo\u015b\u0107",
	"Tre\u015b\u0107 oryginalnej wiadomo\u015bci",
	"Tre\u015b\u0107 przekazanej wiadomo\u015bci", "Wiadomo\u015b\u0107 przekazana dalej",
	"P\u016fvodn\u00ed zpr\u00e1va", "P\u0159eposlan\u00e1 zpr\u00e1va",
	"P\u00f4vodn\u00e1 spr\u00e1va",
	"\u0418\u0441\u0445\u043e\u0434\u043d\u043e\u0435 "
	"\u0441\u043e\u043e\u0431\u0449\u0435\u043d\u0438\u0435",
	"\u041e\u0440\u0438\u0433\u0438\u043d\u0430\u043b\u044c\u043d\u043e\u0435 "
	"\u0441\u043e\u043e\u0431\u0449\u0435\u043d\u0438\u0435",
	"\u041f\u0435\u0440\u0435\u0441\u044b\u043b\u0430\u0435\u043c\u043e\u0435 "
	"\u0441\u043e\u043e\u0431\u0449\u0435\u043d\u0438\u0435",
	"\u041f\u0435\u0440\u0435\u0441\u043b\u0430\u043d\u043d\u043e\u0435 "
	"\u0441\u043e\u043e\u0431\u0449\u0435\u043d\u0438\u0435",
	"\u041f\u0435\u0440\u0435\u0441\u043b\u0430\u043d\u0435 "
	"\u043f\u043e\u0432\u0456\u0434\u043e\u043c\u043b\u0435\u043d\u043d\u044f",
	"\u5143\u306e\u30e1\u30c3\u30bb\u30fc\u30b8",
	"\u30aa\u30ea\u30b8\u30ca\u30eb \u30e1\u30c3\u30bb\u30fc\u30b8",
	"\u8ee2\u9001\u30e1\u30c3\u30bb\u30fc\u30b8", "\u539f\u59cb\u90ae\u4ef6",
	"\u90ae\u4ef6\u539f\u4ef6", "\u8f6c\u53d1\u90ae\u4ef6", "\u8f6c\u53d1\u7684\u90ae\u4ef6",
	"\u539f\u59cb\u90f5\u4ef6", "\u539f\u59cb\u4fe1\u4ef6", "\u8f49\u5bc4\u7684\u90f5\u4ef6",
	"\uc6d0\ubcf8 \uba54\uc2dc\uc9c0", "\uc6d0\ubcf8 \uba54\uc77c",
	"\uc804\ub2ec\ub41c \uba54\uc2dc\uc9c0", "Alkuper\u00e4inen viesti",
	"V\u00e4litetty viesti", "Orijinal Mesaj", "\u00d6zg\u00fcn \u0130leti",
	"\u0130letilen mesaj", "Orijinal mesaj", "Th\u01b0 g\u1ed1c", "Tin nh\u1eafn g\u1ed1c",
	"Th\u01b0 \u0111\u00e3 chuy\u1ec3n ti\u1ebfp", "Eredeti \u00fczenet",
	"Tov\u00e1bb\u00edtott \u00fczenet", "Mesaj original", "Mesaj redirec\u021bionat",
	"\u0391\u03c1\u03c7\u03b9\u03ba\u03cc \u03bc\u03ae\u03bd\u03c5\u03bc\u03b1",
	"\u03a0\u03c1\u03bf\u03c9\u03b8\u03b7\u03bc\u03ad\u03bd\u03bf "
	"\u03bc\u03ae\u03bd\u03c5\u03bc\u03b1",
	NULL };

/* The same, with a name behind. */
static const char *const open_dividers[] = { "Original message follows", "Forwarded by ",
	"Weitergeleitet von ", "Transmis par ", "Reenviado por ", "Inoltrato da ",
	"Doorgestuurd door ", NULL };

/* On their own. */
static const char *const bare_dividers[] = { "Begin forwarded message:",
	"Anfang der weitergeleiteten Nachricht:", "Anfang der weitergeleiteten E-Mail:",
	"D\u00e9but du message r\u00e9exp\u00e9di\u00e9",
	"D\u00e9but du message transf\u00e9r\u00e9", "Inicio del mensaje reenviado:",
	"Begin doorgestuurd bericht:", "Inizio messaggio inoltrato:",
	"In\u00edcio da mensagem reencaminhada:", "In\u00edcio da mensagem encaminhada:",
	"Vidarebefordrat brev:", "Videresendt meddelelse:", "Start p\u00e5 videresendt besked:",
	"Start p\u00e5 videresendt melding:", "Pocz\u0105tek przekazywanej wiadomo\u015bci:",
	"Za\u010d\u00e1tek p\u0159epos\u00edlan\u00e9 zpr\u00e1vy:",
	"\u041d\u0430\u0447\u0430\u043b\u043e "
	"\u043f\u0435\u0440\u0435\u0430\u0434\u0440\u0435\u0441\u043e\u0432\u0430\u043d\u043d\u043e"
	"\u0433\u043e \u0441\u043e\u043e\u0431\u0449\u0435\u043d\u0438\u044f:",
	"V\u00e4litetty viesti alkaa:",
	"\u8ee2\u9001\u3055\u308c\u305f\u30e1\u30c3\u30bb\u30fc\u30b8",
	"\u5f00\u59cb\u8f6c\u53d1\u7684\u90ae\u4ef6\uff1a",
	"\u958b\u59cb\u8f49\u5bc4\u90f5\u4ef6\uff1a", "\uc804\ub2ec\ub41c \uba54\uc2dc\uc9c0:",
	"Y\u00f6nlendirilen ileti ba\u015flang\u0131c\u0131:",
	"B\u1eaft \u0111\u1ea7u th\u01b0 \u0111\u01b0\u1ee3c chuy\u1ec3n ti\u1ebfp:", NULL };

/* What a help desk asks its customers to write above of. */
static const char *const above_words[] = { "above this line", "above the line",
	"oberhalb dieser Zeile", "au-dessus de cette ligne", "por encima de esta l\u00ednea",
	"acima desta linha", "boven deze regel", "sopra questa riga",
	"ovanf\u00f6r den h\u00e4r raden", "over denne linje", "\u3053\u306e\u884c\u306e\u4e0a",
	"\u6b64\u884c\u4e0a\u65b9", "\uc774 \uc904 \uc704", NULL };

bool reply_begins(struct slice s, const char *prefix)
{
	return slice_ibegins(s, slice_str(prefix));
}

bool reply_ends(struct slice s, const char *suffix)
{
	return slice_ends(s, slice_str(suffix));
}

const char *reply_begins_any(struct slice s, const char *const *prefixes)
{
	for (; *prefixes != NULL; prefixes++) {
		/* A glance at the first byte, in either case, spares most comparisons. */
		if (s.len > 0 && ((s.base[0] ^ **prefixes) & ~0x20) == 0 &&
			reply_begins(s, *prefixes))
			return *prefixes;
	}
	return NULL;
}

const struct slice *reply_ends_any(struct slice s, const struct slice *suffixes)
{
	for (; suffixes->base != NULL; suffixes++) {
		if (s.len >= suffixes->len &&
			s.base[s.len - 1] == suffixes->base[suffixes->len - 1] &&
			slice_ends(s, *suffixes))
			return suffixes;
	}
	return NULL;
}

/* ASCII letters in any case. */
static bool has_any(struct slice s, const char *const *words)
{
	for (; *words != NULL; words++) {
		for (struct slice at = s; at.len >= strlen(*words); slice_skip(&at, 1)) {
			if (((at.base[0] ^ **words) & ~0x20) == 0 && reply_begins(at, *words))
				return true;
		}
	}
	return false;
}

/* The length of the blank that `s` begins or ends with: besides ASCII's the no-break spaces, the
 * ideographic space, the marks of direction, and the mark that a tracker of opened mail leaves. */
static size_t blank_at(struct slice s, bool at_end)
{
	static const char *const wide[] = { "\u00a0", "\u202f", "\u3000", "\u200b", "\u200e",
		"\u200f", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067",
		"\u2068", "\u2069", "\ufeff", "\u1427" };

	if (s.len == 0)
		return 0;
	unsigned char c = (unsigned char)s.base[at_end ? s.len - 1 : 0];
	if (c == ' ' || c == '\t' || c == '\r')
		return 1;
	for (size_t i = 0; c > 0x7f && i < sizeof(wide) / sizeof(wide[0]); i++) {
		if (at_end ? reply_ends(s, wide[i]) : reply_begins(s, wide[i]))
			return strlen(wide[i]);
	}
	return 0;
}

size_t reply_blank(struct slice s)
{
	return blank_at(s, false);
}

struct slice reply_trim(struct slice line)
{
	size_t n;

	while ((n = blank_at(line, false)) > 0)
		slice_skip(&line, n);
	while ((n = blank_at(line, true)) > 0)
		line.len -= n;
	return line;
}

bool reply_ends_with_colon(struct slice line)
{
	return reply_ends(line, ":") || reply_ends(line, "\uff1a");
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

/* Takes the dashes and blanks off both ends; how many dashes there were on the side with fewer, and on
 * the other. */
static void strip_dashes(struct slice *line, size_t *fewer_r, size_t *more_r)
{
	size_t front = 0, back = 0;

	while (line->len > 0 && (is_dash(line->base[0]) || line->base[0] == ' ')) {
		front += line->base[0] != ' ';
		slice_skip(line, 1);
	}
	while (line->len > 0 &&
		(is_dash(line->base[line->len - 1]) || line->base[line->len - 1] == ' ')) {
		back += line->base[line->len - 1] != ' ';
		line->len--;
	}
	*fewer_r = front < back ? front : back;
	*more_r = front < back ? back : front;
}

/* "##- Please type your reply above this line -##" */
static bool is_reply_line(struct slice line)
{
	static const char *const verbs[] = { "reply", "respond", "type", "write", "answer",
		"please reply", "please type", "please write", NULL };

	if (reply_begins(line, "##-") && reply_ends(line, "-##"))
		return true;
	if (!ispunct((unsigned char)line.base[0]) && reply_begins_any(line, verbs) == NULL)
		return false;
	return has_any(line, above_words);
}

bool reply_is_divider(struct slice line)
{
	size_t fewer, more;

	if (line.len == 0 || line.len > LONGEST_LINE)
		return false;
	if (is_reply_line(line) || reply_begins_any(line, bare_dividers))
		return true;
	struct slice words = line;
	strip_dashes(&words, &fewer, &more);
	if (more < DIVIDER_DASHES || words.len == line.len)
		return false;
	if (reply_begins_any(words, open_dividers))
		return true;
	const char *found = reply_begins_any(words, dividers);
	return found != NULL && (fewer >= DIVIDER_DASHES || words.len <= strlen(found) + 1);
}

bool reply_is_dashed(struct slice line)
{
	size_t fewer, more;

	if (line.len > LONGEST_LINE)
		return false;
	/* "Alice Example---11/07/2025 10:20:11 AM---Can you …", of Lotus Notes */
	const char *at = memchr(line.base, '-', line.len), *end = line.base + line.len;
	if (at != NULL)
		at = memmem(at, (size_t)(end - at), "---", 3);
	if (at != NULL && at + 3 < end && isdigit((unsigned char)at[3]) &&
		memmem(at + 3, (size_t)(end - at) - 3, "---", 3) != NULL)
		return true;
	strip_dashes(&line, &fewer, &more);
	return fewer >= LONG_DASHES;
}

/* The word before the colon of "Label: …", perhaps set in bold by asterisks, perhaps with a blank or a
 * wide colon; empty when there is none. */
static struct slice label_of(struct slice line)
{
	static const char wide_colon[] = "\uff1a";
	struct slice head = { line.base, line.len < LONGEST_LABEL ? line.len : LONGEST_LABEL };
	const char *colon = memchr(head.base, ':', head.len), *wide = NULL;

	if (memchr(head.base, wide_colon[0], head.len) != NULL)
		wide = memmem(head.base, head.len, wide_colon, sizeof(wide_colon) - 1);
	if (colon == NULL || (wide != NULL && wide < colon))
		colon = wide;
	if (colon == NULL)
		return (struct slice){ "", 0 };
	head.len = (size_t)(colon - head.base);
	while (head.len > 0 && head.base[0] == '*')
		slice_skip(&head, 1);
	while (head.len > 0 && head.base[head.len - 1] == '*')
		head.len--;
	return reply_trim(head);
}

static bool is_one_of(struct slice word, const char *const *list)
{
	for (; *list != NULL; list++) {
		if (((word.base[0] ^ **list) & ~0x20) == 0 && slice_ieq(word, slice_str(*list)))
			return true;
	}
	return false;
}

bool reply_is_from(struct slice line)
{
	struct slice word = line.len > 0 ? label_of(line) : line;

	return word.len > 0 && is_one_of(word, from_labels);
}

enum reply_label reply_label(struct slice line)
{
	struct slice word = line.len > 0 ? label_of(line) : line;

	if (word.len == 0)
		return REPLY_NO_LABEL;
	if (is_one_of(word, from_labels))
		return REPLY_FROM;
	if (is_one_of(word, telling_labels))
		return REPLY_TELLING;
	if (is_one_of(word, other_labels))
		return REPLY_OTHER;
	return is_one_of(word, form_labels) ? REPLY_FORM : REPLY_NO_LABEL;
}
