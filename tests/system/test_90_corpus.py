# SPDX-License-Identifier: MIT
"""Real messages from public test suites: each is taken, and comes back byte for byte."""
import concurrent.futures
import hashlib
import re

from servers.corpus import messages, needs_corpus

MBOX_LINE = re.compile(rb"\AFrom [ \t]*(?![ \t:])[^\n]*\n")  # not "From : a@b", a field


@needs_corpus
def test_every_message_of_the_corpus_is_kept_and_every_part_is_what_its_row_says(server):
    corpus = list(messages())
    assert len(corpus) > 700

    def deliver(item):
        name, raw = item
        answer = server.post(raw, headers={"X-Original-Queue-Id": name.encode().hex()})
        assert answer.status_code == 200, (name, answer.text)
        stored = answer.json()
        kept = server.get(stored["stored_at"] + "/raw").content
        assert kept == MBOX_LINE.sub(b"", raw, count=1), name
        email = server.get(stored["stored_at"])
        assert email.status_code == 200, (name, email.text)
        assert email.json()["parse_status"] == stored["parse_status"], name
        parts = email.json()["parts"]
        for part in parts:
            content = server.get(f"{stored['stored_at']}/parts/{part['n']}")
            assert content.status_code == 200, (name, part, content.text)
            assert len(content.content) == part["size"], (name, part)
            assert hashlib.sha256(content.content).hexdigest() == part["sha256"], (name, part)
        return stored["parse_status"], len(parts)

    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        statuses, part_counts = zip(*clients.map(deliver, corpus))
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    print(f"\n{len(corpus)} messages: {counts}; {sum(part_counts)} parts")
    assert sum(part_counts) > 1000
    assert counts["ok"] > len(corpus) / 2
