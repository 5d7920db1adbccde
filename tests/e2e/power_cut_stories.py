"""What is done on a disk that will lose its power, and what of it must be there afterwards.

A session is frozen again and again; another one hibernates, is woken, changed and forked; a durable
one is changed; runners are added, rolled out and given to a session. For power_cut_test.py. Each
story is told when it is made, on a home that lies on a disk of power_cut.py, and then knows by
losses() what is missing on a machine that is started again from what the disk had at some moment.
"""

import json
import os
import tempfile
from pathlib import Path

import harness
import layers
from power_cut import Disk, unmount

CUTS = int(os.environ.get("TARE_CUTS", "6"))
FREEZES = max(4, CUTS // 4)
NIGHTS = max(3, CUTS // 8)
VERSIONS = max(3, CUTS // 8)
CHANGES = max(12, CUTS)


class Story:
    """What was done on a disk, and what was acknowledged when: [(position, name, digest, sum)]."""

    KINDS = ("environment",)  # of what only this story loses: how losses() begins its lines
    PROGRAMS = ("sh", "sleep", "cat", "head", "mkdir", "rm", "sha256sum")

    def __init__(self, disk, environment):
        self.disk, self.acknowledged = disk, []
        self.home = harness.Home(folder=disk.mount)
        self.home.environment.update(environment)
        self.home.up()
        self.home.down()
        base = layers.make_layer(self.home, layers.programs(*self.PROGRAMS))
        layers.put_environment(self.home, "box", [base])
        os.sync()
        self.begin = disk.position()
        self.home.up()
        self.tell()
        self.home.down()

    def new(self):
        return self.home.must("session", "new", "--env", "box", "--user", "root",
                              "--mem", "512M", "--disk", "64M").stdout.decode().strip()

    def sh(self, session, script):
        done = self.home.must("session", "exec", session, "--", "sh", "-c", script)
        return done.stdout.decode()

    def tell(self):
        session = self.new()
        for i in range(FREEZES):
            self.freeze(session, i)
        self.end = self.disk.position()
        self.kill(session)

    def kill(self, *sessions):
        self.home.must("session", "kill", *sessions)
        for session in sessions:
            self.home.wait_ended(session)

    def moments(self):
        """At each something was acknowledged."""
        return [at for at, *_ in self.acknowledged]

    def freeze(self, session, i):
        changed = self.sh(
            session,
            f"mkdir -p /srv/{i} && head -c {50_000 * (i + 1)} /dev/urandom >/srv/{i}/data && "
            f"rm -rf /srv/{i - 2} && cat /srv/*/data | sha256sum")
        name = f"frozen-{i}"
        answer = self.home.request("POST", f"/v1/sessions/{session}/freeze", {"name": name})
        if answer.status != 201:
            raise AssertionError(answer.body)
        self.acknowledged.append(
            (self.disk.position(), name, answer.json["digest"], changed))

    def losses(self, position, luck, with_runs=False):
        """Starts from what a cut there leaves; what is not as it must be, one line each."""
        image = self.disk.after_cut(position, luck)
        Disk.mounted(image, self.disk.mount)
        try:
            return self.losses_here(position, with_runs)
        finally:
            self.home.tare("down")
            unmount(self.disk.mount)

    def after_start(self, _position):
        """What is lost, beside what losses_here() looks for."""
        return []

    def losses_here(self, position, with_runs):
        up = self.home.tare("up", "--detach", "--port", "0")
        if up.returncode != 0:
            return [f"it does not start: {up.stderr.decode()}"]
        found = []
        if staged := os.listdir(self.home.path / "store/staging"):
            found.append(f"staging has {staged}")
        found += self.after_start(position)
        verified = self.home.tare("env", "verify")
        if verified.returncode != 0:
            found.append(f"verify: {verified.stdout.decode()}{verified.stderr.decode()}")
        for at, name, digest, content in self.acknowledged:
            if at > position:
                continue
            shown = self.home.tare("env", "show", name, "--json")
            if shown.returncode != 0 or json.loads(shown.stdout)["digest"] != digest:
                found.append(f"environment: {name} is not there: {shown.stderr.decode()}")
            elif with_runs:
                seen = self.home.must("run", "--env", name, "--", "sh", "-c",
                                      "cat /srv/*/data | sha256sum").stdout.decode()
                if seen != content:
                    found.append(f"environment: {name} shows something else")
        return found + self.own_losses(position)

    def own_losses(self, _position):
        """What is lost of what only a story of another kind has; also where more is lost."""
        return []


class Nights(Story):
    """A session that sleeps, is woken, changed and forked.

    self.kept: {session: [(asked, acknowledged, files)]}, positions and what it then had to wake
    with. What is in it before it first slept is not kept over the loss of the machine.
    """

    KINDS = ("session",)
    FILES = "sha256sum /srv/*/* /tmp/* /output/* /etc/word 2>/dev/null"

    def tell(self):
        self.kept, session = {}, self.new()
        for night in range(NIGHTS):
            self.change(session, night)
            self.sleep(session)
            if night % 2 == 0:
                self.fork(session)
        forks = [one for one in self.kept if one != session]
        self.change(forks[0], NIGHTS)  # what was a copy goes on by itself
        self.sleep(forks[0])
        self.end = self.disk.position()
        self.kill(*self.kept)

    def change(self, session, night):
        self.sh(session, f"""
            mkdir -p /srv/{night}; head -c {40_000 * (night + 1)} /dev/urandom >/srv/{night}/data
            echo {night} >>/etc/word; echo {night} >/srv/{night}/small; echo {night} >/tmp/{night}
            echo {night} >/output/last
            rm -rf /srv/{night - 1}/data /srv/{night - 2} /tmp/{night - 1}""")

    def sleep(self, session):
        files = self.sh(session, self.FILES)
        asked = self.disk.position()
        self.home.must("session", "hibernate", session)
        self.kept.setdefault(session, []).append((asked, self.disk.position(), files))

    def fork(self, session):
        files = self.kept[session][-1][2]
        asked = self.disk.position()
        made = self.home.must("session", "fork", session, "-n", "2").stdout.decode().split()
        for one in made:
            self.kept[one] = [(asked, self.disk.position(), files)]

    def moments(self):
        return sorted({at for all in self.kept.values() for _, at, _ in all})

    def own_losses(self, position):
        found = []
        listed = json.loads(self.home.must("session", "list", "--json").stdout)
        there = {one["id"]: one for one in listed["sessions"]}
        for session, story in self.kept.items():
            known = [files for _, at, files in story if at <= position]
            allowed = known[-1:] + [files for asked, at, files in story if asked < position < at]
            if session not in there:
                if known:
                    found.append(f"session: {session} is not there: {sorted(there)}")
                continue
            if not allowed:
                continue
            woken = self.home.tare("session", "exec", session, "--", "sh", "-c", self.FILES)
            if woken.stdout.decode() not in allowed and (known or woken.returncode == 0):
                found.append(f"session: {session} woke with {woken.stdout.decode()}, not "
                             f"{allowed}: {woken.stderr.decode()}")
        return found

    def losses_here(self, position, with_runs):
        found = super().losses_here(position, with_runs)
        if found:
            return found  # one that lacks a layer cannot be woken to end
        listed = json.loads(self.home.must("session", "list", "--json").stdout)["sessions"]
        if listed:
            self.kill(*[one["id"] for one in listed])
        return []


class Versions(Story):
    """Versions of a runner are added, rolled out to an agent, and given to a session that has
    slept. self.told: [(asked, acknowledged, what, version)]."""

    KINDS = ("add", "use", "swap")
    RUNNER = 'name = "step"\nversion = "{0}"\nentry = ["sh", "/opt/tare/runner/main.sh"]\n' \
             'handshake = ["sh", "-c", "echo \'{{\\"tare_runner\\":1}}\'"]\n'
    AGENT = 'name = "agent"\nenvironment = "box"\nrunner = "step"\nentry = "x"\n'
    LOOK = "sh /opt/tare/runner/main.sh; cat /opt/tare/runner/again /home/agent/word; " \
           "echo $TARE_RUNNER"

    def tell(self):
        self.told = []
        self.add(0)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "agent.toml").write_text(self.AGENT)
            self.home.must("agent", "apply", folder)
        self.session = self.home.must("session", "new", "--env", "box", "--runner",
                                      "step").stdout.decode().strip()
        self.sh(self.session, "echo slept >word")
        self.home.must("session", "hibernate", self.session)
        self.told.append((self.begin, self.disk.position(), "swap", 0))
        for version in range(1, VERSIONS + 1):
            self.add(version)
            runner = f"step@{version}"
            self.done("use", version, "runner", "use", runner, "--agent", "agent")
            self.done("swap", version, "runner", "swap", self.session, runner)
            if version % 2 == 0:
                self.home.must("session", "hibernate", self.session)
        self.end = self.disk.position()
        self.kill(self.session)

    def add(self, version):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "runner.toml").write_text(self.RUNNER.format(version))
            Path(folder, "main.sh").write_text(f"echo {version}\n")
            Path(folder, "again").write_text(f"{version}\n")
            self.done("add", version, "runner", "add", folder)

    def done(self, what, version, *command):
        asked = self.disk.position()
        self.home.must(*command)
        self.told.append((asked, self.disk.position(), what, version))

    def moments(self):
        return [at for _, at, *_ in self.told]

    def allowed(self, position, what):
        """Of these one must be there: the last that was acknowledged, or what was just asked."""
        known = [version for _, at, of, version in self.told if of == what and at <= position]
        return known[-1:], [version for asked, at, of, version in self.told
                            if of == what and asked < position < at]

    def own_losses(self, position):
        found = []
        listed = json.loads(self.home.must("runner", "list", "--json").stdout)["runners"]
        there = [int(one["version"]) for one in listed]
        added, asked = self.allowed(position, "add")
        for version in range(added[0] + 1 if added else 0):
            if version not in there:
                found.append(f"add: step@{version} is not there: {there}")
        for version in there:
            if version not in [*range(added[0] + 1 if added else 0), *asked]:
                found.append(f"add: step@{version} is there: {there}")
        return found + self.losses_of_use(position) + self.losses_of_swap(position)

    def losses_of_use(self, position):
        used, asked = self.allowed(position, "use")
        history = self.home.tare("runner", "history", "--agent", "agent", "--json")
        if not used and history.returncode != 0:
            return []  # the agent is not there yet
        if history.returncode != 0:
            return [f"use: no history: {history.stderr.decode()}"]
        now = json.loads(history.stdout)["history"][0]["runner"]
        if now in [f"step@{version}" for version in [*(used or [0]), *asked]]:
            return []
        return [f"use: the agent has {now}, not {used} or {asked}"]

    def losses_of_swap(self, position):
        had, asked = self.allowed(position, "swap")
        listed = json.loads(self.home.must("session", "list", "--json").stdout)["sessions"]
        if not had:  # it has not slept yet
            if listed:
                self.kill(*[one["id"] for one in listed])
            return []
        woken = self.home.tare("session", "exec", self.session, "--", "sh", "-c", self.LOOK)
        seen = woken.stdout.decode().split()
        self.home.tare("session", "kill", self.session)
        if seen in [[str(one), str(one), "slept", f"step@{one}"] for one in had + asked]:
            return []
        return [f"swap: it woke with {seen}, not {had} or {asked}: {woken.stderr.decode()}"]


class Changes(Nights):
    """A durable session, in which files are put, moved and removed, and programs run."""

    KINDS = ("session", "exec")

    def new(self):
        return self.home.must("session", "new", "--env", "box", "--user", "root", "--durable",
                              "--mem", "512M", "--disk", "64M").stdout.decode().strip()

    def tell(self):
        session = self.new()
        self.kept, self.ended = {session: []}, []
        self.sh(session, """
            mkdir -p /srv/d; echo 0 >/etc/word
            for folder in /srv/d /tmp /output; do echo 0 >$folder/first; done""")
        for number in range(CHANGES):
            asked = self.disk.position()
            self.change_once(session, number)
            answered = self.disk.position()
            self.kept[session].append((asked, answered, self.sh(session, self.FILES)))
        self.end = self.disk.position()
        self.kill(session)

    def change_once(self, session, number):
        files = f"/v1/runs/{session}/files"
        if number % 4 == 0:
            answer = self.home.request("PUT", f"{files}/content?path=/srv/d/{number}",
                                       os.urandom(30_000 * (number + 1)))
        elif number % 4 == 1:
            answer = self.home.request("POST", f"{files}/move", {
                "from": f"/srv/d/{number - 1}", "to": f"/tmp/{number}"})
        elif number % 4 == 2:
            script = f"echo {number} >/output/o; echo {number} >>/etc/word; echo said {number}"
            self.sh(session, script)
            execs = self.home.request("GET", f"/v1/runs/{session}/execs").json["execs"]
            self.ended.append((self.disk.position(), session, execs[-1]["number"],
                               f"said {number}\n"))
            return
        else:
            answer = self.home.request("DELETE", f"{files}?path=/tmp/{number - 2}")
        if answer.status >= 300:
            raise AssertionError(answer.body)

    def after_start(self, position):
        told = [one for one in self.ended if one[0] <= position]
        lost = []
        for _, session, number, said in told:
            attached = self.home.tare("session", "attach", session, str(number))
            if (attached.returncode, attached.stdout.decode()) != (0, said):
                lost.append(f"exec: {number}: {attached.returncode} {attached.stdout}")
        return lost
