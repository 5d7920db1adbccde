"""Tare of an ordinary user, in the test machine (tests/vm/guest.sh): run as `ann`, who has
subordinate ids, in a cgroup that was handed to her; and as `bob`, who has none."""

import json
import os
import pwd
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402

ME = pwd.getpwuid(os.getuid())
HAS_IDS = ME.pw_name == "ann"
DELEGATED = "/delegated" in harness.read_text("/proc/self/cgroup")


class OwnHome(harness.Home):
    def __init__(self):
        super().__init__(ME.pw_dir)

    def doctor(self):
        result = self.tare("doctor", "--json")
        checks = json.loads(result.stdout)["checks"]
        return result.returncode, {check["name"]: check for check in checks}


class Test(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.home = OwnHome()


@unittest.skipUnless(HAS_IDS and DELEGATED, "of somebody with subordinate ids and a cgroup")
class Rootless(Test):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.home.up()
        cls.addClassCleanup(cls.home.down)

    def host(self, *command, **more):
        return self.home.host(*command, **more)

    def script(self, text, **more):
        result = self.host("sh", "-c", text, **more)
        self.assertEqual(result.returncode, 0, result.stderr.decode() + self.home.logs())
        return result.stdout.decode()

    def test_a_program_runs_and_its_status_comes_back(self):
        self.assertEqual(self.script("echo hello"), "hello\n")
        self.assertEqual(self.host("sh", "-c", "exit 7").returncode, 7)

    def test_it_is_the_agent_with_ids_of_its_own_and_no_capabilities(self):
        said = self.script("id -u; grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' "
                           "/proc/self/status; cat /proc/self/uid_map; touch ~/a && stat -c %U ~/a")
        self.assertIn("CapEff:\t0000000000000000", said)
        self.assertIn("CapBnd:\t0000000000000000", said)
        self.assertIn("NoNewPrivs:\t1", said)
        self.assertIn("Seccomp:\t2", said)
        self.assertRegex(said, r"^1000\n")
        self.assertRegex(said, r"\n +0 +0 +65536\n")
        self.assertTrue(said.endswith("agent\n"), said)

    def test_it_has_what_it_has_of_roots_tare_but_for_what_is_stated(self):
        for user in ("agent", "root"):
            said = self.home.must("posture", "--user", user).stdout
            check = subprocess.run([harness.BIN / "tare-posture-check", user, "rootless"],
                                   input=said, capture_output=True, check=False)
            self.assertEqual((check.stdout.decode(), check.stderr, check.returncode),
                             ("", b"", 0), user)

    def test_on_the_host_its_processes_are_a_subordinate_id_and_the_services_not_root(self):
        run = self.home.detached("sleep", "600")
        try:
            harness.wait_until(lambda: self.home.inspect(run)["state"] == "running", "the run")
            programs = harness.wait_until(self.home.programs, "its process")
            owners = {harness.status_of(pid)["Uid"].split()[0] for pid in programs}
            self.assertEqual(owners, {"101000"})
            for name, uid in (("tared", ME.pw_uid), ("tare-launcher", 100000),
                              ("tare-store", 100000)):
                status = harness.status_of(self.home.program_pid(name))
                self.assertEqual(status["Uid"].split(), [str(uid)] * 4, name)
        finally:
            self.home.must("kill", run)

    def test_root_inside_cannot_write_to_what_is_the_hosts(self):
        result = self.home.host("sh", "-c", "id -u; touch /usr/x /etc/x",
                                options=["--user", "root"])
        self.assertEqual(result.stdout, b"0\n")
        self.assertIn(b"'/usr/x': Read-only file system", result.stderr)
        self.assertNotIn(b"'/etc/x'", result.stderr)

    def test_a_removed_folder_of_the_environment_can_be_made_again_from_linux_6_6_on(self):
        result = self.home.host("sh", "-c", "rmdir /root && mkdir /root",
                                options=["--user", "root"])
        if tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 6):
            self.assertEqual(result.returncode, 0, result.stderr)
        else:
            self.assertRegex(result.stderr.decode(), "mkdir: .*Input/output error")

    def test_nothing_of_the_persons_home_is_there(self):
        self.assertEqual(self.script("ls /home; ls -A /home/agent; ls /root 2>&1 | head -n 1"),
                         "agent\nls: cannot open directory '/root': Permission denied\n")

    def test_input_goes_in_and_output_comes_out_as_the_persons(self):
        with tempfile.TemporaryDirectory() as folder:
            given = Path(folder) / "given"
            given.write_text("words")
            result = self.home.tare("run", "--env", "host", "--input", given, "--out",
                                    f"{folder}/out", "--", "sh", "-c",
                                    "cat /input/given >/output/taken; mkdir /output/a")
            self.assertEqual(result.returncode, 0, result.stderr.decode() + self.home.logs())
            taken = Path(folder) / "out/taken"
            self.assertEqual(taken.read_text(), "words")
            self.assertEqual(taken.stat().st_uid, os.getuid())

    def test_a_memory_and_a_process_limit_hold(self):
        result = self.home.host("python3", "-c", "x = b'x' * (1 << 29)",
                                options=["--mem", "64M", "--disk", "16M"])
        self.assertRegex(result.stderr.decode(), "memory limit")
        said = self.home.host("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait",
                              options=["--pids", "4"])
        self.assertRegex(said.stderr.decode(), "(?i)fork|resource")

    def test_a_cpu_limit_slows_a_busy_program_down(self):
        result = self.home.host("timeout", "1", "sh", "-c", "while :; do :; done",
                                options=["--cpus", "0.1", "--json"])
        run = json.loads(result.stdout)["run"]
        self.assertEqual(run["outcome"]["exit_code"], 124, run["outcome"])
        self.assertGreater(run["usage"]["cpu_throttled_us"], 0, run["usage"])

    def test_a_disk_limit_that_needs_a_loop_device_is_refused_by_name(self):
        result = self.home.host("true", options=["--mem", "64M", "--disk", "64M"])
        self.assertNotEqual(result.returncode, 0)
        self.assertRegex(result.stderr.decode(), "disk limit.*loop.*root")

    def test_a_disk_limit_in_memory_holds(self):
        result = self.home.host("sh", "-c", "head -c 32M /dev/zero >~/big",
                                options=["--disk", "8M"])
        self.assertIn(b"No space left", result.stderr)

    def test_the_doctor_finds_all_that_is_needed(self):
        status, checks = self.home.doctor()
        missing = [check for check in checks.values() if not check["ok"]]
        self.assertEqual([check for check in missing if check["name"] != "mmdebstrap"], [])
        self.assertEqual(checks["root"]["detail"],
                         "no, but of a user namespace of our own, as ann")
        self.assertTrue(checks["loop devices"]["warning"])
        self.assertIn(status, (0, 1))

    def test_the_launcher_killed_ends_its_sandboxes_and_down_and_up_again_works(self):
        run = self.home.detached("sleep", "600")
        harness.wait_until(lambda: self.home.inspect(run)["state"] == "running", "the run")
        self.home.down()
        harness.wait_until(lambda: not self.home.processes(), "the end of everything")
        self.home.up()
        self.assertEqual(self.script("echo again"), "again\n")


class Refusals(Test):
    """What is missing is named, with how to allow it."""

    @unittest.skipIf(DELEGATED, "of a cgroup that is not ours")
    def test_limits_that_cannot_be_armed_are_a_refusal(self):
        result = self.home.tare("up", "--detach", "--port", "0")
        self.assertNotEqual(result.returncode, 0)
        said = result.stderr.decode()
        if HAS_IDS:
            self.assertRegex(said, r"not delegated.*\(memory, pids, cpu\).*Delegate=yes")
        self.assertEqual(self.home.processes(), [])
        _, checks = self.home.doctor()
        self.assertFalse(checks["limits"]["ok"])
        self.assertRegex(checks["limits"]["detail"], "not delegated")
        self.assertRegex(checks["limits"]["detail"], "systemd-run --user --scope")

    @unittest.skipIf(HAS_IDS, "of somebody without subordinate ids")
    def test_without_subordinate_ids_that_is_said(self):
        result = self.home.tare("up", "--detach", "--port", "0")
        self.assertNotEqual(result.returncode, 0)
        self.assertRegex(result.stderr.decode(),
                         "/etc/subuid has no range for this user.*usermod --add-subuids")
        _, checks = self.home.doctor()
        self.assertFalse(checks["root"]["ok"])
        self.assertRegex(checks["root"]["detail"], "/etc/subuid has no range")
        self.assertTrue(checks["subordinate ids"]["warning"])
        self.assertRegex(checks["subordinate ids"]["fix"], "usermod --add-subuids")

    def test_the_home_of_roots_service_is_not_taken(self):
        self.home.environment.pop("TARE_HOME")
        result = self.home.tare("up", "--detach")
        self.home.environment["TARE_HOME"] = str(self.home.path)
        self.assertNotEqual(result.returncode, 0)
        self.assertRegex(result.stderr.decode(), "--home ~/.local/share/tare")


if __name__ == "__main__":
    unittest.main()
