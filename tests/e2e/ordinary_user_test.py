"""What an ordinary user without subordinate ids and without a cgroup of their own is told, here: by
name what is missing, and how to allow it. tests/vm has users with all of it."""

import json
import os
import pwd
import shutil
import tempfile
import unittest
from pathlib import Path

import harness

NOBODY = pwd.getpwnam("nobody")


class OrdinaryUser(harness.TareTest):
    starts_daemons = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if f"\n{NOBODY.pw_name}:" in "\n" + harness.read_text("/etc/subuid"):
            raise unittest.SkipTest("nobody has subordinate ids here")
        # The build may lie where only root can go.
        cls.bin = Path(tempfile.mkdtemp(prefix="te-bin-", dir="/tmp"))
        cls.addClassCleanup(shutil.rmtree, cls.bin)
        cls.bin.chmod(0o755)
        for name in ("tare", "tared", "tare-launcher", "tare-store", "tare-init"):
            shutil.copy(harness.BIN / name, cls.bin)
        os.chown(cls.home.path, NOBODY.pw_uid, NOBODY.pw_gid)

    def as_nobody(self, *arguments, **options):
        bin_folder, harness.BIN = harness.BIN, self.bin
        try:
            return self.home.tare(*arguments, user=NOBODY.pw_uid, group=NOBODY.pw_gid,
                                  extra_groups=[], **options)
        finally:
            harness.BIN = bin_folder

    def test_up_names_the_ids_that_are_missing_and_leaves_nothing_running(self):
        result = self.as_nobody("up", "--detach", "--port", "0")
        self.assert_status(result, 77)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertRegex(result.stderr.decode(),
                         "/etc/subuid has no range for this user.*usermod --add-subuids")
        self.assertEqual(self.home.processes(), [])

    def test_up_does_not_take_the_home_of_roots_service(self):
        environment = {**self.home.environment}
        del environment["TARE_HOME"]
        result = self.as_nobody("up", "--detach", env=environment)
        self.assertNotEqual(result.returncode, 0)
        self.assertRegex(result.stderr.decode(), "--home ~/.local/share/tare, or TARE_HOME")

    def test_the_doctor_names_ids_and_limits_and_how_to_allow_them(self):
        result = self.as_nobody("doctor", "--json")
        self.assertEqual(result.returncode, 1)
        checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
        self.assertFalse(checks["root"]["ok"])
        self.assertRegex(checks["root"]["detail"], "/etc/subuid has no range.*usermod")
        self.assertFalse(checks["limits"]["ok"])
        self.assertRegex(checks["limits"]["detail"], r"memory, pids, cpu\).*(cgroup v2|Delegate)")
        self.assertRegex(checks["subordinate ids"]["detail"], "none for nobody")
        self.assertRegex(checks["subordinate ids"]["fix"], "usermod --add-subuids")
        for name in ("capabilities", "user namespace", "idmapped mount", "seccomp"):
            self.assertEqual(checks[name]["follows"], "root")
        self.assertNotIn("follows", checks["root"])
        text = self.as_nobody("doctor").stdout.decode()
        self.assertRegex(text, r"(?m)^MISSING  seccomp: .*\n +follows from: root$")
        self.assertRegex(text, r"(?m)^warning  subordinate ids: .*\n +so: .+\n +fix: .+$")
        self.assertRegex(text, r"\d+ missing, \d+ of them for the reason of another")
        self.assertRegex(text, r"\d+ not there, and not required\n")


if __name__ == "__main__":
    unittest.main()
