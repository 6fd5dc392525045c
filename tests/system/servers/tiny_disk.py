# SPDX-License-Identifier: MIT
"""A disk of a few megabytes that can be filled, and that nobody else on the machine sees."""
import os
import subprocess
import tempfile

MOUNT = 'mount -t tmpfs -o "size=$1m,mode=0777" tmpfs "$2" && echo mounted && exec cat'


class NoTinyDisk(Exception):
    """This user, or this machine, may not mount one."""


class TinyDisk:
    """with TinyDisk(24) as disk: programs started with `disk.enter` before them see disk.path

    The mount is in a namespace of its own, and goes with its last process: the one that holds it
    ends with this object, and at the latest with the test's process."""

    def __init__(self, megabytes):
        self.path = tempfile.mkdtemp(prefix="tiny-disk-", dir="/tmp")
        os.chmod(self.path, 0o777)
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNT, "sh",
             str(megabytes), self.path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.holder.stdout.readline() != b"mounted\n":
            why = self.holder.stderr.read().decode(errors="replace").strip()
            self.close()
            raise NoTinyDisk(why)
        self.enter = ["nsenter", "--mount", "--target", str(self.holder.pid), "--"]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def seen_from_outside(self, name):
        """A file of the disk, as a path for this process. Not for SQLite, which would look where
        the links in it lead to."""
        return f"/proc/{self.holder.pid}/root{self.path}/{name}"

    def fill(self):
        """To the last byte, or as near as whoever writes there too lets it."""
        subprocess.run(["dd", "if=/dev/zero", "bs=64k", "conv=notrunc", "oflag=append",
                        f"of={self.seen_from_outside('filler')}"],
                       check=False, stderr=subprocess.DEVNULL)

    def free(self):
        os.unlink(self.seen_from_outside("filler"))

    def close(self):
        """May be called again."""
        for pipe in (self.holder.stdin, self.holder.stdout, self.holder.stderr):
            pipe.close()
        self.holder.wait()
        if os.path.isdir(self.path):
            os.rmdir(self.path)
