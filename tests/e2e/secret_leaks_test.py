"""A secret's value is found nowhere: in no file, log, argument, environment, memory or core dump
(ATTACKS B37, B38)."""

import ctypes
import os
import pwd
import resource
import signal
import subprocess
import unittest
from pathlib import Path

import harness
from layers import programs
from vaults import OTHER, VALUE, VaultTest, body


class Nowhere(VaultTest):
    ENVIRONMENTS = {"box": [programs("sh", "cat")]}

    def files_of_home(self):
        return [path for path in self.home.path.rglob("*")
                if path.is_file() and "store/layers" not in str(path)]

    def assert_on_no_disk(self, value, when):
        files = self.files_of_home()
        self.assertIn(self.home.path / "state/tare.db-wal", files)
        for path in files:
            self.assert_not_in(value, path.read_bytes(), f"{path} {when}")

    def memory_of(self, pid):
        """Of all that can be read, piece by piece."""
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for line in harness.read_text(f"/proc/{pid}/maps").splitlines():
                where, rights = line.split()[:2]
                if "r" not in rights or "[v" in line:
                    continue
                begin, end = (int(number, 16) for number in where.split("-"))
                try:
                    memory.seek(begin)
                    yield line, memory.read(end - begin)
                except OSError:
                    continue

    def assert_in_no_memory(self, value, when):
        tared = self.home.program_pid("tared")
        for line, piece in self.memory_of(tared):
            self.assert_not_in(value, piece, f"tared's memory {when}: {line}")

    def test_B37_a_value_is_in_no_file_log_environment_or_memory_while_it_is_kept_and_after(self):
        tared = self.home.program_pid("tared")
        self.must_set("api", VALUE)
        large = VALUE + os.urandom(60_000)
        self.assertEqual(self.home.request("POST", "/v1/secrets",
                                           body(large, name="large")).status, 201)
        for wish, status in ((body(VALUE, name="api"), 409), (body(VALUE, name="No name"), 400),
                             (body(VALUE, name="x", other=1), 400)):
            self.assertEqual(self.home.request("POST", "/v1/secrets", wish).status, status)
        self.assert_on_no_disk(VALUE, "when it was set")
        self.assert_in_no_memory(VALUE, "when it was set")
        self.assert_status(self.rotate("api", OTHER), 0)
        self.assertEqual(self.home.request("PUT", "/v1/secrets/large", body(OTHER)).status, 200)
        for value in (VALUE, OTHER):
            self.assert_on_no_disk(value, "when it was rotated")
            self.assert_in_no_memory(value, "when it was rotated")
            for file in ("environ", "cmdline"):
                self.assert_not_in(value, Path(f"/proc/{tared}/{file}").read_bytes(), file)
            answer = self.home.request("GET", "/v1/secrets")
            self.assert_not_in(value, answer.body, "the list")
        self.home.must("secret", "rm", "api", "large")
        self.home.down()
        self.home.up()
        for value in (VALUE, OTHER):
            self.assert_on_no_disk(value, "when it was removed")
            self.assert_in_no_memory(value, "after a restart")

    def test_B37_the_search_finds_what_is_there(self):
        # So that the test above can fail: a name is no secret, and is in all of these places.
        name = "a-name-that-is-in-many-places"
        self.must_set(name, VALUE)
        tared = self.home.program_pid("tared")
        self.assertTrue(any(name.encode() in piece for _, piece in self.memory_of(tared)))
        found = {path.name for path in self.files_of_home() if name.encode() in path.read_bytes()}
        self.assertLessEqual({"tare.db-wal", "tared.log"}, found)

    def test_B37_a_freeze_leaves_no_value_in_tareds_memory(self):
        self.must_set("api", VALUE)
        session = self.home.must("session", "new", "--env", "box").stdout.decode().strip()
        self.home.must("env", "freeze", session, "--name", "clean")
        self.home.must("session", "kill", session)
        self.assert_in_no_memory(VALUE, "after a freeze")

    def test_B37_no_process_has_a_value_in_its_arguments_or_environment(self):
        with self.home.popen("secret", "set", "api", stdin=subprocess.PIPE) as client:
            client.stdin.write(VALUE)
            client.stdin.flush()
            harness.wait_until(lambda: harness.status_of(client.pid).get("State", "")[:1] == "S",
                               "it waits for the rest")
            for pid in harness.pids():
                for file in ("cmdline", "environ"):
                    try:
                        text = Path(f"/proc/{pid}/{file}").read_bytes()
                    except OSError:
                        continue
                    self.assert_not_in(VALUE, text, f"{file} of {pid}")
            client.stdin.close()
            self.assertEqual(client.wait(harness.TIMEOUT_S), 0)


class SameUser(VaultTest):
    """B38: another process of tared's own user."""

    TARE = pwd.getpwnam("tare")

    def as_tared(self, action):
        """What it prints in a process of that user without capabilities."""
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(self.TARE.pw_gid)
                os.setuid(self.TARE.pw_uid)
                answer = action()
            except OSError as error:
                answer = f"refused {error.errno}"
            os.write(write, str(answer).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as answer:
            said = answer.read().decode()
        os.waitpid(child, 0)
        return said

    @staticmethod
    def attach(pid):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.ptrace(16, pid, 0, 0) != 0:  # PTRACE_ATTACH
            raise OSError(ctypes.get_errno(), "ptrace")
        return "attached"

    def test_B38_a_debugger_and_proc_give_it_nothing(self):
        sleeper = subprocess.Popen(["sleep", "1000"], user=self.TARE.pw_uid,
                                   group=self.TARE.pw_gid, extra_groups=[])
        self.addCleanup(sleeper.wait)
        self.addCleanup(sleeper.kill)
        tared = self.home.program_pid("tared")

        def read(pid, file):
            return lambda: len(Path(f"/proc/{pid}/{file}").read_bytes()[:1])

        self.assertEqual(self.as_tared(read(sleeper.pid, "environ")), "1", "the user could")
        for file in ("environ", "mem", "maps", "auxv", "fd/0"):
            self.assertRegex(self.as_tared(read(tared, file)), "refused (1|13)$", file)
        self.assertRegex(self.as_tared(lambda: self.attach(tared)), "refused 1$")

    def crash(self, command, ready):
        """The core dumps that it leaves in the folder it was started in, which all may write to."""
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        with subprocess.Popen(
                command, cwd=self.folder, stderr=subprocess.DEVNULL,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, unlimited)) as process:
            harness.wait_until(ready, f"the start of {command[0]}")
            process.send_signal(signal.SIGABRT)
            self.assertEqual(process.wait(harness.TIMEOUT_S), -signal.SIGABRT)
        made = list(self.folder.iterdir())
        for path in made:
            path.unlink()
        return made

    def test_B38_a_crash_leaves_no_core_dump(self):
        self.folder.chmod(0o777)
        user = ["setpriv", f"--reuid={self.TARE.pw_uid}", f"--regid={self.TARE.pw_gid}",
                "--clear-groups"]
        script = f"touch {self.folder}/ready; exec sleep 1000"
        ready = self.folder / "ready"
        made = self.crash([*user, "sh", "-c", script], ready.exists)
        if len(made) < 2:
            self.skipTest("this host makes no core dumps in the working folder")
        home = self.other_home()
        self.assertEqual(self.crash([harness.BIN / "tared", "--home", home.path, "--port", "0"],
                                    lambda: self.answers(home)), [])

    def other_home(self):
        """For a tared without the other daemons, which it waits for."""
        home = harness.Home()
        self.addCleanup(home.close)
        return home

    @staticmethod
    def answers(home):
        try:
            return home.request("GET", "/v1/secrets").status == 200
        except OSError:
            return False

    def test_memory_that_cannot_be_locked_is_told_once_and_stops_nobody(self):
        home = self.other_home()
        log = self.folder / "log"
        command = ["setpriv", "--bounding-set=-sys_resource,-ipc_lock", harness.BIN / "tared",
                   "--home", home.path, "--port", "0"]
        with log.open("wb") as stderr, subprocess.Popen(
                command, stderr=stderr,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))) as tared:
            harness.wait_until(lambda: self.answers(home), "the start of tared")
            for name in ("a", "b"):
                answer = home.request("POST", "/v1/secrets", body(VALUE, name=name))
                self.assertEqual(answer.status, 201)
            tared.terminate()
        self.assertEqual(log.read_text().count("could not be locked"), 1, log.read_text())


if __name__ == "__main__":
    unittest.main()
