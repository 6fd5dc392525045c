# SPDX-License-Identifier: MIT
"""The sample messages ($MAIL_CORPUS, by default the folder beside the repository), and their parses."""
import functools
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = pathlib.Path(os.environ.get("MAIL_CORPUS", ROOT.parent / "shared/corpus/public"))
CHECKS = pathlib.Path(os.environ.get("CHECKS", ROOT / "build/release/tests"))
FIXTURES = ROOT / "tests/fixtures/mime"


def messages():
    return sorted([*CORPUS.glob("mail/**/*.eml"), *CORPUS.glob("adversarial/*.eml")])


def name_of(path):
    return path.relative_to(CORPUS).as_posix()


def parse(paths, mime_json=None):
    """A parse for each file, in their order; each list of files is parsed once."""
    return [json.loads(line) for line in parses(tuple(paths), mime_json)]


@functools.lru_cache
def parses(paths, mime_json):
    done = subprocess.run([mime_json or CHECKS / "mime_json"], check=True, text=True, timeout=600,
                          input="".join(f"{path}\n" for path in paths), stdout=subprocess.PIPE)
    return [line for line in done.stdout.split("\n") if line]
