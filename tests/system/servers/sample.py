# SPDX-License-Identifier: MIT
"""The sample files of configs/, run as they are but for addresses and paths."""
import pathlib

CONFIGS = pathlib.Path(__file__).resolve().parents[3] / "configs"


def fill_in(name, changes):
    """The file's text, each key of `changes` replaced by its value; each stands there once."""
    text = (CONFIGS / name).read_text(encoding="utf-8")
    for old, new in changes.items():
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        text = text.replace(old, new)
    return text
