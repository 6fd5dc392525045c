# SPDX-License-Identifier: MIT
"""`mailserver deliver` as an MTA starts it: flags, a pipe, one line, an exit code."""
import os
import subprocess

from servers.mailserver import BINARY, SANITIZER, TOKEN

SENDER, RECIPIENT = "alice@example.org", "bob@example.com"


def flags_of(url, more):
    flags = ["--url", url]
    for name, value in more.items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            flags += [f"--{name.replace('_', '-')}", *([] if one is True else [str(one)])]
    return flags


def environment(token=TOKEN, **more):
    env = {key: value for key, value in os.environ.items() if not key.startswith("MAIL")}
    if token is not None:
        env["MAIL_DELIVER_TOKEN"] = token
    return {**env, **more}


def start(url, env=None, binary=BINARY, stdin=subprocess.PIPE, enter=(), **more):
    """A process, its standard input open."""
    if "flush" not in more:
        more = {"sender": SENDER, "recipient": RECIPIENT, **more}
    return subprocess.Popen([*enter, binary, "deliver", *flags_of(url, more)], stdin=stdin,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=environment() if env is None else env)


def end(process, message=None, timeout=60):
    """(exit code, what it printed)"""
    out, err = process.communicate(message, timeout=timeout)
    assert not SANITIZER.search(err.decode(errors="replace")), err.decode(errors="replace")
    assert err == b"", f"an MTA does not read it: {err}; exit code {process.returncode}, {out}"
    return process.returncode, out.decode()


def deliver(url, message, **more):
    code, out = end(start(url, **more), message)
    assert out.endswith("\n") and out.count("\n") == 1, f"not one line: {out!r}; exit code {code}"
    return code, out[:-1]


def flush(url, folder, **more):
    """(exit code, its lines)"""
    code, out = end(start(url, flush=True, spool=folder, **more))
    return code, out.splitlines()
