# SPDX-License-Identifier: MIT
"""What Python's `email` (policy.default) makes of a message, field by field, beside what lib/mime does.

Both are brought into one shape: runs of white space in header values are one space, the line ends of
bodies are LF, and their last ones are left out. What Python does not know at all is None."""
import datetime
import email
import email.policy
import hashlib
import re
import warnings

FIELDS = ("subject", "from", "to", "cc", "bcc", "reply_to", "date", "message_id", "in_reply_to",
          "references", "text", "html", "parts", "filenames", "contents")
ATTACHED = ("message/rfc822", "message/global", "message/news")
MADE_UP = r"(part|message)-\d+\.\w+"
ADDRESSES = ("from", "to", "cc", "bcc", "reply_to")


class Failure(str):
    """An exception in a value's place: Python fails on some messages."""


def utf8(text):
    """Python leaves 8-bit bytes in a header as lone surrogates: UTF-8, when they can be."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def squeeze(value):
    return None if value is None else " ".join(utf8(value).split())


def lines(text):
    return None if text is None else text.replace("\r\n", "\n").rstrip("\n")


def digest(data):
    return f"{len(data)} {hashlib.sha256(data).hexdigest()[:16]}"


def field(of):
    def guarded(*args):
        try:
            return of(*args)
        except Exception as error:  # whatever it is, the message is one that Python cannot read
            return Failure(f"Python: {type(error).__name__}: {error}"[:200])
    return guarded


@field
def addresses(message, name):
    found = []
    for header in message.get_all(name.replace("_", "-"), []):
        found += [[squeeze(a.display_name) or None, squeeze(a.addr_spec)] for a in header.addresses]
    return found


@field
def unstructured(message, name):
    value = message[name]
    return None if value is None else squeeze(str(value))


@field
def date(message):
    header = message["date"]
    if header is None or header.datetime is None:
        return None
    moment = header.datetime
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.timezone.utc)
    return int(moment.timestamp())


@field
def ids(message, name):
    return re.findall(r"<[^<>]*>", str(message[name] or ""))


@field
def body(message, kind):
    part = message.get_body(preferencelist=(kind,))
    return None if part is None else lines(part.get_content(errors="replace"))


def walk(part, path):
    """(path, part) of every leaf and every attached message, as IMAP counts. What Python takes apart
    of other message/ types, the fields of a delivery report for one, are no parts of the message."""
    if part.is_multipart() and part.get_content_maintype() == "multipart":
        for n, child in enumerate(part.iter_parts(), 1):
            yield from walk(child, f"{path}.{n}" if path else str(n))
        return
    path = path or "1"
    yield path, part
    if part.is_multipart() and part.get_content_type() in ATTACHED:
        inner = part.get_payload(0)
        multipart = inner.is_multipart() and inner.get_content_maintype() == "multipart"
        yield from walk(inner, path if multipart else f"{path}.1")


@field
def parts(message):
    return [f"{path} {part.get_content_type()}" for path, part in walk(message, "")]


@field
def filenames(message):
    return [f"{path} {squeeze(part.get_filename())}" for path, part in walk(message, "")
            if part.get_filename()]


@field
def contents(message):
    """Not of message/ types, whose bytes Python does not keep."""
    return [f"{path} {digest(part.get_payload(decode=True))}" for path, part in walk(message, "")
            if not part.get_content_type().startswith("message/")]


def theirs(raw):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        message = email.message_from_bytes(raw, policy=email.policy.default)
        in_reply_to = ids(message, "in-reply-to")
        found = {name: addresses(message, name) for name in ADDRESSES}
        found.update(
            subject=unstructured(message, "subject"), date=date(message),
            message_id=unstructured(message, "message-id"),
            in_reply_to=in_reply_to if isinstance(in_reply_to, Failure)
            else (in_reply_to[0] if in_reply_to else None),
            references=ids(message, "references"), text=body(message, "plain"),
            html=body(message, "html"), parts=parts(message), filenames=filenames(message),
            contents=contents(message))
        return found


def ours(parse):
    """The same of a line of mime_json. Text made from HTML, names made up for parts that have none,
    and files inside of a part are not compared: Python has no such things."""
    found = {name: [[squeeze(a["name"]), squeeze(a["address"])] for a in parse["addresses"][name]]
             for name in ADDRESSES}
    listed = [part for part in parse["parts"] if part["inside"] is None]
    found.update(
        subject=squeeze(parse["subject"]), date=parse["date"], message_id=squeeze(parse["message_id"]),
        in_reply_to=parse["in_reply_to"], references=parse["references"],
        text=None if parse["text_is_derived"] else lines(parse["text"]), html=lines(parse["html"]),
        parts=[f"{part['path']} {part['content_type']}" for part in listed],
        filenames=[f"{part['path']} {squeeze(part['filename'])}" for part in listed
                   if part["filename"] and not re.fullmatch(MADE_UP, part["filename"])],
        contents=[f"{part['path']} {part['size']} {part['sha256'][:16]}" for part in listed
                  if not part["content_type"].startswith("message/")])
    return found
