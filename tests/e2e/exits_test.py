"""How `tare run` ends: its exit status is the program's, and one line on stderr says why."""

import json
import signal
import unittest

import harness


class Exits(harness.TareTest):
    def test_success_is_0_and_silent(self):
        result = self.home.host("true")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b"", b""))

    def test_a_programs_own_status_is_passed_on(self):
        for status in (1, 3, 64, 69, 125, 255):
            result = self.home.host("sh", "-c", f"exit {status}")
            self.assertEqual((result.returncode, result.stderr), (status, b""))

    def test_a_timeout_is_124(self):
        result = self.home.host("sleep", "1000", options=["--timeout", "300ms"])
        self.assert_reason(result, 124, "timed out after 300 ms")

    def test_a_timeout_takes_the_whole_tree(self):
        script = "(setsid sleep 1000 &); (trap '' TERM INT HUP; sleep 1000) & sleep 1000"
        result = self.home.host("sh", "-c", script, options=["--timeout", "500ms"])
        self.assert_reason(result, 124, "timed out")
        harness.wait_until(lambda: not self.home.programs(), "the end of the tree")

    def test_beyond_the_memory_limit_is_137(self):
        program = ["python3", "-c", "x = bytearray(300 << 20)"]
        result = self.home.host(*program, options=["--mem", "32M"])
        self.assert_reason(result, 137, "memory limit of 32 MiB reached")

    def test_a_kill_is_137(self):
        with self.home.popen("run", "--env", "host", "--", "sh", "-c",
                             "echo up; sleep 1000") as client:
            self.assertEqual(client.stdout.readline(), b"up\n")
            runs = self.home.request("GET", "/v1/runs?state=active").json["runs"]
            self.home.must("kill", runs[0]["id"])
            _, err = client.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(client.returncode, 137)
        self.assertEqual(err.decode(), f"tare: {runs[0]['id']}: killed on request\n")

    def test_not_executable_is_126(self):
        self.assert_reason(self.home.host("/etc/passwd"), 126,
                           'cannot execute "/etc/passwd": .*Permission denied')
        self.assert_reason(self.home.host("/usr"), 126, 'cannot execute "/usr"')

    def test_not_found_is_127(self):
        for name in ("/no/such/program", "no-such-program"):
            self.assert_reason(self.home.host(name), 127, f'program not found: "{name}"')

    def test_a_signal_is_128_and_its_number(self):
        for number in (signal.SIGTERM, signal.SIGABRT, signal.SIGSEGV, signal.SIGUSR1):
            result = self.home.host("sh", "-c", f"kill -{int(number)} $$")
            self.assert_reason(result, 128 + number, f"ended by signal {int(number)}")

    def test_a_child_of_the_program_may_die_without_ending_it(self):
        result = self.home.host("sh", "-c", "sleep 1000 & kill -9 $!; wait $!; exit 4")
        self.assertEqual(result.returncode, 4)

    def test_beyond_the_output_limit_the_run_is_killed_with_137(self):
        result = self.home.host("yes", options=["--output-limit", "64K"])
        self.assert_reason(result, 137, "output limit of 64 KiB reached")
        self.assertEqual(result.stdout, b"y\n" * (32 << 10))

    def test_the_output_limit_is_exact_to_the_byte(self):
        limit = 100_000
        script = "import os, sys\nleft = int(sys.argv[1])\nos.write(2, b'e' * 999)\n" \
                 "while left: left -= os.write(1, b'o' * min(left, 70_001))\n"
        for stdout, expected in ((limit - 999, 0), (limit - 998, 137), (limit * 9, 137)):
            with self.subTest(stdout=stdout):
                result = self.home.host("python3", "-c", script, stdout,
                                        options=["--output-limit", limit, "--json"])
                self.assert_status(result, expected)
                answer = json.loads(result.stdout)
                usage = answer["run"]["usage"]
                self.assertEqual(usage["stdout_bytes"] + usage["stderr_bytes"], limit)
                self.assertEqual(len(answer["stdout"]) + len(answer["stderr"]), limit)

    def test_the_disk_limit_is_an_error_for_the_program_only(self):
        program = ["sh", "-c", "head -c 50000000 /dev/zero >/tmp/big || exit 9"]
        result = self.home.host(*program, options=["--disk", "8M"])
        self.assert_status(result, 9)
        self.assertIn(b"No space left on device", result.stderr)
        self.assertIn(b"exited with status 9; disk full (limit disk 8 MiB)", result.stderr)

    def test_the_limit_of_processes_is_an_error_for_the_program_only(self):
        program = ("import os, errno\nmade = 0\n"
                   "try:\n"
                   "  while True:\n"
                   "    if os.fork() == 0: os.read(os.pipe()[0], 1)\n"
                   "    made += 1\n"
                   "except OSError as error: print(made, error.errno == errno.EAGAIN)")
        result = self.home.host("python3", "-c", program, options=["--pids", "16"])
        self.assertEqual((result.returncode, result.stdout), (0, b"15 True\n"))
        self.assertIn(b": 1 fork refused (limit pids 16)\n", result.stderr)

    def test_a_bomb_that_lives_on_ends_with_the_limit_it_met_beside_the_one_that_ended_it(self):
        program = ("import os\n"
                   "while True:\n"
                   "  try: os.fork()\n"
                   "  except OSError: pass\n")
        result = self.home.host("python3", "-c", program,
                                options=["--pids", "16", "--timeout", "1s"])
        self.assertEqual(result.returncode, 124)
        self.assertRegex(result.stderr.decode(),
                         r"timed out after 1 s \(limit time\); \d+ forks refused "
                         r"\(limit pids 16\)\n")

    def test_inspect_and_logs_tell_the_same_end_afterwards(self):
        run = self.home.detached("sh", "-c", "echo out; echo err >&2; exit 7")
        shown = self.home.wait_ended(run)
        self.assertEqual((shown["state"], shown["outcome"]["reason"],
                          shown["outcome"]["exit_code"]), ("failed", "exited", 7))
        logs = self.home.tare("logs", "-f", run)
        self.assertEqual((logs.returncode, logs.stdout, logs.stderr), (7, b"out\n", b"err\n"))


if __name__ == "__main__":
    unittest.main()
