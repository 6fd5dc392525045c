# SPDX-License-Identifier: MIT
"""Real messages from public test suites, where there are any."""
import os
import pathlib
import re

import pytest

from servers.mailserver import ROOT

CORPUS = pathlib.Path(os.environ.get("MAIL_CORPUS", ROOT.parent / "shared/corpus/public"))
needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus at {CORPUS}: set MAIL_CORPUS to one")


def messages():
    """(name, bytes) of each that is not empty, as it is and with CRLF."""
    for path in sorted([*CORPUS.glob("mail/**/*.eml"), *CORPUS.glob("adversarial/*.eml")]):
        raw = path.read_bytes()
        if raw:
            yield path.name, raw
            yield path.name + " (CRLF)", re.sub(rb"(?<!\r)\n", b"\r\n", raw)
