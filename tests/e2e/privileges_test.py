"""The privilege table of docs/threat_model.md, compared with the running programs."""

import os
import pwd
import stat
import subprocess
import time
import unittest

import harness

CAPABILITIES = {name: 1 << number for number, name in enumerate(
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO "
    "SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE".split())}


def mask(names):
    return sum(CAPABILITIES[name] for name in names.split())


TARE = pwd.getpwnam("tare").pw_uid
LAUNCHER = mask("SYS_ADMIN SETUID SETGID SETPCAP CHOWN FOWNER DAC_OVERRIDE DAC_READ_SEARCH KILL "
                "SYS_CHROOT SYS_PTRACE SYS_RESOURCE NET_ADMIN")
STORE = mask("CHOWN DAC_OVERRIDE FOWNER FSETID")
# docs/threat_model.md, "Programs and what they may do". `most` bounds every set of capabilities.
TABLE = {
    "tared": {"uid": TARE, "most": 0, "no_new_privs": True, "network": "host"},
    "tare-launcher": {"uid": 0, "most": LAUNCHER, "no_new_privs": None, "network": "host"},
    "tare-store": {"uid": 0, "most": STORE, "no_new_privs": True, "network": "none"},
}
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
INIT = {"uid": 65533, "most": mask("KILL SETUID SETGID")}
SANDBOX_IDS = 65536  # ids a sandbox has; those of the host are below


def inside(pid):
    """Uids of a process as seen in its own user namespace."""
    first, host_first, count = map(int, harness.read_text(f"/proc/{pid}/uid_map").split())
    uids = [int(uid) for uid in harness.status_of(pid)["Uid"].split()]
    return [uid - host_first + first if host_first <= uid < host_first + count else -1
            for uid in uids], host_first


def capability_sets(pid):
    status = harness.status_of(pid)
    return {name: int(status[name], 16) for name in SETS}


class Programs(harness.TareTest):
    def test_each_program_has_its_uid_and_no_other(self):
        for name, row in TABLE.items():
            status = harness.status_of(self.home.program_pid(name))
            self.assertEqual(status["Uid"].split(), [str(row["uid"])] * 4, name)
        groups = set(harness.status_of(self.home.program_pid("tared"))["Groups"].split())
        self.assertLessEqual(groups, {str(pwd.getpwnam("tare").pw_gid)})

    def test_no_program_has_a_capability_that_is_not_in_the_table(self):
        for name, row in TABLE.items():
            sets = capability_sets(self.home.program_pid(name))
            for which, value in sets.items():
                self.assertEqual(value & ~row["most"], 0, f"{name} {which} {value:#x}")
            self.assertEqual((sets["CapInh"], sets["CapAmb"]), (0, 0), name)

    def test_the_launcher_has_exactly_what_the_table_says(self):
        sets = capability_sets(self.home.program_pid("tare-launcher"))
        to_give = capability_sets("self")["CapBnd"]  # less than all where the host is a container
        self.assertEqual(sets["CapEff"], LAUNCHER & to_give, f"{sets['CapEff']:#x}")

    def test_those_that_run_nothing_can_gain_nothing(self):
        for name, row in TABLE.items():
            if row["no_new_privs"]:
                status = harness.status_of(self.home.program_pid(name))
                self.assertEqual(status["NoNewPrivs"], "1", name)

    def test_each_program_is_in_the_network_of_the_table(self):
        ours = os.readlink("/proc/self/ns/net")
        for name, row in TABLE.items():
            pid = self.home.program_pid(name)
            theirs = os.readlink(f"/proc/{pid}/ns/net")
            self.assertEqual(theirs == ours, row["network"] == "host", name)
        store = self.home.program_pid("tare-store")
        devices = harness.read_text(f"/proc/{store}/net/dev").splitlines()[2:]
        self.assertTrue(all(line.split()[1] == "0" for line in devices), devices)
        self.assertEqual(harness.read_text(f"/proc/{store}/net/route").splitlines()[1:], [])

    def test_only_tared_listens_on_the_network_and_only_on_loopback(self):
        sockets = {}
        for line in harness.read_text("/proc/net/tcp").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                sockets[f"socket:[{fields[9]}]"] = fields[1].split(":")[0]
        for name in TABLE:
            pid = self.home.program_pid(name)
            links = [os.readlink(fd) for fd in
                     (entry.path for entry in os.scandir(f"/proc/{pid}/fd")) if os.path.lexists(fd)]
            found = [sockets[link] for link in links if link in sockets]
            self.assertEqual(found, ["0100007F"] if name == "tared" else [], name)

    def test_those_that_answer_go_before_all_else_and_what_runs_inside_does_not(self):
        def nice(pid):
            group = harness.read_text(f"/proc/{pid}/autogroup")  # "" without this scheduler
            return os.getpriority(os.PRIO_PROCESS, pid), int(group.split()[-1]) if group else None

        launcher = self.home.program_pid("tare-launcher")
        for pid in (launcher, self.home.program_pid("tared")):
            self.assertIn(nice(pid), ((-10, -10), (-10, None)))
        run = self.home.detached("sleep", "100")
        harness.wait_until(self.home.sandboxed, "the program")
        others = [pid for pid in self.home.processes()
                  if int(harness.status_of(pid).get("PPid", 0)) == launcher]
        self.assertTrue(others, "no maker")
        for pid in [self.home.program_pid("tare-store"), *others, *self.home.sandboxed()]:
            self.assertIn(nice(pid), ((0, 0), (0, None)), harness.read_text(f"/proc/{pid}/comm"))
        self.home.must("kill", run)

    def test_the_launcher_does_not_see_the_hosts_mounts_but_what_it_needs(self):
        launcher = self.home.program_pid("tare-launcher")
        self.assertNotEqual(os.readlink(f"/proc/{launcher}/ns/mnt"),
                            os.readlink("/proc/self/ns/mnt"))

    def test_secrets_and_sockets_have_their_owner_and_mode(self):
        group = pwd.getpwnam("tare").pw_gid
        for name, kind, mode, owner in (
                ("state", stat.S_IFDIR, 0o700, (TARE, group)),
                ("state/api_key", stat.S_IFREG, 0o600, (TARE, group)),
                ("state/tare.db", stat.S_IFREG, 0o600, (TARE, group)),
                ("run", stat.S_IFDIR, 0o750, (0, group)), ("store", stat.S_IFDIR, 0o700, (0, 0)),
                ("launcher", stat.S_IFDIR, 0o700, (0, 0)),
                ("runs", stat.S_IFDIR, 0o700, (TARE, group)),
                ("log", stat.S_IFDIR, 0o750, (0, group)),
                ("run/tared.sock", stat.S_IFSOCK, 0o660, (0, group)),
                ("run/launcher.sock", stat.S_IFSOCK, 0o660, (0, group)),
                ("run/store.sock", stat.S_IFSOCK, 0o660, (0, group))):
            found = os.lstat(self.home.path / name)
            self.assertEqual(stat.S_IFMT(found.st_mode), kind, name)
            self.assertEqual(f"{stat.S_IMODE(found.st_mode):o}", f"{mode:o}", name)
            self.assertEqual((found.st_uid, found.st_gid), owner, name)

    def test_another_user_of_the_host_reaches_no_socket_and_no_secret(self):
        nobody = pwd.getpwnam("nobody")

        def as_nobody(program):
            return subprocess.run(
                ["/usr/bin/python3", "-c", program], capture_output=True, check=False,
                user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], text=True).stdout
        for name in ("tared.sock", "launcher.sock", "store.sock"):
            for kind in ("SOCK_STREAM", "SOCK_SEQPACKET"):
                said = as_nobody(f"import socket\ns = socket.socket(socket.AF_UNIX, socket.{kind})"
                                 f"\ntry: s.connect('{self.home.path}/run/{name}')\n"
                                 "except PermissionError: print('refused')")
                self.assertEqual(said, "refused\n", name)
        said = as_nobody(f"try: open('{self.home.path}/state/api_key')\n"
                         "except PermissionError: print('refused')")
        self.assertEqual(said, "refused\n")

    def test_the_launcher_and_the_store_serve_nobody_but_tared_and_root(self):
        program = ("import os, socket, sys\nos.setgroups([]); "
                   "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
                   f"os.setgid({pwd.getpwnam('tare').pw_gid}); os.setuid(65534)\n"
                   "s.settimeout(20)\n"
                   "try: s.connect(sys.argv[1]); s.send(b'hello'); print(len(s.recv(4096)))\n"
                   "except OSError as error: print(type(error).__name__)")
        for name in ("launcher.sock", "store.sock"):
            path = self.home.path / "run" / name
            said = subprocess.run(["/usr/bin/python3", "-c", program, path],
                                  capture_output=True, check=True, text=True).stdout
            self.assertIn(said.strip(), ("0", "PermissionError", "BrokenPipeError",
                                         "ConnectionResetError"), name)


class Sandboxes(harness.TareTest):
    def start(self, *options):
        """A run that sleeps: (pid of its tare-init, pid of its program)."""
        run = self.home.detached("sleep", "1000", options=options)
        self.addCleanup(lambda: (self.home.must("kill", run), self.home.wait_ended(run)))

        def both():
            pids = self.home.sandboxed()
            program = [pid for pid in pids
                       if harness.read_text(f"/proc/{pid}/cmdline") == "sleep\x001000\0"]
            # Not any other sandbox's: some wait in the pool.
            return program and (int(harness.status_of(program[0])["PPid"]), program[0])
        return harness.wait_until(both, "its start")

    def test_init_and_the_program_have_what_the_table_says(self):
        for options, uid in (((), 1000), (("--user", "root"), 0)):
            init, program = self.start(*options)
            self.assertEqual(inside(init)[0], [INIT["uid"]] * 4)
            for which, value in capability_sets(init).items():
                if which != "CapBnd":
                    self.assertEqual(value & ~INIT["most"], 0, f"init {which} {value:#x}")
            uids, first = inside(program)
            self.assertEqual(uids, [uid] * 4)
            self.assertGreaterEqual(first, SANDBOX_IDS)
            self.assertEqual(set(capability_sets(program).values()), {0})
            status = harness.status_of(program)
            self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
            self.doCleanups()

    def test_every_namespace_is_the_sandboxes_own(self):
        _, program = self.start()
        for kind in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup"):
            self.assertNotEqual(os.readlink(f"/proc/{program}/ns/{kind}"),
                                os.readlink(f"/proc/self/ns/{kind}"), kind)
        devices = harness.read_text(f"/proc/{program}/net/dev").splitlines()[2:]
        self.assertEqual([line.split(":")[0].strip() for line in devices], ["lo"])

    def test_two_sandboxes_share_no_user_id(self):
        self.start()
        self.start()
        programs = []
        deadline = time.monotonic() + 30  # `running` is said just before execve
        while len(programs) < 2 and time.monotonic() < deadline:
            programs = [pid for pid in self.home.sandboxed()
                        if harness.read_text(f"/proc/{pid}/cmdline") == "sleep\x001000\0"]
        ranges = {inside(pid)[1] for pid in programs}
        self.assertEqual((len(programs), len(ranges)), (2, 2))


if __name__ == "__main__":
    unittest.main()
