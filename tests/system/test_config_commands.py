# SPDX-License-Identifier: MIT
"""`mailserver validate`, `token` and `config show`, as an operator calls them."""
import hashlib
import json
import os
import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "config"
MAILSERVER = os.path.abspath(os.environ.get("MAILSERVER", ROOT / "build/release/bin/mailserver"))
TOKEN = "0123456789abcdef-token"


@pytest.fixture(name="run")
def fixture_run(tmp_path):
    """Runs the program in an empty folder, with an environment that holds nothing of ours."""
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith("MAIL_") and k != "API_BEARER_TOKEN"}

    def run(*args, **env):
        return subprocess.run(
            [MAILSERVER, *args], env={**kept, "HOME": str(tmp_path), **env}, cwd=tmp_path,
            timeout=30, text=True, capture_output=True, check=False)
    return run


def test_validate_counts_in_its_last_line(run, tmp_path):
    file = tmp_path / "mailserver.yaml"
    file.write_text("prot: 1\n")
    done = run("validate")
    assert done.returncode == 0
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0] == "mailserver.yaml:1:1: warning: /prot: unknown key: did you mean port?"
    assert lines[-1] == "mailserver.yaml: valid, 2 warnings"
    file.write_text(f"bearer_token: {TOKEN}\n")
    assert run("validate").stderr == "mailserver.yaml: valid\n"


def test_validate_says_everything_in_the_file_s_order(run):
    done = run("validate", "-c", str(FIXTURES / "wrong.yaml"))
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    places = [int(line.split(":")[1]) for line in lines[:-1]]
    assert places == sorted(places)
    assert re.fullmatch(r".*wrong\.yaml: not valid, \d+ errors, \d+ warnings", lines[-1])
    assert len(lines) - 1 == sum(map(int, re.findall(r"(\d+) (?:error|warning)", lines[-1])))


def test_validate_json_is_one_object_on_standard_output(run):
    done = run("validate", "--json", "--config", str(FIXTURES / "wrong.yaml"))
    assert done.returncode == 1
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["valid"] is False
    first = found["errors"][0]
    assert first["source"].endswith("wrong.yaml")
    assert (first["line"], first["column"], first["pointer"]) == (2, 7, "/port")
    assert "between 1 and 65535" in first["message"]


def test_validate_strict_refuses_unknown_keys_but_not_gomail_s(run, tmp_path):
    (tmp_path / "mailserver.yaml").write_text("prot: 1\n")
    assert run("validate", "--strict").returncode == 1
    gomail = str(FIXTURES / "gomail-saved.yaml")
    done = run("validate", "--strict", "-c", gomail)
    assert done.returncode == 0
    assert "/do_api_token: GoMail's key" in done.stderr


@pytest.mark.skipif(
    os.path.exists("/etc/mailserver/mailserver.yaml") or os.path.exists("/etc/gomail.yaml"),
    reason="this machine has a configuration of its own")
def test_validate_without_a_file_says_so(run):
    done = run("validate", MAIL_PORT="70000")
    assert done.returncode == 1
    assert "environment MAIL_PORT: error: /port: 70000 is out of range" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(
        "no file found, environment and defaults: not valid, 1 error")


def test_validate_shows_the_schema(run):
    done = run("validate", "--show-schema")
    assert done.returncode == 0
    assert done.stdout == (ROOT / "schemas/config.schema.json").read_text(encoding="utf-8")
    assert json.loads(done.stdout)["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_sample_has_no_errors(run):
    done = run("validate", "--strict", "-c", str(ROOT / "configs/mailserver.yaml"))
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1].endswith("valid, 1 warning")


def test_token_is_fresh_and_its_digest_is_that_of_its_text(run):
    done = run("token")
    token, digest = (re.search(rf"^{k}: +(\S+)$", done.stdout, re.M).group(1)
                     for k in ("token", "sha256"))
    assert len(token) >= 43
    assert digest == hashlib.sha256(token.encode()).hexdigest()
    assert token not in run("token").stdout


def test_quiet_token_makes_a_token_file(run, tmp_path):
    done = run("token", "--quiet")
    assert re.fullmatch(r"\S{43,}\n", done.stdout)
    (tmp_path / "token").write_text(done.stdout)
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "mailserver.yaml").write_text("bearer_token_file: token\n")
    assert run("validate").stderr == "mailserver.yaml: valid\n"


def test_config_show_is_yaml_with_sources_and_without_secrets(run, tmp_path):
    (tmp_path / "mailserver.yaml").write_text(
        f"port: 4000\nbearer_token: {TOKEN}\n"
        "storage: {url: 'postgresql://mail:Qx77@db/mail'}\n")
    done = run("config", "show", MAIL_LISTEN="::1,10.0.0.1")
    assert done.returncode == 0
    assert done.stderr == ""
    assert TOKEN not in done.stdout and "Qx77" not in done.stdout
    shown = yaml.safe_load(done.stdout)
    assert shown["port"] == 4000
    assert shown["listen"] == ["::1", "10.0.0.1"]
    assert shown["storage"]["url"] == "postgresql://mail:(hidden)@db/mail"
    assert shown["limits"]["max_message_bytes"] == 26214400
    assert "port: 4000  # mailserver.yaml:1:7\n" in done.stdout
    assert "listen:  # environment MAIL_LISTEN\n" in done.stdout
    assert "workers: 0  # default\n" in done.stdout


def test_config_show_of_a_wrong_configuration_shows_what_is_wrong(run, tmp_path):
    (tmp_path / "mailserver.yaml").write_text("port: x\n")
    done = run("config", "show")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "mailserver.yaml:1:7: error: /port" in done.stderr


@pytest.mark.parametrize("args", [
    ("validate", "--no-such"), ("validate", "extra"), ("validate", "-c"), ("token", "extra"),
    ("token", "--no-such"), ("config",), ("config", "hide"), ("config", "show", "extra"),
])
def test_wrong_usage_exits_2_and_says_what_is_right(run, args):
    done = run(*args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"usage: mailserver {args[0]}" in done.stderr


@pytest.mark.parametrize("command", ["validate", "token", "config"])
def test_help_and_version_work_everywhere(run, command):
    done = run(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: mailserver {command}")
    done = run(command, "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("mailserver ")
