"""Sessions from the outside: exec, shell, attach, files, over the command line and the API."""

import fcntl
import json
import os
import pty
import select
import signal
import stat
import struct
import subprocess
import termios
import time
import unittest

import harness


class Terminal:
    """`tare ARGUMENTS` on a terminal of its own."""

    def __init__(self, home, *arguments, rows=30, columns=90):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.shown = b""
        self.process = subprocess.Popen(
            [harness.BIN / "tare", *map(str, arguments)], stdin=slave, stdout=slave, stderr=slave,
            env={**home.environment, "TERM": "xterm"}, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode())

    def until(self, text):
        """What is shown up to and with `text`."""
        end = time.monotonic() + harness.TIMEOUT_S
        while text.encode() not in self.shown:
            ready, _, _ = select.select([self.master], [], [], 0.2)
            if ready:
                self.shown += os.read(self.master, 65536)
            elif time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"{text!r} is not shown: {self.shown!r}")
        at = self.shown.index(text.encode()) + len(text)
        out, self.shown = self.shown[:at], self.shown[at:]
        return out.decode(errors="replace")

    def wait(self):
        """The exit status; what is shown meanwhile is taken."""
        end = time.monotonic() + harness.TIMEOUT_S
        while self.process.poll() is None and time.monotonic() < end:
            ready, _, _ = select.select([self.master], [], [], 0.1)
            if ready:
                self.shown += os.read(self.master, 65536)
        return self.process.wait(1)

    def mode(self):
        return termios.tcgetattr(self.slave)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


class Session(harness.TareTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.session = cls.home.must("session", "new").stdout.decode().strip()

    def exec(self, *command, options=(), **more):
        return self.home.tare("session", "exec", *options, self.session, "--", *command, **more)

    def sh(self, script, **more):
        return self.exec("sh", "-c", script, **more)

    def terminal(self, *arguments, **size):
        terminal = Terminal(self.home, *arguments, **size)
        self.addCleanup(terminal.close)
        return terminal

    # ---- exec

    def test_output_errors_and_status_are_the_programs(self):
        result = self.sh("echo out; echo err >&2; exit 7")
        self.assertEqual((result.stdout, result.stderr, result.returncode),
                         (b"out\n", b"err\n", 7))
        self.assertEqual(self.exec("no-such-program").returncode, 127)
        self.assertEqual(self.sh("kill -TERM $$").returncode, 143)

    def test_stdin_goes_through_byte_for_byte(self):
        data = os.urandom(30 << 20)
        result = self.exec("cat", options=["-i"], data=data)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(result.stdout == data)

    def test_variables_and_folder_are_as_asked_for(self):
        result = self.exec("sh", "-c", "echo $A $HOME; pwd", options=["-e", "A=b", "--cwd", "/tmp"])
        self.assertEqual(result.stdout, b"b /home/agent\n/tmp\n")

    def test_a_folder_that_is_not_there_is_told_as_the_callers_mistake(self):
        result = self.exec("ls", options=["--cwd", "/nope"])
        self.assert_status(result, 126)
        self.assertIn(b'cannot execute "ls": working folder /nope: No such', result.stderr)

    def test_background_work_is_attached_to_later(self):
        number = self.exec("sh", "-c", "read x; echo got $x; exit 5", options=["-d", "-i"])
        self.assert_status(number, 0)
        number = number.stdout.decode().strip()
        attached = self.home.tare("session", "attach", "-i", self.session, number, data=b"word\n")
        self.assertEqual((attached.stdout, attached.returncode), (b"got word\n", 5))
        again = self.home.tare("session", "attach", self.session, number)
        self.assertEqual((again.stdout, again.returncode), (b"got word\n", 5))
        listed = json.loads(self.home.must("session", "execs", "--json", self.session).stdout)
        self.assertIn(int(number), [one["number"] for one in listed["execs"]])

    def test_an_ordinary_run_takes_execs_too(self):
        run = self.home.detached("sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.05; done; "
                                             "sleep 1; exit 4")
        result = self.home.must("session", "exec", run, "--", "sh", "-c", "touch /tmp/go; echo in")
        self.assertEqual(result.stdout, b"in\n")
        self.assertEqual(self.home.wait_ended(run)["outcome"]["exit_code"], 4)
        late = self.home.tare("session", "exec", run, "--", "true")
        self.assert_reason(late, 73, "run run_.* has ended")

    def test_control_c_goes_to_the_program(self):
        process = self.home.popen("session", "exec", self.session, "--", "sh", "-c",
                                  "trap 'echo bye; exit 9' INT; echo up; "
                                  "while :; do sleep 0.05; done")
        self.assertEqual(process.stdout.readline(), b"up\n")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual((out, process.returncode), (b"bye\n", 9))

    def test_tared_is_killed_in_the_midst_and_nothing_is_lost(self):
        process = self.home.popen("session", "exec", self.session, "--", "sh", "-c",
                                  "for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.3; done; exit 3")
        self.assertEqual(process.stdout.readline(), b"1\n")
        harness.sigkill(self.home.program_pid("tared"))
        self.home.up()
        out, err = process.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(out, b"2\n3\n4\n5\n6\n7\n8\n9\n", err)
        self.assertEqual(process.returncode, 3, err)
        self.assertEqual(self.sh("echo well").stdout, b"well\n")

    # ---- terminals

    def test_a_shell_has_our_terminal_and_gives_it_back(self):
        shell = self.terminal("session", "shell", self.session)
        shell.type("stty size; echo 'PATH'=$TERM\n")
        self.assertIn("30 90", shell.until("PATH=xterm"))
        shell.resize(40, 120)
        harness.wait_until(lambda: (shell.type("stty size\n"), shell.until("\n"))
                           and "40 120" in shell.until("\r\n") + shell.shown.decode(), "the resize")
        shell.type("sleep 1000\n")
        shell.until("sleep 1000")
        time.sleep(0.3)
        shell.type("\x03")
        shell.type("echo aft''er\n")
        shell.until("after")
        shell.type("exit 6\n")
        self.assertEqual(shell.wait(), 6)
        self.assertEqual(shell.mode(), shell.before)

    def test_the_terminal_is_given_back_when_the_session_ends_below_it(self):
        session = self.home.must("session", "new").stdout.decode().strip()
        shell = self.terminal("session", "shell", session)
        shell.type("echo u''p\n")
        shell.until("up")
        self.assertNotEqual(shell.mode(), shell.before)
        self.home.must("session", "kill", session)
        self.assertEqual(shell.wait(), 137)
        self.assertEqual(shell.mode(), shell.before)

    def test_a_terminal_needs_one(self):
        self.assert_reason(self.exec("true", options=["-t"]), 64, "-t needs a terminal")

    # ---- files

    def test_files_and_folders_are_copied_both_ways(self):
        source = self.folder / "tree"
        (source / "sub").mkdir(parents=True)
        (source / "a").write_bytes(os.urandom(3 << 20))
        (source / "sub/run.sh").write_text("#!/bin/sh\necho ran\n")
        (source / "sub/run.sh").chmod(0o755)
        self.home.must("session", "cp", source, f"{self.session}:")
        self.assertEqual(self.sh("tree/sub/run.sh").stdout, b"ran\n")
        back = self.folder / "back"
        self.home.must("session", "cp", f"{self.session}:tree", back)
        self.assertEqual((back / "a").read_bytes(), (source / "a").read_bytes())
        self.assertTrue(os.access(back / "sub/run.sh", os.X_OK))
        out = self.home.must("session", "cp", f"{self.session}:tree/sub/run.sh", "-").stdout
        self.assertEqual(out, b"#!/bin/sh\necho ran\n")
        self.home.must("session", "cp", "-", f"{self.session}:piped", data=b"from a pipe")
        self.assertEqual(self.sh("cat piped").stdout, b"from a pipe")

    def test_what_is_no_file_here_is_never_replaced(self):
        self.sh("mkdir -p n; echo new >n/name; seq 100000 >n/long")
        fifo, link, full = (self.folder / name for name in ("name", "link", "full"))
        os.mkfifo(fifo)
        link.symlink_to(fifo)
        os.mknod(full, 0o600 | stat.S_IFCHR, os.makedev(1, 7))  # /dev/full
        for path in (fifo, link, self.folder):
            with open(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
                self.home.must("session", "cp", f"{self.session}:n/name", path)
                self.assertEqual(reader.read(), b"new\n")
        result = self.home.tare("session", "cp", f"{self.session}:n/long", full)
        self.assert_reason(result, 75, '.*full".*No space left')
        (self.folder / "n").mkdir()
        os.mkfifo(self.folder / "n/name")
        result = self.home.tare("session", "cp", f"{self.session}:n", self.folder)
        self.assert_reason(result, 73, '.*"name".*is no file')
        for path in (fifo, self.folder / "n/name"):
            self.assertTrue(stat.S_ISFIFO(path.lstat().st_mode), path)
        self.assertTrue(link.is_symlink() and stat.S_ISCHR(full.stat().st_mode))

    def test_what_is_listed_moved_and_removed(self):
        self.sh("mkdir -p d/e; touch d/f; ln -s f d/l")
        text = self.home.must("session", "ls", f"{self.session}:d").stdout.decode()
        self.assertRegex(text, r"drwxr-xr-x +\d+ +- +\d+s +e/\n")
        self.assertIn("l -> f", text)
        self.home.must("session", "mv", f"{self.session}:d/f", "d/g")
        self.assertEqual(self.sh("ls d").stdout, b"e\ng\nl\n")
        full = self.home.tare("session", "rm", f"{self.session}:d")
        self.assert_reason(full, 73, "path: .d.: Directory not empty; ask for recursive")
        self.home.must("session", "rm", "-r", f"{self.session}:d")
        gone = self.home.tare("session", "ls", f"{self.session}:d")
        self.assert_reason(gone, 66, "path: .d.: No such file")

    def test_a_hostile_tree_reaches_nothing_and_hangs_nothing(self):
        self.sh("mkdir -p h; cd h; mkfifo fifo; ln -s /proc/1/root root; ln -s ../../../etc up; "
                "truncate -s 1T big; touch \"$(printf 'a\\nb')\" \"$(printf '\\377')\"")
        api = f"/v1/runs/{self.session}/files"
        request = self.home.request
        self.assertEqual(request("GET", f"{api}/content?path=h/fifo").status, 400)
        self.assertEqual(request("GET", f"{api}/content?path=/dev/zero").status, 400)
        self.assertIn(request("GET", f"{api}/content?path=h/root/etc/shadow").status, (403, 404))
        self.assertIn(request("GET", f"{api}/content?path=/proc/1/fd/3").status, (403, 404))
        self.assertEqual(request("GET", f"{api}/content?path=h/big").status, 400)  # ask for parts
        part = request("GET", f"{api}/content?path=h/big&offset=1000000000000&length=1000")
        self.assertEqual(part.body, bytes(1000))
        names = [entry["name"] for entry in request("GET", f"{api}/list?path=h").json["entries"]]
        self.assertIn("a\nb", names)
        self.assertEqual(len(names), 6)
        target = self.folder / "fetched"
        self.sh("truncate -s 1G h/hole; echo end >>h/hole; echo last >h/z")
        copied = self.home.tare("session", "cp", f"{self.session}:h", target)
        self.assert_status(copied, 1)  # some were skipped, and named
        self.assertRegex(copied.stderr.decode(),
                         r"skipped h/big \(1099511627776 bytes are too many at once\)")
        self.assertFalse((target / "big").exists())
        self.assertEqual((target / "z").read_text(), "last\n")
        hole = (target / "hole").stat()
        self.assertEqual(hole.st_size, (1 << 30) + 4)
        self.assertLess(hole.st_blocks * 512, 4 << 20)  # nothing is no bytes here, either
        alone = self.home.tare("session", "cp", f"{self.session}:h/big", self.folder / "alone")
        self.assert_reason(alone, 64, "length: 1099511627776 bytes are too many at once")
        self.assertEqual(os.listdir(self.folder), ["fetched"])
        self.assertFalse((target / "root").is_symlink())
        self.assertFalse((target / "fifo").exists())
        self.assertEqual(request("GET", "/v1/health").status, 200)

    def test_a_write_that_breaks_off_changes_nothing(self):
        self.sh("echo old > kept")
        connection = harness.UnixConnection(self.home.path / "run/tared.sock")
        connection.putrequest("PUT", f"/v1/runs/{self.session}/files/content?path=kept")
        connection.putheader("Content-Length", "1000000")
        connection.endheaders(b"new")
        connection.close()
        harness.wait_until(lambda: b"tare-" not in self.sh("ls -A").stdout, "the temporary to go")
        self.assertEqual(self.sh("cat kept").stdout, b"old\n")

    def test_a_watch_tells_what_happens(self):
        self.sh("mkdir -p w")
        connection = harness.UnixConnection(self.home.path / "run/tared.sock")
        self.addCleanup(connection.close)
        connection.request("GET", f"/v1/runs/{self.session}/files/watch?path=w")
        lines = connection.getresponse()
        self.assertEqual(json.loads(lines.readline()), {"event": "watching"})
        self.sh("echo x > w/file; rm -r w")
        events = []
        while (line := lines.readline()):
            events.append(json.loads(line)["event"])
        self.assertEqual(events[0], "created")
        self.assertEqual(events[-1], "gone")

    # ---- the session itself

    def test_a_session_is_listed_and_its_output_is_kept_when_it_ends(self):
        session = self.home.must("session", "new", "--timeout", "1h").stdout.decode().strip()
        self.assertIn(session, self.home.must("session", "list").stdout.decode())
        self.home.must("session", "exec", session, "--", "sh", "-c", "echo result > /output/file")
        self.home.must("session", "kill", session)
        run = self.home.wait_ended(session)
        self.assertEqual(run["state"], "cancelled")
        self.assertEqual(run["outcome"]["message"], "the session was ended on request")
        self.home.must("artifacts", session, "--out", self.folder / "out")
        self.assertEqual((self.folder / "out/file").read_text(), "result\n")
        self.assertNotIn(session, self.home.must("session", "list").stdout.decode())

    def test_a_time_limit_ends_a_session(self):
        session = self.home.must("session", "new", "--timeout", "1s").stdout.decode().strip()
        run = self.home.wait_ended(session)
        self.assertEqual(run["outcome"]["reason"], "timeout")
        self.assertIn("the session ended after 1 s", run["outcome"]["message"])

    def test_what_cannot_be_is_refused_by_name(self):
        request = self.home.request
        bad = request("POST", "/v1/sessions", {"environment": "host", "argv": ["ls"]})
        self.assertEqual((bad.status, bad.json["error"]["field"]), (400, "argv"))
        bad = request("POST", f"/v1/runs/{self.session}/execs", {"argv": ["ls"], "cwd": "x"})
        self.assertEqual((bad.status, bad.json["error"]["field"]), (400, "cwd"))
        self.assertEqual(request("GET", f"/v1/runs/{self.session}/execs/99999").status, 404)
        run = self.home.detached("true")
        self.assertEqual(request("DELETE", f"/v1/sessions/{run}").status, 404)
        both = self.home.tare("session", "cp", "a", "b")
        self.assertEqual(both.returncode, 64)


if __name__ == "__main__":
    unittest.main()
