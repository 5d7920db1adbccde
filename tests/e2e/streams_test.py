"""Output and input of `tare run`: byte-exact, not mixed, bounded in memory and on disk."""

import hashlib
import json
import random
import signal
import unittest

import harness

GIB = 1 << 30
KEPT_BYTES = 64 << 20  # of a run's log from its beginning, both streams together
WINDOW_BYTES = 8 << 20  # kept before its end, at most

# Writes argv[1] pseudo-random bytes to stdout, the same each time, in blocks of a MiB.
SPOUT = """
import random, sys
source = random.Random(1)
block = source.randbytes(1 << 20)
for i in range(int(sys.argv[1]) >> 20):
    sys.stdout.buffer.write(i.to_bytes(8, 'big') + block[8:])
"""


def spouted_digest(size):
    digest = hashlib.sha256()
    block = random.Random(1).randbytes(1 << 20)
    for i in range(size >> 20):
        digest.update(i.to_bytes(8, "big") + block[8:])
    return digest.hexdigest()


class Streams(harness.TareTest):
    def test_every_byte_value_passes_in_both_streams_and_they_are_not_mixed(self):
        script = ("import os\nfor i in range(64):\n"
                  "  os.write(1, bytes(range(256)))\n  os.write(2, bytes(range(255, -1, -1)))")
        result = self.home.host("python3", "-c", script)
        self.assert_status(result, 0)
        self.assertEqual(result.stdout, bytes(range(256)) * 64)
        self.assertEqual(result.stderr, bytes(range(255, -1, -1)) * 64)

    def test_output_comes_while_the_program_runs(self):
        script = "echo first; read line; echo \"then $line\""
        with self.home.popen("run", "-i", "--env", "host", "--", "sh", "-c", script,
                             stdin=harness.subprocess.PIPE) as client:
            self.assertEqual(client.stdout.readline(), b"first\n")
            out, err = client.communicate(b"more\n", harness.TIMEOUT_S)
        self.assertEqual((client.returncode, out, err), (0, b"then more\n", b""))

    def test_stdin_is_empty_without_i(self):
        result = self.home.host("cat", data=b"not for you")
        self.assertEqual((result.returncode, result.stdout), (0, b""))

    def test_stdin_with_i_is_byte_exact(self):
        data = random.Random(2).randbytes(5_000_001)
        result = self.home.host("cat", options=["-i"], data=data)
        self.assert_status(result, 0)
        self.assertEqual(hashlib.sha256(result.stdout).digest(), hashlib.sha256(data).digest())

    def test_an_empty_stdin_with_i_ends_at_once(self):
        result = self.home.host("wc", "-c", options=["-i"], data=b"")
        self.assertEqual((result.returncode, result.stdout), (0, b"0\n"))

    def test_a_program_that_does_not_read_its_stdin_is_no_failure(self):
        result = self.home.host("sh", "-c", "exec <&-; echo fine", options=["-i"],
                                data=bytes(10_000_000))
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b"fine\n", b""))

    def test_a_gibibyte_passes_exactly_and_tared_stays_small(self):
        tared = self.home.program_pid("tared")
        digest, count = hashlib.sha256(), 0
        with self.home.popen("run", "--env", "host", "--", "python3", "-c", SPOUT, GIB) as client:
            while data := client.stdout.read(1 << 20):
                digest.update(data)
                count += len(data)
            self.assertEqual(client.wait(harness.TIMEOUT_S), 0, client.stderr.read())
        peak_kib = int(harness.status_of(tared)["VmHWM"].split()[0])
        self.assertEqual(count, GIB)
        self.assertEqual(digest.hexdigest(), spouted_digest(GIB))
        self.assertLess(peak_kib, 300 << 10)

    def test_the_kept_log_is_64_mib_and_says_that_it_was_cut(self):
        size = 100 << 20
        run = self.home.detached("python3", "-c", SPOUT, size)
        shown = self.home.wait_ended(run)
        self.assertEqual((shown["state"], shown["log_cut"]), ("succeeded", True))
        self.assertEqual(shown["usage"]["stdout_bytes"], size)
        logs = self.home.must("logs", run)
        self.assertRegex(logs.stderr.decode(), r"(?i)not kept|cut")
        whole = self.home.must("run", "--env", "host", "--", "python3", "-c", SPOUT, size).stdout
        first, last = logs.stdout[:KEPT_BYTES], logs.stdout[KEPT_BYTES:]
        self.assertTrue(first == whole[:KEPT_BYTES], "the first bytes are not kept")
        self.assertLessEqual(len(last), WINDOW_BYTES)
        self.assertTrue(last == whole[size - len(last):], "the last bytes are not the end")
        folder = self.home.path / "runs" / run
        used = sum(file.stat().st_blocks * 512 for file in folder.rglob("*"))
        self.assertLess(used, KEPT_BYTES + WINDOW_BYTES + (2 << 20))

    def test_a_streamed_run_has_no_cap_but_its_log_has(self):
        size = 80 << 20
        result = self.home.host("python3", "-c", SPOUT, size)
        self.assert_status(result, 0)
        self.assertEqual(len(result.stdout), size)
        self.assertEqual(hashlib.sha256(result.stdout).hexdigest(), spouted_digest(size))

    def test_json_holds_the_run_its_status_and_both_streams(self):
        script = "printf 'text\\n'; printf '\\377\\000' >&2; exit 3"
        result = self.home.host("sh", "-c", script, options=["--json"])
        self.assert_status(result, 3)
        answer = json.loads(result.stdout)
        self.assertEqual(answer["exit_status"], 3)
        self.assertEqual((answer["stdout"], answer["stdout_encoding"]), ("text\n", "utf-8"))
        self.assertEqual((answer["stderr"], answer["stderr_encoding"]), ("/wA=", "base64"))
        self.assertEqual(answer["run"]["outcome"]["exit_code"], 3)
        self.assertGreater(answer["run"]["usage"]["start_us"], 0)

    def test_a_reader_that_has_gone_ends_the_run(self):
        with self.home.popen("run", "--env", "host", "--", "yes") as client:
            self.assertEqual(client.stdout.read(2), b"y\n")
            client.stdout.close()
            self.assertEqual(client.wait(harness.TIMEOUT_S), 128 + signal.SIGPIPE)
        harness.wait_until(lambda: not self.home.programs(), "the end of the run")


if __name__ == "__main__":
    unittest.main()
