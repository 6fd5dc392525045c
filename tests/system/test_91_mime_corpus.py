# SPDX-License-Identifier: MIT
"""Every field that lib/mime gives for the samples: as it was last reviewed, the same with either line
end, and what Python's `email` says too, or the reason why not."""
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "mime"))

import corpus  # noqa: E402
import differ  # noqa: E402
import golden  # noqa: E402

pytestmark = pytest.mark.skipif(
    not corpus.messages(), reason=f"no samples at {corpus.CORPUS}: MAIL_CORPUS names another folder")


def listing(keys):
    return "\n".join(" ".join(key) for key in keys)


def test_every_field_is_as_it_was_reviewed():
    paths = corpus.messages()
    parses = dict(zip(map(corpus.name_of, paths), corpus.parse(paths)))
    reviewed = golden.load()
    changed = list(golden.changes(reviewed, parses))
    assert not changed, "`make golden` shows and accepts:\n" + listing(changed)
    assert reviewed.keys() == parses.keys()


# Content that is no text keeps its bytes, so these tell of the line ends.
OF_BYTES = {"parts"}
# Holds UTF-16 as it is, in which a byte more is another text.
NO_LINES = "mail/stalwart-mail-parser/thirdparty-005.eml"


def without_mixed(fields):
    """As if nobody had seen that line ends were mixed."""
    defects = [word for word in fields.get("defects", []) if word != "mixed_line_ends"]
    return {**fields, "defects": defects, "status": fields["status"] if defects else "ok"}


def test_fields_do_not_depend_on_line_ends(tmp_path):
    """LF as the samples have it, CRLF as MTAs send it."""
    paths = [path for path in corpus.messages()
             if b"\n" in path.read_bytes() and corpus.name_of(path) != NO_LINES]
    sent = []
    for number, path in enumerate(paths):
        sent.append(tmp_path / f"{number}.eml")
        sent[-1].write_bytes(re.sub(rb"(?<!\r)\n", b"\r\n", path.read_bytes()))
    differing = []
    for path, lf, crlf in zip(paths, corpus.parse(paths), corpus.parse(sent)):
        lf, crlf = without_mixed(golden.fields(lf)), without_mixed(golden.fields(crlf))
        differing += [(corpus.name_of(path), key) for key in sorted(lf.keys() | crlf.keys())
                      if key not in OF_BYTES and lf.get(key) != crlf.get(key)]
    assert not differing, listing(differing)


def test_python_agrees_or_the_table_says_why_not():
    explained, reasons = differ.load()
    found = differ.differences()
    for reason, text in reasons.items():
        assert len(text.split()) > 5, f"[{reason}] is not explained"
        assert reason in explained.values(), f"[{reason}] explains nothing"
    new = [key for key in found if key not in explained]
    assert not new, "not in differences.txt (tests/mime/differ.py shows them):\n" + listing(new)
    gone = [key for key in explained if key not in found]
    assert not gone, "in differences.txt, but equal:\n" + listing(gone)
