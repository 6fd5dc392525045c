/* SPDX-License-Identifier: MIT */
/* mime: which parts are text and html, and how they are made readable */
#include "tests/unit/mime_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is shown, as text and html. */

#define PART(type, body)   "--b\r\nContent-Type: " type "\r\n\r\n" body "\r\n"
#define PART_C(type, body) "--c\r\nContent-Type: " type "\r\n\r\n" body "\r\n"
#define ATTACHED(type, body)                                                                       \
	"--b\r\nContent-Type: " type "\r\nContent-Disposition: attachment\r\n\r\n" body "\r\n"
#define MULTI(kind, parts) "Content-Type: multipart/" kind "; boundary=b\r\n\r\n" parts "--b--\r\n"
#define INNER(kind, parts)                                                                         \
	"--b\r\nContent-Type: multipart/" kind "; boundary=c\r\n\r\n" parts "--c--\r\n"
#define PRE(text) "<pre style=\"white-space: pre-wrap\">" text "</pre>\n"

static const struct {
	const char *name, *raw, *text, *html;
	bool derived;
	const char *security;
} shown[] = {
	{ "html alone", "Content-Type: text/html\r\n\r\n<p>h", "h\n", "<p>h", true, NULL },
	{ "an attachment alone",
		"Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nx", NULL, NULL,
		false, NULL },
	{ "a text of an unknown kind",
		MULTI("mixed", PART("text/x-own", "t") PART("text/vcard", "v")
				       PART("text/x-own; name=x", "n")),
		NULL, NULL, false, NULL },
	{ "an alternative of an unknown kind",
		MULTI("alternative",
			PART("text/x-own", "x") PART("text/plain", "t") PART("text/html", "h")),
		"t", "h", false, NULL },
	{ "a picture alone", "Content-Type: image/png\r\n\r\nx", NULL, NULL, false, NULL },
	{ "html in alternative with nothing else", MULTI("alternative", PART("text/html", "h")),
		"h\n", "h", true, NULL },
	{ "a blank alternative is none",
		MULTI("alternative", PART("text/plain", " \r\n") PART("text/html", "h")), "h\n",
		"h", true, NULL },
	{ "a blank alternative to nothing", MULTI("alternative", PART("text/plain", " ")), " ",
		NULL, false, NULL },
	{ "enriched is plainer than html",
		MULTI("alternative",
			PART("text/enriched", "<bold>e</bold>") PART("text/html", "h")),
		"e\n", "h", true, NULL },
	{ "plain is plainer than enriched",
		MULTI("alternative", PART("text/enriched", "e") PART("text/plain", "p")), "p", NULL,
		false, NULL },
	{ "alternatives with names",
		MULTI("alternative",
			PART("text/plain; name=a.txt", "t") PART("text/html; name=b.html", "h")),
		"t", "h", false, NULL },
	{ "an inline text that comes first and has a name",
		MULTI("mixed",
			PART("text/plain; name=a.txt", "t") PART("text/plain; name=b.txt", "u")),
		"t", NULL, false, NULL },
	{ "html, then a footer of text",
		MULTI("mixed", PART("text/html", "<b>h</b>") PART("text/plain", "a < b")),
		"h\na < b", "<b>h</b>\n" PRE("a &lt; b"), true, NULL },
	{ "text, a file, html",
		MULTI("mixed", PART("text/plain", "t") ATTACHED("application/pdf", "x")
				       PART("text/html", "h")),
		"t\nh\n", PRE("t") "h", true, NULL },
	{ "a text of blanks beside html",
		MULTI("mixed", PART("text/plain", " ") PART("text/html", "h")), " \nh\n", "h", true,
		NULL },
	{ "mixed within alternative",
		MULTI("alternative", PART("text/plain", "t") INNER("mixed",
					     PART_C("text/html", "h") PART_C("text/plain", "u"))),
		"t", "h\n" PRE("u"), false, NULL },
	{ "a related root that shows nothing",
		MULTI("related", PART("image/png", "i") PART("text/html", "h")), "h\n", "h", true,
		NULL },
	{ "a report's own text",
		MULTI("report; report-type=delivery-status",
			PART("text/plain", "t") PART("message/delivery-status", "Action: failed")
				PART("text/plain", "returned")),
		"t", NULL, false, NULL },
	{ "a report in two forms",
		MULTI("report",
			INNER("alternative", PART_C("text/plain", "t") PART_C("text/html", "h"))
				PART("text/rfc822-headers", "A: b")),
		"t", "h", false, NULL },
	{ "a digest with an introduction",
		MULTI("mixed", PART("text/plain", "t")
				       INNER("digest", "--c\r\n\r\nSubject: one\r\n\r\n1\r\n")),
		"t", NULL, false, NULL },
	{ "signed", MULTI("signed", PART("text/plain", "t") PART("text/plain", "no signature")),
		"t", NULL, false, "signed" },
	{ "signed, with a footer",
		MULTI("mixed", INNER("signed", PART_C("text/html", "h")
						       PART_C("application/pgp-signature", "s"))
				       PART("text/plain", "f")),
		"h\nf", "h\n" PRE("f"), true, "signed" },
	{ "encrypted",
		MULTI("encrypted", PART("application/pgp-encrypted", "Version: 1")
					   PART("application/octet-stream", "x")),
		NULL, NULL, false, "encrypted" },
	{ "encrypted within signed",
		MULTI("signed", INNER("encrypted", PART_C("application/pgp-encrypted", "x"))
					PART("application/pgp-signature", "s")),
		NULL, NULL, false, "encrypted" },
	{ "S/MIME by its parameter",
		"Content-Type: application/pkcs7-mime; smime-type=\"enveloped-data\"\r\n\r\nx",
		NULL, NULL, false, "encrypted" },
	{ "S/MIME, signed",
		"Content-Type: application/x-pkcs7-mime; name=smime.p7m; "
		"smime-type=signed-data\r\n\r\nx",
		NULL, NULL, false, "signed" },
	{ "S/MIME, certificates only",
		"Content-Type: application/pkcs7-mime; smime-type=certs-only\r\n\r\nx", NULL, NULL,
		false, NULL },
	{ "S/MIME by its content, 1.2.840.113549.1.7.3",
		"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: "
		"base64\r\n\r\nMIAGCSqGSIb3DQEHA6CAMIACAQA=\r\n",
		NULL, NULL, false, "encrypted" },
	{ "S/MIME by its content, 1.2.840.113549.1.7.2",
		"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: "
		"base64\r\n\r\nMIAGCSqGSIb3DQEHAqCAMIACAQE=\r\n",
		NULL, NULL, false, "signed" },
	{ "an attached message that is signed",
		MULTI("mixed",
			PART("text/plain", "t") PART("message/rfc822",
				"Content-Type: multipart/signed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n"
				"--c--")),
		"t", NULL, false, NULL },
	{ "PGP within the text",
		"X: y\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nx\r\n-----END PGP MESSAGE-----\r\n",
		"-----BEGIN PGP MESSAGE-----\n\nx\n-----END PGP MESSAGE-----\n", NULL, false,
		"encrypted" },
	{ "an HTML page without a header", "\r\n<!DOCTYPE html><html><p>h</p></html>", "h\n",
		"\n<!DOCTYPE html><html><p>h</p></html>", true, NULL },
	{ "a calendar alone",
		"Content-Type: text/calendar; "
		"charset=utf-8\r\n\r\nBEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE"
		"\r\nDTSTART:19700101T000000\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\n"
		"DTSTART;TZID=Europe/Berlin:20251107T102000\r\nDTEND:20251107T100000Z\r\n"
		"SUMMARY:Launch\\, at\r\n  last\r\nDESCRIPTION;X=\"a:b\":One\\nTwo\\;\r\n"
		"LOCATION:Berlin\r\nBEGIN:VALARM\r\nDESCRIPTION:no\r\nEND:VALARM\r\nEND:VEVENT\r\n",
		"Launch, at last\n2025-11-07 10:20 Europe/Berlin - 2025-11-07 10:00 "
		"UTC\nBerlin\n\nOne\nTwo;\n",
		NULL, true, NULL },
	{ "a calendar as alternative",
		MULTI("alternative", PART("text/plain", "t") PART("text/calendar", "c")), "t", NULL,
		false, NULL },
};

START_TEST(what_a_mail_reader_shows_is_text_and_html)
{
	parse(shown[_i].raw);
	assert_same(m->text, shown[_i].text, shown[_i].name);
	assert_same(m->html, shown[_i].html, shown[_i].name);
	assert_same(m->security, shown[_i].security, shown[_i].name);
	ck_assert_msg(m->text_is_derived == shown[_i].derived, "%s", shown[_i].name);
}
END_TEST

/* One body as text. */
static const struct {
	const char *type, *body, *text;
} rendered[] = {
	/* RFC 3676 */
	{ "text/plain; format=flowed", "a \r\nb\r\nc \r\n", "a b\nc \n" },
	{ "text/plain; format=\"Flowed\"; DelSp=Yes", "a \r\nb \r\nc", "abc" },
	{ "text/plain; format=flowed", " From a\r\n  b\r\n > c\r\n", "From a\n b\n> c\n" },
	{ "text/plain; format=flowed", "> a \r\n> b\r\n>> c \r\n> d\r\ne\r\n",
		"> a b\n>> c \n> d\ne\n" },
	{ "text/plain; format=flowed", "> > a\r\n>\r\n>x\r\n", "> > a\n>\n> x\n" },
	{ "text/plain; format=flowed", "a \r\n-- \r\nb\r\n", "a \n-- \nb\n" },
	{ "text/plain; format=flowed", "a \r\n\r\nb", "a \n\nb" },
	{ "text/plain; format=fixed", "a \r\nb", "a \nb" },
	{ "text/plain; format=flowed; delsp=yes", "\xe6\x97\xa5 \r\n\xe6\x9c\xac", "\u65e5\u672c" },
	/* RFC 1896 */
	{ "text/enriched", "<bold>a</bold> b\r\nc\r\n\r\nd\r\n\r\n\r\n<<e>", "a b c\nd\n\n<e>\n" },
	{ "text/enriched", "<color><param>red</param>a</color>", "a\n" },
	{ "text/enriched", "<nofill>a\r\nb</nofill>", "a\nb\n" },
	{ "text/enriched", "1 < 2 and <unclosed", "1 < 2 and <unclosed\n" },
	{ "text/richtext", "a<nl>b<lt>c<comment>d</comment>", "a\nb<c\n" },
	/* HTML: white space, lines */
	{ "text/html", "", "" },
	{ "text/html", " a\r\n  b<b> c </b>d ", "a b c d\n" },
	{ "text/html", "<p>a</p><p>b<br>c<br><br><br>d</p>", "a\n\nb\nc\n\nd\n" },
	{ "text/html", "<div>a</div><div><br></div><div>b</div>", "a\n\nb\n" },
	{ "text/html", "<div>a<br></div><div>b</div>", "a\nb\n" },
	{ "text/html", "<p>a</p><p>&nbsp;</p><p>b</p>", "a\n\nb\n" },
	{ "text/html", "a&nbsp;&nbsp;b\xc2\xa0", "a  b\n" },
	{ "text/html", "<table><tr><td>a</td><td>b</td></tr><tr><td>c</table>", "a b\nc\n" },
	{ "text/html", "a<hr>b", "a\n----------------------------------------\nb\n" },
	{ "text/html", "x<pre>\r\n a\r\n  b\r\n</pre>y", "x\n\n a\n  b\n\ny\n" },
	{ "text/html", "<ul><li>a<li>b<ol><li>c</li><li>d</li></ol></ul>e",
		"- a\n- b\n  1. c\n  2. d\n\ne\n" },
	/* quotations */
	{ "text/html", "a<blockquote>b<p>c</p><blockquote>d</blockquote></blockquote>e",
		"a\n> b\n>\n> c\n>\n>> d\n\ne\n" },
	/* links and pictures */
	{ "text/html", "<a href=\"https://x.example/?a=1&amp;b=2&copy=3\">here</a>.",
		"here <https://x.example/?a=1&b=2&copy=3>.\n" },
	{ "text/html", "<a href=\"https://www.x.example/\">x.example</a>", "x.example\n" },
	{ "text/html", "<a href='mailto:a@b'>A</a> <a href='#x'>B</a> <a href='javascript:x'>C</a>",
		"A <a@b> B C\n" },
	{ "text/html", "<a href=http://x><div>a</div></a>b", "a <http://x>\nb\n" },
	{ "text/html", "<a href=http://x><img src=y></a>b", "b\n" },
	{ "text/html", "<img alt=\"a &amp; b\" src=x>", "a & b\n" },
	/* what is no text */
	{ "text/html", "<title>t</title><style>s</style>a<script>if (1 < 2) '</b>'</script >b",
		"ab\n" },
	{ "text/html", "a<!-- > b -->c<!x>d<?y?>e<!-->f", "acdef\n" },
	{ "text/html", "<div style=\"DISPLAY:x; display : none\">a<div>b</div>c</div>d", "d\n" },
	{ "text/html", "<div style=\"display:none\">a<p>b", "a\n\nb\n" },
	{ "text/html", "a<span style=\"color:red;VISIBILITY: hidden\">b</span>c", "ac\n" },
	{ "text/html", "<div style=\"max-height:0px;overflow:hidden\">a</div>b", "b\n" },
	{ "text/html", "<div style=\"line-height:0;overflow:hidden\">a</div>b", "a\nb\n" },
	{ "text/html", "<div style=\"opacity:0.5\">a</div><b style=\"opacity:0\">b</b>c",
		"a\nc\n" },
	{ "text/html", "<h1 style=display:none>a</h1><div hidden>b</div>c", "c\n" },
	{ "text/html", "<img hidden><br style='display:none'>a", "a\n" },
	{ "text/html", "<xml><o:x>96</o:x></xml><template>a</template>b", "b\n" },
	{ "text/html", "<title>a<p>b", "a\n\nb\n" },
	{ "text/html", "<!--[if mso]>a<![endif]-->b<!--[if !mso]><!-->c<!--<![endif]-->", "bc\n" },
	{ "text/html", "<![if !mso]>a<![endif]><o:p>b</o:p>", "ab\n" },
	{ "text/html", "<div style=display:none>a</div><img src=b>", "a\n" },
	/* blanks that are kept */
	{ "text/html",
		"<div style=\"white-space: pre-wrap\">a\r\n  b\r\n<div>c\r\n</div> d</div>e\r\n f",
		"a\n  b\nc\n d\ne f\n" },
	{ "text/html", "<p style=white-space:pre>a  b<p>c  d", "a  b\n\nc d\n" },
	{ "text/html", "<div style=white-space:pre>a</pre></div>b  c", "a\n\nb c\n" },
	{ "text/html", "<div style=white-space:nowrap>a  b</div>", "a b\n" },
	/* written with an indent, and quoted */
	{ "text/html",
		"a<blockquote style=\"margin:0 0 0 40px;border:none\">b<blockquote>c</blockquote>"
		"d</blockquote>e",
		"a\nb\n> c\n\nd\ne\n" },
	{ "text/html",
		"<blockquote style=\"border:none;border-left:solid\">a</blockquote>"
		"<blockquote type=cite style=border:0>b</blockquote>",
		"> a\n\n> b\n" },
	/* tables of paragraphs */
	{ "text/html",
		"<table><tr><td><p>a</p></td><td><div>b</div></td></tr><tr><td><p>c</p></td>"
		"<td><p>d</p><p>e</p></td></tr></table><p>f",
		"a b\nc d\n\ne\n\nf\n" },
	{ "text/html",
		"<tr><td><p>a</p><p>b</p></td><td><p>c</p></td></tr><tr><td><ul><li>d</ul></td>"
		"<td>e",
		"a\n\nb\n\nc\n\n- d\n\ne\n" },
	{ "text/html",
		"<table><tr><td><p>a</p></td></tr><tr><td><h2>b</h2></td></tr></table>"
		"<table><tr><td>c</td></tr><tr><td>d",
		"a\n\nb\n\nc\nd\n" },
	{ "text/html", "<ol start=3><li>a<li value=7>b<li>c</ol>", "3. a\n7. b\n8. c\n" },
	{ "text/html", "<ol start=x><li value=-1>a</ol>", "1. a\n" },
	{ "text/html", "<button>a</button><button>b</button><details><summary>c</summary>d",
		"a b\nc\nd\n" },
	/* links that the text shows */
	{ "text/html", "<a href=\"https://x.example/?a&amp;b\">https://x.example/?a&amp;b</a>",
		"https://x.example/?a&b\n" },
	{ "text/html", "<a href=\"http://X.example/\">x.EXAMPLE</a>", "x.EXAMPLE\n" },
	{ "text/html", "<a href=http://x>a</a><a href=http://y>b</a><img alt=c><img alt=d>e",
		"a <http://x> b <http://y> c d e\n" },
	{ "text/html", "a &zwnj;&nbsp;&#847;&#8203;<br>b\xe2\x80\x8b", "a\nb\n" },
	/* references */
	{ "text/html", "&lt;&eacute;&euro;&#8364;&#x20AC;&#128;&#x1F600;&hellip;",
		"<\u00e9\u20ac\u20ac\u20ac\u20ac\U0001F600\u2026\n" },
	{ "text/html", "&lt &nosuch; &; &#; &#0; &#xD800; &amp;lt;",
		"< &nosuch; &; &#; \ufffd \ufffd &lt;\n" },
	/* damage */
	{ "text/html", "1 < 2 <3 <", "1 < 2 <3 <\n" },
	{ "text/html", "a<b", "a\n" },
	{ "text/html", "<a href=\"http://x>a</a>b", "a <http://x> b\n" },
	{ "text/html", "a<!-- b>c", "ac\n" },
	{ "text/html", "a</p></ul></blockquote></pre></a>b", "a\n\nb\n" },
	{ "text/html", "<p\"=x y='>'>a", "a\n" },
};

START_TEST(rich_text_becomes_readable)
{
	char raw[1024];

	snprintf(raw, sizeof(raw), "Content-Type: %s; charset=utf-8\r\n\r\n%s", rendered[_i].type,
		rendered[_i].body);
	parse(raw);
	assert_same(m->text, rendered[_i].text, rendered[_i].body);
	assert_defects("");
}
END_TEST

/* Charsets */

#define RUSSIAN "\xc4\xcf\xc2\xd2\xd9\xca \xc4\xc5\xce\xd8" /* KOI8-R */
static const struct {
	const char *type;
	struct {
		const char *base;
		size_t len;
	} body;
	const char *text, *defects;
} charsets[] = {
#define BYTES(s)                                                                                   \
	{                                                                                          \
		s, sizeof(s) - 1                                                                   \
	}
	/* by a byte order mark, whatever the label says */
	{ "text/plain; charset=iso-8859-1", BYTES("\xef\xbb\xbf\xc3\xbc"), "\u00fc", "" },
	{ "text/plain", BYTES("\xff\xfe\xfc\0a\0"), "\u00fca", "" },
	{ "text/plain; charset=utf-8", BYTES("\xfe\xff\0\xfc\0a"), "\u00fca", "" },
	{ "text/plain", BYTES("\xff\xfe\0\0\xfc\0\0\0"), "\u00fc", "" },
	{ "text/plain; charset=koi8-r", BYTES("\xff\xfe\xc4"), "\u042a\u0427\u0434", "" },
	/* by <meta>, when there is no label or an empty one */
	{ "text/html", BYTES("<meta charset=\"koi8-r\">\xc4\xc1"), "\u0434\u0430\n", "" },
	{ "text/html", BYTES("<META http-equiv=x content=\"text/html; charset = iso-8859-2\">\xb1"),
		"\u0105\n", "" },
	{ "text/html; charset=us-ascii", BYTES("<meta charset=koi8-r>\xc4"), "\u0434\n", "" },
	{ "text/html; charset=iso-8859-1", BYTES("<meta charset=koi8-r>\xc4"), "\u00c4\n", "" },
	{ "text/html", BYTES("<meta charset=utf-16>\xc3\xbc"), "\u00fc\n", "" },
	{ "text/html", BYTES("<meta charset=utf-8>\xfc"), "\u00fc\n", "guessed_charset" },
	{ "text/plain", BYTES("<meta charset=koi8-r>\xc3\xbc"), "<meta charset=koi8-r>\u00fc",
		"guessed_charset" },
	/* labels by any spelling, old ones as what people mean by them */
	{ "text/plain; charset=shift-jis", BYTES("\x87\x40"), "\u2460", "" },
	{ "text/plain; charset=iso_8859_1", BYTES("\x80"), "\u20ac", "" },
	{ "text/plain; charset=ANSI-X3.4-1968", BYTES("a"), "a", "" },
	{ "text/plain; charset=win-1251", BYTES("\xe4"), "\u0434", "" },
	{ "text/plain; charset=KS_C_5601", BYTES("\xb0\xa1"), "\uac00", "" },
	{ "text/plain; charset=big5", BYTES("\xf9\xd6"), "\u7881", "" },
	{ "text/plain; charset=euc-jp", BYTES("\xad\xa1"), "\u2460", "" },
	/* ISO-2022-JP with what Windows has in it: a number in a circle, katakana of half width */
	{ "text/plain; charset=iso-2022-jp", BYTES("\x1b$B-!$3\x1b(Ba\x1b(I1\x1b(B"),
		"\u2460\u3053a\uff71", "" },
	{ "text/plain; charset=iso-2022-jp", BYTES("\x1b$B-!$3$"), "\u2460\u3053", "" },
	{ "text/plain; charset=iso-2022-jp", BYTES("\x1b$B-!\x1b$(Dzz\x1b(B"),
		"\ufffd\ufffd\ufffd\ufffd", "bad_charset" },
	/* by the bytes, which the label cannot be right about */
	{ "text/plain; charset=iso-2022-jp", BYTES("\xe6\x97\xa5"), "\u65e5", "bad_charset" },
	{ "text/plain; charset=euc-jp", BYTES("\xe3\x81\x93\xe3\x82\x93!"), "\u3053\u3093!",
		"bad_charset" },
	{ "text/plain; charset=iso-2022-jp",
		BYTES("\xa4\xb3\xa4\xf3\xa4\xcb\xa4\xc1\xa4\xcf\xa1\xa2"
		      "\xa4\xaa\xb8\xb5\xb5\xa4\xa4\xc7\xa4\xb9\xa4\xab"),
		"\u3053\u3093\u306b\u3061\u306f\u3001\u304a\u5143\u6c17\u3067\u3059\u304b",
		"bad_charset" },
	{ "text/plain; charset=utf-7", BYTES("a \xfc"), "a \u00fc", "bad_charset" },
	{ "text/plain; charset=utf-16", BYTES("a text\r\nof letters"), "a text\nof letters",
		"bad_charset" },
	{ "text/plain; charset=utf-16be\r\nContent-Transfer-Encoding: base64",
		BYTES("AGEACgBiAAo="), "a\nb\n", "" },
	/* by detection */
	{ "text/plain", BYTES(RUSSIAN),
		"\u0434\u043e\u0431\u0440\u044b\u0439 "
		"\u0434\u0435\u043d\u044c",
		"guessed_charset" },
	{ "text/plain; charset=x-unknown", BYTES(RUSSIAN),
		"\u0434\u043e\u0431\u0440\u044b\u0439 \u0434\u0435\u043d\u044c",
		"unknown_charset" },
	{ "text/plain",
		BYTES("\x82\xb1\x82\xf1\x82\xc9\x82\xbf\x82\xcd\x81\x41\x82\xa8\x8c\xb3\x8b\x43"
		      "\x82\xc5\x82\xb7\x82\xa9"),
		"\u3053\u3093\u306b\u3061\u306f\u3001\u304a\u5143\u6c17\u3067\u3059\u304b",
		"guessed_charset" },
	{ "text/plain", BYTES("\x1b$B$3\x1b(B"), "\u3053", "guessed_charset" },
	/* windows-1252 as the last resort, for there is little of it */
	{ "text/plain", BYTES("It\x92s caf\xe9"), "It\u2019s caf\u00e9", "guessed_charset" },
	{ "text/plain",
		BYTES("Gr\xfc\xdf"
		      "e aus M\xfcnchen und K\xf6ln, sch\xf6ne Gr\xfc\xdf"
		      "e"),
		"Gr\u00fc\u00dfe aus M\u00fcnchen und K\u00f6ln, sch\u00f6ne Gr\u00fc\u00dfe",
		"guessed_charset" },
};

START_TEST(a_charset_is_named_or_found_out)
{
	char raw[512];
	int head = snprintf(raw, sizeof(raw), "Content-Type: %s\r\n\r\n", charsets[_i].type);

	memcpy(raw + head, charsets[_i].body.base, charsets[_i].body.len);
	parse_bytes(raw, (size_t)head + charsets[_i].body.len);
	assert_same(m->text, charsets[_i].text, charsets[_i].type);
	assert_defects(charsets[_i].defects);
}
END_TEST

/* Limits */

START_TEST(what_is_derived_is_cut_like_the_rest)
{
	limits.text_bytes = 20;
	parse("Content-Type: text/html\r\n\r\n<blockquote>a<br>b<br>c<br>d<br>e<br>f");
	ck_assert_uint_le(strlen(m->text), 20);
	ck_assert(strncmp(m->text, "> a\n", 4) == 0);
	assert_defects("limit_text");
}
END_TEST

static const char *const repeated[] = { "<title>", "<td><p>x</p>", "<a href=http://x>a</a>",
	"<p style=white-space:pre>a\n", "<blockquote style=border:0>a", "<b hidden>", "<tr><td>",
	"<blockquote>x", "<ul><li>x", "<a href=x>", "<a href=\"", "<!--", "<!-- >",
	"<div style=display:none>", "<script>", "<pre>\n", "<", "&", "&#", "</",
	"<a b='>' c=", "<meta charset", "<table><tr><td>", "\xc2\xa0<br>", "&amp;lt;",
	"<a href=\"http://x\">y" };

/* In quadratic time, or with a stack for its depth, it would not come back. */
START_TEST(a_megabyte_of_any_tag_is_read_to_its_end)
{
	enum { BYTES = 1000000 };
	size_t count = BYTES / strlen(repeated[_i]);
	char *raw = malloc(BYTES + 100), *to = stpcpy(raw, "Content-Type: text/html; "
							   "charset=utf-8\r\n\r\nx\n");
	for (size_t i = 0; i < count; i++)
		to = stpcpy(to, repeated[_i]);
	parse(raw);
	ck_assert_ptr_nonnull(m->text);
	ck_assert_int_eq(m->text[0], 'x');
	free(raw);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mime_bodies");
	TCase *tc = tcase_create("mime_bodies");
	SRunner *sr = srunner_create(suite);

	tcase_add_checked_fixture(tc, mime_setup, mime_teardown);
	tcase_set_timeout(tc, 30);
	LOOP(tc, what_a_mail_reader_shows_is_text_and_html, shown);
	LOOP(tc, rich_text_becomes_readable, rendered);
	LOOP(tc, a_charset_is_named_or_found_out, charsets);
	tcase_add_test(tc, what_is_derived_is_cut_like_the_rest);
	LOOP(tc, a_megabyte_of_any_tag_is_read_to_its_end, repeated);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
