"""The vault's commands: secrets that are set, rotated, looked for in what is frozen, and outlive
tared (ATTACKS S38). That their values are found nowhere: secret_leaks_test.py."""

import base64
import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import termios
import threading
import unittest

import harness
import stepper
from layers import programs
from vaults import OTHER, VALUE, VaultTest, body, forms

TRIES = 6


class Commands(VaultTest):
    ENVIRONMENTS = {"box": [programs("sh", "cat", "mkdir", "rm", "base64")]}

    def test_a_secret_is_set_rotated_listed_and_removed(self):
        result = self.set("api", VALUE + b"\n")
        self.assertEqual((result.returncode, result.stdout, result.stderr),
                         (0, b"api version 1\n", b""))
        self.assert_reason(self.set("api", OTHER), 73, '.*"api" is there already: .*rotate')
        self.assertEqual(self.rotate("api", OTHER).stdout, b"api version 2\n")
        self.must_set("db", b"x" * 20 + b"0123456789")
        lines = self.home.must("secret", "list").stdout.decode().splitlines()
        self.assertEqual([line.split()[:2] for line in lines],
                         [["NAME", "VERSION"], ["api", "2"], ["db", "1"]])
        listed = json.loads(self.home.must("secret", "list", "--json").stdout)["secrets"]
        self.assertEqual(set(listed[0]), {"name", "version", "created_ms", "rotated_ms", "damaged"})
        self.assertEqual(self.home.must("secret", "rm", "api", "db").stdout, b"api\ndb\n")
        self.assertEqual(self.secrets(), {})

    def test_what_cannot_be_is_refused_with_the_reason(self):
        self.assert_reason(self.rotate("none", VALUE), 66, ".*no secret .*tare secret set")
        self.assert_reason(self.home.tare("secret", "rm", "none"), 66, ".*no secret")
        self.assert_reason(self.set("none", b""), 64, ".*empty")
        self.assert_reason(self.set("none", b"\n"), 64, ".*empty")
        self.assert_reason(self.set("none", b"v" * 65537), 64, ".*1 to 65536 bytes")
        self.assert_status(self.set("Upper", VALUE), 64)
        self.assert_status(self.home.tare("secret", "set", "api", "a-value-in-argv"), 64)
        self.assert_status(self.set("largest", os.urandom(65536).replace(b"\n", b"x")), 0)
        self.assertEqual(self.secrets(), {"largest": 1})

    def test_a_file_gives_a_value_and_one_line_end_is_left_out(self):
        session = self.session_of()
        for ends, kept in ((b"\n", VALUE), (b"\n\n", VALUE + b"\n"), (b"", VALUE)):
            file = self.folder / "value"
            file.write_bytes(VALUE + ends)
            self.assert_status(self.set("api", None, "--file", file), 0)
            # What a value is can only be seen by what is refused for it.
            for text, status in ((kept, 73), (kept[:-1], 0)):
                self.home.must("session", "cp", "-", f"{session}:/srv/it", data=text)
                frozen = self.home.tare("env", "freeze", session, "--name", f"e{len(ends)}{status}")
                self.assert_status(frozen, status)
            self.home.must("secret", "rm", "api")
        self.home.must("session", "kill", session)

    def test_a_value_that_is_not_searched_for_is_said_to_be_so(self):
        for value in (b"fifteen-bytes!!", b"a" * 30):
            result = self.set("short", value)
            self.assert_status(result, 0)
            self.assertIn(b"not searched", result.stderr)
            self.assertNotIn(value, result.stderr)
            self.home.must("secret", "rm", "short")

    def test_errors_of_the_api_do_not_repeat_what_they_refuse(self):
        encoded = base64.b64encode(VALUE).decode()
        text = VALUE.decode()
        for wrong, status in (({"name": "a", "value_base64": text}, 400),
                              ({"name": "a", "value_base64": encoded + "!"}, 400),
                              ({"name": "a", "value_base64": [encoded]}, 400),
                              ({"name": "a", "value_base64": {"x": encoded}}, 400),
                              ({"name": "a", "value": text}, 400),
                              ({"name": "a b", "value_base64": encoded}, 400),
                              ({"value_base64": encoded}, 400),
                              ([encoded], 400),
                              (f'{{"value_base64": "{encoded}"'.encode(), 400),
                              ({"name": "a", "value_base64": encoded * 3000}, 400)):
            headers = {"Content-Type": "application/json"}
            answer = self.home.request("POST", "/v1/secrets", wrong, headers)
            self.assertEqual(answer.status, status, wrong)
            self.assert_not_in(VALUE, answer.body, wrong)
        self.assertEqual(self.home.request("POST", "/v1/secrets", json.dumps(
            body(VALUE, name="a")).encode()).status, 415)
        self.assertEqual(self.home.request("PUT", "/v1/secrets/none", body(VALUE)).status, 404)
        self.assertEqual(self.home.request("GET", "/v1/secrets/none").status, 405)
        self.assertEqual(self.secrets(), {})


class Typed(VaultTest):
    """At a terminal."""

    def start(self):
        self.master, self.slave = pty.openpty()
        self.addCleanup(os.close, self.master)
        self.addCleanup(os.close, self.slave)
        self.before = termios.tcgetattr(self.slave)
        self.shown = b""
        process = subprocess.Popen(
            [harness.BIN / "tare", "secret", "set", "typed"], stdin=self.slave, stdout=self.slave,
            stderr=self.slave, env=self.home.environment, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.addCleanup(process.kill)
        harness.wait_until(lambda: b"not shown" in self.look(), "the question")
        self.assertFalse(termios.tcgetattr(self.slave)[3] & termios.ECHO)
        return process

    def look(self):
        while select.select([self.master], [], [], 0.05)[0]:
            self.shown += os.read(self.master, 4096)
        return self.shown

    def assert_ended(self, process, status):
        self.assertEqual(process.wait(harness.TIMEOUT_S), status, self.look())
        self.assertEqual(termios.tcgetattr(self.slave), self.before, "the terminal is as it was")
        self.assert_not_in(VALUE, self.look(), "what the terminal showed")

    def test_what_is_typed_is_not_shown(self):
        process = self.start()
        os.write(self.master, VALUE + b"\n")
        self.assert_ended(process, 0)
        self.assertIn(b"typed version 1", self.shown)
        self.assertEqual(self.secrets(), {"typed": 1})

    def test_the_echo_is_back_after_ctrl_c_and_sigterm_and_nothing_was_set(self):
        process = self.start()
        os.write(self.master, VALUE + b"\x03")
        self.assert_ended(process, 128 + signal.SIGINT)
        process = self.start()
        process.terminate()
        self.assert_ended(process, 128 + signal.SIGTERM)
        self.assertEqual(self.secrets(), {})

    def test_a_line_that_a_terminal_would_cut_is_refused(self):
        process = self.start()
        for _ in range(50):
            os.write(self.master, b"v" * 100)
        os.write(self.master, b"\n")
        self.assert_ended(process, 64)
        self.assertIn(b"--file", self.shown)


class Freezes(VaultTest):
    ENVIRONMENTS = {"box": [programs("sh", "cat", "mkdir", "rm", "base64")]}

    def write(self, session, name, content):
        self.home.must("session", "cp", "-", f"{session}:/srv/{name}", data=content)

    def assert_refused(self, result, name, file, value=VALUE):
        self.assert_reason(result, 73, f'.*the secret "{name}" is in .*"srv/{file}"')
        self.assert_not_in(value, result.stderr + result.stdout, "the refusal")

    def test_S38_a_freeze_or_hibernation_with_a_secret_is_refused_by_the_files_name(self):
        self.must_set("api", VALUE)
        session = self.session_of()
        for form, text in forms(VALUE).items():
            self.write(session, form, b"key=" + text + b"\n")
            self.assert_refused(self.home.tare("env", "freeze", session, "--name", "leaky"),
                                "api", form)
            self.home.must("session", "rm", f"{session}:/srv/{form}")
        self.write(session, "again", VALUE)
        self.assert_refused(self.home.tare("session", "hibernate", session), "api", "again")
        # What is looked for is the value that there is now.
        self.assert_status(self.rotate("api", OTHER), 0)
        self.home.must("env", "freeze", session, "--name", "old-value")
        self.write(session, "new", OTHER)
        self.assert_refused(self.home.tare("env", "freeze", session, "--name", "leaky"), "api",
                            "new", OTHER)
        self.home.must("secret", "rm", "api")
        self.home.must("env", "freeze", session, "--name", "free")
        self.home.must("session", "kill", session)

    def test_S38_a_value_longer_than_is_searched_for_is_found_by_its_beginning(self):
        long = VALUE + os.urandom(50_000)
        self.must_set("long", long)
        session = self.session_of()
        self.write(session, "part", b"x" * 100_000 + long[:5000])
        self.assert_refused(self.home.tare("env", "freeze", session, "--name", "leaky"), "long",
                            "part")
        self.home.must("session", "kill", session)

    def test_secrets_outlive_tared_and_a_key_that_is_gone_is_asked_for(self):
        self.must_set("api", VALUE)
        session = self.session_of()
        self.write(session, "it", VALUE)
        self.assertEqual((self.key().stat().st_mode & 0o7777, self.key().stat().st_size),
                         (0o600, 32))
        for hide, why in ((lambda: self.key().rename(self.home.path / "state/away"), "put it back"),
                          (lambda: self.key().chmod(0o644), "chmod")):
            harness.sigkill(self.home.program_pid("tared"))
            hide()
            self.home.up()
            there = self.key().exists()
            for refused in (self.set("db", OTHER), self.rotate("api", OTHER),
                            self.home.tare("env", "freeze", session, "--name", "unsearched")):
                self.assert_reason(refused, 77, f".*state/vault.key.*{why}")
            self.assertEqual(self.key().exists(), there, "no new key was made")
            self.assertEqual(self.secrets(), {"api": 1})
            if not there:
                (self.home.path / "state/away").rename(self.key())
            self.key().chmod(0o600)
            self.assert_refused(self.home.tare("env", "freeze", session, "--name", "leaky"), "api",
                                "it")
        self.home.must("session", "kill", session)

    def killed_in(self, method, path, wish, kill_before):
        """tared is killed before that system call of a request (0: never). How many calls it made,
        and whether the request was acknowledged."""
        traced = stepper.Stepper(self.home.program_pid("tared"))
        statuses = []

        def ask():
            try:
                statuses.append(self.home.request(method, path, wish).status)
            except (OSError, ValueError, harness.http.client.HTTPException):
                pass  # it was killed

        client = threading.Thread(target=ask)
        client.start()
        killed = traced.run_until(lambda: not client.is_alive(), kill_before)
        client.join()
        if killed:
            self.home.up()
        return traced.calls, statuses in ([200], [201])

    def test_sigkill_during_a_rotation_leaves_the_old_value_or_the_new_one(self):
        self.must_set("api", VALUE)
        session = self.session_of()

        def rotate(value, kill_before):
            return self.killed_in("PUT", "/v1/secrets/api", body(value), kill_before)

        rotate(OTHER, 0)  # what is done once is done
        calls, _ = rotate(VALUE, 0)
        version, value, outcomes = 3, VALUE, set()
        for i in range(TRIES):
            new = b"%d-%s" % (i, OTHER)
            _, acknowledged = rotate(new, 1 + (2 * i + 1) * calls // (2 * TRIES))
            now = self.secrets()["api"]
            self.assertIn(now, (version, version + 1))
            self.assertTrue(now > version or not acknowledged, "an acknowledged value is gone")
            outcomes.add(now > version)
            kept, lost = (new, value) if now > version else (value, new)
            self.write(session, "it", lost)
            self.home.must("env", "freeze", session, "--name", f"e{i}")
            self.write(session, "it", kept)
            self.assert_refused(self.home.tare("env", "freeze", session, "--name", "leaky"), "api",
                                "it", kept)
            version, value = now, kept
        self.assertEqual(outcomes, {False, True}, "killed before and behind the commit")
        self.home.must("session", "kill", session)

    def test_sigkill_while_the_first_secret_is_set_leaves_a_vault_that_works(self):
        def start_anew():
            self.home.down()
            self.key().unlink(missing_ok=True)
            self.home.up()

        start_anew()
        wish = body(VALUE, name="api")
        calls, _ = self.killed_in("POST", "/v1/secrets", wish, 0)
        for i in range(TRIES):
            self.home.must("secret", "rm", "api")
            start_anew()
            self.killed_in("POST", "/v1/secrets", wish, 1 + (2 * i + 1) * calls // (2 * TRIES))
            if "api" not in self.secrets():
                self.must_set("api", VALUE)
            self.assertEqual(self.rotate("api", OTHER).stdout, b"api version 2\n")
            names = {path.name for path in (self.home.path / "state").glob("vault*")}
            self.assertEqual(names, {"vault.key"})


class Credential(VaultTest):
    """$CREDENTIALS_DIRECTORY/tare-vault-key, as systemd gives it to who starts Tare."""

    def restart(self, **more):
        self.home.down()
        self.home.must("up", "--detach", "--port", "0", env={**self.home.environment, **more})

    def test_the_key_can_be_a_credential_and_is_then_on_no_disk_of_the_home(self):
        credential = self.folder / "tare-vault-key"
        credential.write_bytes(os.urandom(32))
        credential.chmod(0o400)
        self.restart(CREDENTIALS_DIRECTORY=str(self.folder))
        self.must_set("api", VALUE)
        self.assertFalse(self.key().exists())
        self.restart()
        self.assert_reason(self.rotate("api", OTHER), 77, ".*state/vault.key is not there.*")
        self.restart(CREDENTIALS_DIRECTORY=str(self.folder))
        self.assert_status(self.rotate("api", OTHER), 0)
        self.home.must("secret", "rm", "api")
        credential.chmod(0o600)
        credential.write_bytes(os.urandom(31))
        self.home.down()
        refused = self.home.tare("up", "--detach", "--port", "0", env={
            **self.home.environment, "CREDENTIALS_DIRECTORY": str(self.folder)})
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn(b"31 bytes, a key has 32", refused.stderr)
        self.home.tare("down")
        self.home.up()


if __name__ == "__main__":
    unittest.main()
