# SPDX-License-Identifier: MIT
"""What servers of a test's own have in common: a folder, a process in the foreground, a log."""
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

STOP_DEADLINE_S = 30
running = {}  # the process of each server that was started and not closed yet: its log, as a function


def watch(process, log):
    running[process] = log
    return process


def check_lives(process):
    """Fails with its log when it ended badly and by itself: nobody has asked how, or made it."""
    log = running.pop(process, None)
    if log is None or process.returncode is not None:
        return
    code = process.poll()
    if code is None:
        running[process] = log
    elif code != 0:  # 0: after a signal that the test sent
        how = f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit status {code}"
        raise AssertionError(f"{process.args[0]} ended by itself, {how}; its log:\n{log()[-6000:]}")


def check_all_live():
    for process in list(running):
        check_lives(process)


def as_user(name, folder):
    """What goes before a command that refuses to run as root; the folder is given to that user."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam(name)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


class Program:
    """with Program(…) as p: until it answers; then stopped and gone, pass or fail

    A subclass says how to start() it. Only the process that this object started is ever ended, by
    its pid."""

    def __init__(self, name):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self.log_path = self.folder / "log"
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc):
        self.close()

    def start(self):
        raise NotImplementedError

    def launch(self, *command, output=None, env=None):
        """What it prints goes into its log, unless it is said where else."""
        with open(output or self.log_path, "ab") as out:
            self.process = watch(subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder,
                env=env), self.log)

    def check_runs(self):
        assert self.process.poll() is None, f"{type(self).__name__} ended: {self.log()[-2000:]}"

    def stop(self, signum=signal.SIGTERM):
        """Its exit code."""
        check_lives(self.process)
        if self.process.poll() is None:
            self.process.send_signal(signum)
            try:
                self.process.wait(STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def close(self):
        """May be called again."""
        try:
            if self.process is not None:
                self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
