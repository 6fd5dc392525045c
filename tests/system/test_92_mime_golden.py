# SPDX-License-Identifier: MIT
"""Fixtures made by hand, each with all that a mail reader would make of it: NAME.eml has NAME.json beside
it, written from the RFCs and not from what the parser said. A field that is not there is empty.

A part is "path type filename size", with "body" behind it when it is shown; `contents` and `content_ids`
are by path."""
import datetime
import hashlib
import json
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "mime"))

import corpus  # noqa: E402

FIXTURES = sorted((corpus.FIXTURES / "golden").glob("*.eml"))
assert FIXTURES


def written(address):
    if address["name"] is None:
        return address["address"]
    return f"{address['name']} <{address['address']}>"


def part_line(part):
    line = f"{part['path']} {part['content_type']} {part['filename'] or '-'} {part['size']}"
    return line if part["is_attachment"] else line + " body"


def without_empty(value):
    if isinstance(value, dict):
        return {key: without_empty(item) for key, item in value.items()
                if item not in (None, [], False)}
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    return value


def as_written(parse):
    """A parse in the words of a NAME.json."""
    said = dict(parse)
    said.update({key: [written(address) for address in addresses]
                 for key, addresses in said.pop("addresses").items()})
    if said["date"] is not None:
        said["date"] = datetime.datetime.fromtimestamp(
            said["date"], datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    del said["headers"]
    said["defects"] = sorted(said["defects"])
    said["content_ids"] = {part["path"]: part["content_id"] for part in said["parts"]}
    said["contents"] = {part["path"]: part["sha256"] for part in said["parts"]}
    said["parts"] = [part_line(part) for part in said["parts"]]
    return without_empty(said)


def parsed(path):
    [parse] = corpus.parse([path])
    return as_written(parse)


def wanted_of(path):
    wanted = json.loads(path.with_suffix(".json").read_text())
    for said, content in wanted.get("contents", {}).items():
        wanted["contents"][said] = hashlib.sha256(content.encode()).hexdigest()
    return wanted


def assert_as_wanted(said, wanted):
    said = dict(said)
    for key in ("contents", "content_ids"):
        named = wanted.get(key, {})
        said[key] = {path: value for path, value in said[key].items() if path in named}
    assert without_empty(said) == {"contents": {}, "content_ids": {}, **without_empty(wanted)}


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_a_message_is_read_as_its_maker_meant(path):
    assert_as_wanted(parsed(path), wanted_of(path))


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_line_ends_make_no_difference_but_to_sizes(path, tmp_path):
    """LF as the fixtures have it, CRLF as MTAs send it. That they were mixed, and the status that
    follows from it, cannot be told any more."""
    sent = tmp_path / "crlf.eml"
    sent.write_bytes(re.sub(rb"(?<!\r)\n", b"\r\n", path.read_bytes()))
    said, wanted = parsed(sent), wanted_of(path)
    for lines in (said, wanted):
        lines["parts"] = [re.sub(r" \d+( body)?$", r"\1", line) for line in lines["parts"]]
        lines["defects"] = [word for word in lines.get("defects", []) if word != "mixed_line_ends"]
        lines["status"] = lines["status"] if lines["defects"] else "ok"
    assert_as_wanted(said, wanted)
