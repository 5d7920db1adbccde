"""Archives that keep who unpacks them busy for as long as they are let (ATTACKS.md S17): an import
ends with its time, and nothing of it is left.

The time is an hour. So what tared asks tare-store for is altered on its way, by ptrace: the same
request with some seconds instead.
"""

import contextlib
import gzip
import itertools
import struct
import threading
import time
import unittest

import harness
import images
import stepper
from images import entry
from images_attacks_test import HostileTest

SENDMSG = 46  # of x86-64
HOUR_MS = 60 * 60 * 1000
SHORT_MS = 3000 * harness.PATIENCE


def nothing():
    """Parts of a gzip stream, each a whole one of no bytes."""
    while True:
        yield gzip.compress(b"") * 10_000


def tiny_files():
    """Empty ones, each of another name."""
    header = images.tar_of(entry("0" * 8))[:512]
    spare = sum(header[:148] + header[156:]) + 8 * ord(" ") - 8 * ord("0")
    for first in itertools.count(0, 2000):
        names = [b"%08d" % number for number in range(first, first + 2000)]
        yield gzip.compress(b"".join(
            name + header[8:148] + b"%06o\0 " % (spare + sum(name)) + header[156:]
            for name in names), 1)


def hurry(process, message):
    """The time that the request asks for, if it has one. `message`: a msghdr of that process's."""
    with open(f"/proc/{process}/mem", "r+b", buffering=0) as memory:
        def read(at, size):
            memory.seek(at)
            return memory.read(size)

        pieces, = struct.unpack("<Q", read(message + 16, 8))
        start, size = struct.unpack("<QQ", read(pieces, 16))
        at = read(start, size).find(struct.pack("<Q", HOUR_MS))
        if at >= 0:
            memory.seek(start + at)
            memory.write(struct.pack("<Q", SHORT_MS))
    return at >= 0


class Busy(HostileTest):
    def everything(self):
        """Without what is left of the runs that are made meanwhile."""
        runs = str(self.home.path / "runs")
        return {path: one for path, one in super().everything().items()
                if not path.startswith(runs)}

    def begin(self, *options):
        """An import from a pipe, which has the short time."""
        tared = self.home.program_pid("tared")
        traced = stepper.Stepper(tared)
        client = self.home.popen("env", "import", "-", "--name", "busy", *options, stdin=-1)
        hurried = False
        for tid, _, enters in traced.stops(lambda: hurried):
            if enters and not hurried and traced.last == SENDMSG:
                hurried = hurry(tared, traced.arguments[1])
        traced.let_go()
        return client

    def feed(self, client, pieces):
        with contextlib.suppress(BrokenPipeError), client.stdin as pipe:
            pipe.write(gzip.compress(images.tar_of(entry("first", b"f"))[:1024]))
            for piece in pieces:
                pipe.write(piece)

    def processor_time(self):
        """That of who unpacks, in ticks."""
        unpackers = [child for job in self.home.store_jobs() for child in
                     harness.read_text(f"/proc/{job}/task/{job}/children").split()]
        times = [harness.read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()[11:13]
                 for pid in unpackers]
        return sum(int(ticks) for pair in times for ticks in pair)

    def test_S17_what_is_busy_all_the_time_ends_with_its_time(self):
        for what in (tiny_files, nothing):
            for options in ((), ("--format", "tar")):
                with self.subTest(what.__name__, options=options):
                    self.is_ended(self.begin(*options), what())

    def is_ended(self, client, pieces):
        feeding = threading.Thread(target=self.feed, args=(client, pieces))
        feeding.start()
        times, end = [], time.monotonic() + harness.TIMEOUT_S
        while client.poll() is None:
            if time.monotonic() > end:
                client.kill()
                self.fail("it goes on")
            self.assertEqual(self.home.host("echo", "served").stdout, b"served\n")
            times.append(self.processor_time())
            time.sleep(0.1)
        print(f"processor time of who unpacks, while others were served: {times}")
        said = client.stderr.read().decode()
        client.stdout.close()
        client.stderr.close()
        feeding.join()
        self.assert_gone()
        self.assertNotEqual(client.returncode, 0)
        self.assertIn("its time is over", said)
        self.assertGreater(len(set(times)), 3, "it was not busy all the time")

    def assert_gone(self):
        staging = self.home.path / "store/staging"
        harness.wait_until(lambda: not list(staging.iterdir()), "an empty staging folder")
        harness.wait_until(lambda: not self.home.store_jobs(), "the end of who unpacks")
        self.maxDiff = None
        self.assertEqual(self.everything(), self.before)
        self.assertEqual(self.outside.read_bytes(), b"untouched")


if __name__ == "__main__":
    unittest.main()
