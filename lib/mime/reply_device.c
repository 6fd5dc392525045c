/* SPDX-License-Identifier: MIT */
/* "Sent from my iPhone": what mail programs on phones, and some others, add to every message. */
#include "lib/mime/reply.h"

#include <ctype.h>

enum { LONGEST = 200, MOST_WORDS = 10 };

/* What is written so and in no other way, in small letters; then what may be the beginning of a
 * sentence, and needs a device's or a program's name behind it. */
static const char *const surely[] = { "sent from my ", "sent from outlook", "sent from yahoo",
	"sent from proton", "sent from samsung", "sent from iphone", "sent from ipad",
	"sent from mail for ", "sent from gmail", "sent from aol", "sent wirelessly ",
	"sent via blackberry", "sent by galaxy", "get outlook for ", "get bluemail for ",
	"get typeapp for ", "get aquamail", "gesendet von meinem ", "gesendet von meiner ",
	"gesendet mit der gmx", "gesendet mit der web.de", "gesendet mit der telekom",
	"holen sie sich outlook", "laden sie outlook f\u00fcr ", "outlook f\u00fcr ios",
	"outlook f\u00fcr android", "outlook per ios", "outlook per android", "outlook voor ios",
	"outlook voor android", "envoy\u00e9 de mon ", "envoy\u00e9 depuis mon ",
	"envoy\u00e9 depuis ma ", "envoy\u00e9 sans fil ", "envoy\u00e9 de l'application ",
	"obtenez outlook pour ", "obtenir outlook pour ", "t\u00e9l\u00e9charger outlook pour ",
	"t\u00e9l\u00e9chargez outlook pour ", "enviado desde mi ", "enviado de mi ",
	"enviado do meu ", "enviado a partir do meu ", "obtener outlook para ",
	"descargar outlook para ", "obter o outlook para ", "obtenha o outlook para ",
	"baixe o outlook para ", "verzonden vanaf mijn ", "verstuurd vanaf mijn ",
	"verzonden vanuit mijn ", "outlook downloaden voor ", "inviato dal mio ",
	"inviato da iphone", "inviato da ipad", "ottieni outlook per ", "scarica outlook per ",
	"skickat fr\u00e5n min ", "h\u00e4mta outlook f\u00f6r ", "skaffa outlook f\u00f6r ",
	"sendt fra min ", "sendt fra mit ", "hent outlook til ", "f\u00e5 outlook for ",
	"wys\u0142ane z mojego ", "wys\u0142ane z iphone", "wys\u0142ane z ipad",
	"pobierz aplikacj\u0119 outlook ", "pobierz outlook ", "odesl\u00e1no z iphon",
	"odesl\u00e1no z m\u00e9ho ", "z\u00edskat outlook ",
	"\u0417\u0430\u0433\u0440\u0443\u0437\u0438\u0442\u044c outlook \u0434\u043b\u044f ",
	"\u0421\u043a\u0430\u0447\u0430\u0442\u044c outlook \u0434\u043b\u044f ",
	"l\u00e4hetetty iphon", "l\u00e4hetetty ipad", "l\u00e4hetetty puhelimesta",
	"hanki outlook ", "\u53d1\u81ea\u6211\u7684", "\u53d1\u81ea\u6211\u7684 ",
	"\u50b3\u9001\u81ea ", "\ub098\uc758 iphone\uc5d0\uc11c", "\ub098\uc758 ipad\uc5d0\uc11c",
	"G\u1eedi t\u1eeb iphone", "G\u1eedi t\u1eeb \u0111i\u1ec7n tho\u1ea1i",
	"pobierz program outlook ", "\u83b7\u53d6 outlook ", "\u7372\u53d6 outlook ",
	"t\u1ea3i outlook ", "T\u1ea3i outlook ", "baixar o outlook ", "trimis de pe ", NULL };
static const char *const perhaps[] = { "sent from ", "sent via ", "sent with ", "sent using ",
	"sent on ", "sent by ", "from my ", "gesendet von ", "gesendet mit ", "gesendet \u00fcber ",
	"diese nachricht wurde ", "envoy\u00e9 depuis ", "envoy\u00e9 avec ", "envoy\u00e9 via ",
	"envoy\u00e9 par ", "enviado desde ", "enviado con ", "enviado com ", "enviado via ",
	"enviado por ", "enviado do ", "envoy\u00e9 de ", "von samsung ", "enviada do ",
	"verzonden vanaf ", "verzonden met ", "verstuurd vanaf ", "verstuurd met ",
	"verzonden via ", "inviato da ", "inviato con ", "inviata da ", "inviato tramite ",
	"skickat fr\u00e5n ", "skickat med ", "sendt fra ", "sendt med ", "sendt via ",
	"wys\u0142ane z ", "wys\u0142ano z ", "wys\u0142ane przez ", "odesl\u00e1no z ",
	"odesl\u00e1no pomoc\u00ed ", "l\u00e4hetetty ",
	"g\u00f6nderen: ", "envoy\u00e9 \u00e0 partir de ",
	"\u041e\u0442\u043f\u0440\u0430\u0432\u043b\u0435\u043d\u043e \u0441 ",
	"\u041e\u0442\u043f\u0440\u0430\u0432\u043b\u0435\u043d\u043e \u0438\u0437 ",
	"\u041d\u0430\u0434\u0456\u0441\u043b\u0430\u043d\u043e \u0437 ", "\u4ece\u6211\u7684 ",
	"\u5f9e\u6211\u7684 ", "\u0110\u00e3 g\u1eedi t\u1eeb ", "verzonden vanuit ",
	"k\u00fcldve az ", NULL };
static const struct slice endings[] = { REPLY_WORD("iphone\u304b\u3089\u9001\u4fe1"),
	REPLY_WORD("ipad\u304b\u3089\u9001\u4fe1"), REPLY_WORD("\u304b\u3089\u306e\u9001\u4fe1"),
	REPLY_WORD("\u304b\u3089\u9001\u4fe1"), REPLY_WORD("iphone \u50b3\u9001"),
	REPLY_WORD("iphone\u4f20\u9001"), REPLY_WORD("\u306eiphone\u304b\u3089"),
	REPLY_WORD("tarihinde iphone'umdan g\u00f6nderildi"),
	REPLY_WORD("iphone'umdan g\u00f6nderildi"), REPLY_WORD("ipad'imden g\u00f6nderildi"),
	REPLY_WORD("telefonumdan g\u00f6nderildi"), REPLY_WORD("mobilger\u00e4t gesendet"),
	REPLY_WORD("iphone gesendet"), REPLY_WORD("samsung mobile gesendet"),
	REPLY_WORD("sent with spark"), REPLY_WORD("sent from front"), REPLY_WORD("sent from nine"),
	REPLY_WORD("sent from em client"), REPLY_WORD("outlook'u edinin"),
	REPLY_WORD("application mail orange"), REPLY_WORD("ipad gesendet"),
	REPLY_WORD("handy gesendet"), REPLY_WORD("smartphone gesendet"),
	REPLY_WORD("samsung ger\u00e4t gesendet"), REPLY_WORD("android-ger\u00e4t gesendet"),
	REPLY_WORD("k-9 mail gesendet"), REPLY_WORD("android-mobiltelefon mit k-9 mail gesendet"),
	REPLY_WORD("outlook for ios \u3092\u5165\u624b"),
	REPLY_WORD("outlook for android \u3092\u5165\u624b"),
	REPLY_WORD("\uc5d0\uc11c \ubcf4\ub0c4"), { NULL, 0 } };
static const char *const devices[] = { "iphone", "ipad", "ipod", "android", "galaxy", "samsung",
	"mobile", "mobil", "m\u00f3vil", "phone", "telefon", "t\u00e9l\u00e9phone", "tel\u00e9fono",
	"handy", "tablet", "blackberry", "outlook", "gmail", "gmx", "web.de", "yahoo", "yandex",
	"aol", "proton", "windows", "mail for ", "mail pour ", "mail f\u00fcr ", "email app",
	"mail app", "mail.ru", "htc", "nokia", "xperia", "pixel", "huawei", "xiaomi", "redmi",
	"oneplus", "motorola", "airmail", "mailbox", "mailspring", "missive", "superhuman",
	"shortwave", "typeapp", "newton", "k-9", "thunderbird", "bluemail", "zoho",
	"posta per windows", "correo para windows", "courrier pour windows", "cellulare", "celular",
	"smartfon", "puhelim", "\u0442\u0435\u043b\u0435\u0444\u043e\u043d",
	"\u041f\u043e\u0447\u0442", "\u043f\u043e\u0447\u0442",
	"\u043c\u043e\u0431\u0438\u043b\u044c\u043d",
	"\u0443\u0441\u0442\u0440\u043e\u0439\u0441\u0442\u0432",
	"\u0441\u043c\u0430\u0440\u0442\u0444\u043e\u043d", "\u0111i\u1ec7n tho\u1ea1i",
	"mail voor", "\u624b\u673a", "\u624b\u6a5f", NULL };
static const char *const excuses[] = { "please excuse", "please forgive", "please pardon",
	"pardon ", "excuse ", "excuses ", "forgive ", "apologies", "sorry for", "typos",
	"bitte entschuldig", "veuillez excuser", "disculpe", NULL };

/* In small letters, without what stands for layout: brackets, emphasis, addresses of links. */
static size_t plain_words(struct slice line, char *to, bool *link_r)
{
	size_t n = 0;

	while (line.len > 0) {
		struct slice url = line;
		if (strchr("(<", url.base[0]) != NULL)
			slice_skip(&url, 1);
		if (reply_begins(url, "https://") || reply_begins(url, "http://")) {
			*link_r = true;
			do
				slice_skip(&line, 1);
			while (line.len > 0 && strchr(")> \t", line.base[0]) == NULL);
		} else if (strchr("()<>[]*_|", line.base[0]) != NULL) {
			slice_skip(&line, 1);
		} else {
			to[n++] = (char)tolower((unsigned char)line.base[0]);
			slice_skip(&line, 1);
		}
	}
	return n;
}

/* Where the first of them is, or `s.len`. */
static size_t find_any(struct slice s, const char *const *list)
{
	size_t first = s.len;

	for (; *list != NULL; list++) {
		const char *at = memmem(s.base, first, *list, strlen(*list));
		if (at != NULL)
			first = (size_t)(at - s.base);
	}
	return first;
}

/* More than one sentence or clause: somebody wrote it. */
static bool is_prose(struct slice s)
{
	static const char *const marks[] = { ", ", ". ", "! ", "? ", " is ", " was ", " ist ",
		" est ", NULL };
	size_t words = 1;

	for (size_t i = 0; i < s.len; i++)
		words += s.base[i] == ' ';
	return words > MOST_WORDS || find_any(s, marks) < s.len;
}

bool reply_is_device_signature(struct slice line)
{
	char plain[LONGEST];
	bool link = false;

	if (line.len == 0 || line.len > LONGEST)
		return false;
	struct slice s = { plain, plain_words(line, plain, &link) };
	s = reply_trim(s);
	size_t excuse = find_any(s, excuses);
	/* "…, please excuse my typos" */
	s.len = excuse;
	while (s.len > 0 && strchr(" ,.;!-", s.base[s.len - 1]) != NULL)
		s.len--;
	if (reply_begins(s, "yahoo mail: search, organize"))
		return true;
	if (s.len == 0 || is_prose(s))
		return false;
	if (reply_begins_any(s, surely) != NULL || reply_ends_any(s, endings) != NULL)
		return true;
	return reply_begins_any(s, perhaps) != NULL && (link || find_any(s, devices) < s.len);
}
