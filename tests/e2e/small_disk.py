"""A small file system of its own, for a server to fill: a tmpfs in a mount namespace.

A user namespace lets anyone make one; where those are forbidden, root mounts it in the open.
"""

import os
import subprocess


class SmallDisk:
    def __init__(self, path, mebibytes):
        path.mkdir()
        self.path = path
        self.prefix = []
        self.holder = None
        mount = f"mount -t tmpfs -o size={mebibytes}m,mode=0755 tmpfs '{path}'"
        # The namespace lives as long as a process is in it: this one, until its input ends.
        self.holder = subprocess.Popen(["unshare", "-rm", "sh", "-c", f"{mount} && echo on && cat"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
        if self.holder.stdout.readline() == b"on\n":
            self.prefix = ["nsenter", "--preserve-credentials", "-U", "-m",
                           "-t", str(self.holder.pid)]
            return
        words = self.holder.communicate()[1].decode()
        self.holder = None
        direct = subprocess.run(["sh", "-c", mount], capture_output=True)
        assert os.geteuid() == 0 and direct.returncode == 0, \
            f"this test needs user namespaces or root, to mount a tmpfs: {words} {direct.stderr}"

    def run(self, *command, check=True):
        return subprocess.run([*self.prefix, *map(str, command)], capture_output=True, check=check)

    def fill(self, name="ballast"):
        """Takes all the room that is left."""
        self.run("dd", "if=/dev/zero", f"of={self.path / name}", "bs=4k", check=False)

    def take(self, mebibytes, name="ballast"):
        self.run("dd", "if=/dev/zero", f"of={self.path / name}", "bs=1M", f"count={mebibytes}")

    def free(self, name="ballast"):
        self.run("rm", self.path / name)

    def remount(self, how):
        self.run("mount", "-o", f"remount,{how}", self.path)

    def close(self):
        if self.holder is None:
            subprocess.run(["umount", "-l", self.path], check=False)
            return
        self.holder.stdin.close()
        self.holder.wait(10)
