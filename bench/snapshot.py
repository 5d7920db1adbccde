"""What freezing costs: a live session's change becomes an environment, through the API of a tared
of our own, measured in turn with what other people's tools do with the same files.

    ./dev bench snapshot [--json] [--n 20] [--only ROW[,ROW...]]

  freeze_1mb, _10mb, _100mb   POST /v1/sessions/ID/freeze sent -> 201 received (the layer is
                              durable, the record committed): so much changed in an environment
                              of 1 GB, in files of 1 MB
  freeze_10mb_of_100mb        the same change in an environment of 100 MB: cost follows the change
  freeze_10mb_640             10 MB in 640 files
  freeze_4kb                  one small file
  freeze_100mb_secrets        the last one with 64 secrets to look for (`tare canary`)
  freeze_4kb_secrets          freeze_4kb with 64 secrets that the layers below were searched for
  freeze_4kb_new_secret       the same, each time with a secret more: all below is searched again
  hibernate, wake             a session on the 1 GB with 1 MB changed since it woke:
                              POST .../hibernate -> it sleeps, .../wake -> its sandbox is there
                              (ten times --n: 200, for their p99)
  wake_and_exec               the same wake, to the end of the first program
  fork                        POST .../fork -> a copy's row is durable
  start_1_layer, _4, _8       the launcher's start of a run on so many layers, nothing in the pool
  diff                        the environment of 1 GB against itself with 10 MB more
  cache_one, cache_100        page cache on the account of one run, then of 100 runs of one
                              environment together, each of which has read the same 50 MB
Peer of each: disk, the same number of bytes written to one file beside it and synced, in turn.
Peers of freeze_10mb, on the same files:
  tar_change                  tar of the changed files alone, hashed, on the disk: what `podman
                              commit` does with the overlay driver, but for its own bookkeeping
  tar_all                     tar of the whole tree, hashed, on the disk: as `podman export`
  umoci                       `umoci repack` of an unpacked image of 1 GB with the change in it

A row is one JSON object with --json, as those of bench_sandbox.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/e2e"))
import harness  # noqa: E402
import layers  # noqa: E402

MB = 1 << 20
FILE_KB = 100  # of the environments' files
SHARED_MB = 50


class Rows:
    def __init__(self, options):
        self.options = options

    def wanted(self, name):
        return any(name.startswith(only) for only in self.options.only.split(","))

    def times(self, name, us, peer=None, peer_us=None):
        us = sorted(us)
        row = {"name": name, "n": len(us), "p50_us": round(statistics.median(us)),
               "p99_us": round(us[min(len(us) - 1, int(0.99 * len(us)))]), "failed": 0,
               "peer": peer, "peer_p50_us": None, "ratio": None}
        if peer:
            row["peer_p50_us"] = round(statistics.median(peer_us))
            row["ratio"] = round(row["peer_p50_us"] / row["p50_us"], 2)
        if self.options.json:
            print(json.dumps(row), flush=True)
            return
        text = (f"{name:<22} n {len(us):>4}  p50 {row['p50_us']:>9} us  "
                f"p99 {row['p99_us']:>9} us")
        if peer:
            text += f"   {peer:<10} p50 {row['peer_p50_us']:>9} us  ratio {row['ratio']}"
        print(text, flush=True)

    def value(self, name, value, unit, n):
        row = {"name": name, "n": n, "value": round(value, 1), "unit": unit, "failed": 0}
        print(json.dumps(row) if self.options.json else f"{name:<22} n {n:>4}  {value:.1f} {unit}",
              flush=True)


def timed(work):
    """Microseconds."""
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1e6


def content(megabytes):
    """Files that do not compress: {path: bytes}."""
    source = random.Random(megabytes)
    return {f"data/{i // 100}/{i}": source.randbytes(FILE_KB << 10)
            for i in range((megabytes << 10) // FILE_KB)}


def make_environments(home):
    """big: 1 GB, small: 100 MB; the daemons are down."""
    tools = layers.programs("sh", "cat", "sleep", "mkdir", "split", "head", "rm", "true")
    base = layers.make_layer(home, tools)
    for name, megabytes in (("big", 1024), ("small", 100)):
        layers.put_environment(home, name, [base, layers.make_layer(home, content(megabytes))])
    few = [layers.make_layer(home, {f"srv/{i}": b"%d" % i}) for i in range(7)]
    for count in (1, 4, 8):
        layers.put_environment(home, f"layers-{count}", [base, *few[:count - 1]])
    os.sync()


class Session:
    def __init__(self, home, environment, *options):
        self.home = home
        made = home.must("session", "new", "--env", environment, "--user", "root", "--mem", "2G",
                         "--disk", "400M", *options)
        self.id = made.stdout.decode().strip()
        self.frozen = 0

    def sh(self, script):
        self.home.must("session", "exec", self.id, "--", "sh", "-c", script)

    def change(self, megabytes, files):
        """Fresh bytes in so many files in place of the last change."""
        each = int(megabytes * MB) // files
        self.sh(f"rm -rf /srv/new; mkdir -p /srv/new; cd /srv/new; "
                f"head -c {each * files} /dev/urandom | split -a 4 -b {each}")

    def freeze(self):
        self.frozen += 1
        answer = self.home.request("POST", f"/v1/sessions/{self.id}/freeze",
                                   {"name": f"f{self.frozen}-{self.id[-8:].lower()}"})
        if answer.status != 201:
            raise AssertionError(answer.body)
        return answer.json["name"]

    def write(self, content):
        with (self.home.path / "floor").open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def freezes(self, count, megabytes, files, before=lambda: None):
        """Microseconds of each freeze, and of what the disk takes for the same bytes."""
        us, disk = [], []
        for _ in range(count):
            self.change(megabytes, files)
            before()
            content = os.urandom(int(megabytes * MB))
            time.sleep(0.2)  # what the change itself left to write
            disk.append(timed(lambda: self.write(content)))
            name = ""

            def freeze():
                nonlocal name
                name = self.freeze()
            us.append(timed(freeze))
            self.home.must("env", "rm", name)
        self.home.must("env", "gc")
        return us, disk

    def close(self):
        self.home.must("session", "kill", self.id)
        self.home.wait_ended(self.id)


def freeze_rows(rows, home, peers):
    n = rows.options.n
    cases = (("freeze_4kb", "big", 1 / 256, 1, n), ("freeze_1mb", "big", 1, 1, n),
             ("freeze_10mb", "big", 10, 10, n), ("freeze_10mb_of_100mb", "small", 10, 10, n),
             ("freeze_10mb_640", "big", 10, 640, n), ("freeze_100mb", "big", 100, 100, n // 2),
             ("freeze_100mb_secrets", "big", 100, 100, n // 2),
             ("freeze_4kb_secrets", "big", 1 / 256, 1, n),
             ("freeze_4kb_new_secret", "big", 1 / 256, 1, n // 2))
    for name, environment, megabytes, files, count in cases:
        if not rows.wanted(name):
            continue
        secrets = []

        def learn():
            secrets.append(f"secret-{len(secrets)}")
            home.must("canary", "add", secrets[-1], data=os.urandom(40))
        for _ in range(64 if name.endswith("_secrets") else 0):
            learn()
        session = Session(home, environment)
        if secrets:  # the layers below, once
            home.must("env", "rm", session.freeze())
        each = learn if name.endswith("_new_secret") else lambda: None
        us, disk = session.freezes(max(1, count), megabytes, files, each)
        session.close()
        if secrets:
            home.must("canary", "rm", *secrets)
        rows.times(name, us, "disk", disk)
        if name == "freeze_10mb":
            for peer, peer_us in peers.all():
                rows.times(name, us, peer, peer_us)


class Peers:
    """The same change beside the same tree, by tar and umoci; one folder for all of them."""

    def __init__(self, home, n):
        self.folder = Path(tempfile.mkdtemp(prefix="tare-peers-", dir="/var/tmp"))
        self.memory = Path(tempfile.mkdtemp(prefix="tare-peers-", dir="/dev/shm"))
        self.n, self.home = n, home

    def close(self):
        shutil.rmtree(self.folder)
        shutil.rmtree(self.memory)

    def fresh_change(self, where):
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir(parents=True)
        for i in range(10):
            (where / f"x{i}").write_bytes(os.urandom(MB))

    def tar(self, tree, more=()):
        out = self.folder / "layer.tar"
        hashed = subprocess.run(
            ["bash", "-c", 'set -o pipefail; tar -C "$1" -c . ${3:+-C "$3" .} | tee "$2" | '
             'sha256sum; sync "$2" "${2%/*}"', "tar", tree, out, *more],
            check=True, capture_output=True)
        assert len(hashed.stdout) > 64
        out.unlink()

    def tar_change(self):
        us = []
        for _ in range(self.n):
            self.fresh_change(self.memory / "upper")  # where a sandbox has it, too
            us.append(timed(lambda: self.tar(self.memory / "upper")))
        return us

    def big_root(self):
        shown = json.loads(self.home.must("env", "show", "big", "--json").stdout)
        top = shown["layers"][-1].removeprefix("sha256:")
        return self.home.path / "store/layers" / top / "root"

    def tar_all(self):
        self.fresh_change(self.memory / "upper")
        return [timed(lambda: self.tar(self.big_root(), [self.memory / "upper"]))
                for _ in range(2)]

    def umoci(self):
        def run(*arguments):
            subprocess.run(["umoci", *arguments], check=True, capture_output=True)
        image, bundle = self.folder / "image", self.folder / "bundle"
        run("init", "--layout", image)
        run("new", "--image", f"{image}:big")
        run("unpack", "--image", f"{image}:big", bundle)
        subprocess.run(["cp", "-a", f"{self.big_root()}/.", bundle / "rootfs"], check=True)
        run("repack", "--image", f"{image}:big", "--refresh-bundle", bundle)
        us = []
        for _ in range(2):
            self.fresh_change(bundle / "rootfs/srv/new")
            us.append(timed(lambda: (run("repack", "--image", f"{image}:big", "--refresh-bundle",
                                         bundle), subprocess.run(["sync", "-f", image]))))
        return us

    def all(self):
        yield "tar_change", self.tar_change()
        yield "tar_all", self.tar_all()
        yield "umoci", self.umoci()


def start_rows(rows, home):
    """What a layer costs at the start: told by the launcher itself."""
    for count in (1, 4, 8):
        name = f"start_{count}_layer{'s' if count > 1 else ''}"
        if not rows.wanted(name):
            continue
        us = []
        for _ in range(rows.options.n):
            run = home.must("run", "--env", f"layers-{count}", "--detach", "--",
                            "true").stdout.decode().strip()
            home.wait_ended(run)
            for line in harness.read_text(home.path / "log/tare-launcher.log").splitlines():
                told = json.loads(line)
                if told["message"] == "sandbox started" and told["run"] == run:
                    us.append(told["start_us"])
        rows.times(name, us)


def sleep_rows(rows, home):
    if not any(rows.wanted(name) for name in ("hibernate", "wake", "wake_and_exec", "fork")):
        return
    session = Session(home, "big")
    us = {"hibernate": [], "wake": [], "wake_and_exec": [], "fork": []}

    def ask(verb, body=None):
        answer = home.request("POST", f"/v1/sessions/{session.id}/{verb}", body)
        assert answer.status in (200, 201), answer.body
        return answer.json

    for i in range(10 * rows.options.n):
        session.change(1, 1)
        us["hibernate"].append(timed(lambda: ask("hibernate")))
        us["wake"].append(timed(lambda: ask("wake")))
        if i >= rows.options.n:
            continue
        ask("hibernate")
        us["wake_and_exec"].append(timed(
            lambda: home.must("session", "exec", session.id, "--", "true")))
        made = []
        us["fork"].append(timed(lambda: made.extend(ask("fork", {"count": 1})["sessions"])))
        home.must("session", "kill", made[0]["id"])
    session.close()
    for name, values in us.items():
        if rows.wanted(name):
            rows.times(name, values)


def diff_row(rows, home):
    if not rows.wanted("diff"):
        return
    session = Session(home, "big")
    session.change(10, 10)
    name = session.freeze()
    path = f"/v1/environments/big/diff?to={name}"
    us = []
    for _ in range(max(1, rows.options.n // 2)):
        us.append(timed(lambda: home.request("GET", path)))
    answer = home.request("GET", path)
    assert answer.status == 200 and answer.body.count(b"srv/new/") >= 10, answer.body[:500]
    session.close()
    home.must("env", "rm", name)
    rows.times("diff", us)


def cache_of(cgroups):
    """MiB of files that are kept in memory on the account of these cgroups."""
    found = {}
    for folder in cgroups:
        for path in folder.glob("**/memory.stat"):
            stat = dict(line.split() for line in harness.read_text(path).splitlines())
            shared = int(stat.get("shmem", 0))  # /tmp and the like
            found[path] = int(stat.get("file", stat.get("cache", 0))) - shared
    return sum(found.values()) / MB


def cache_rows(rows, home):
    if not rows.wanted("cache"):
        return
    files = " ".join(f"/data/{i}/*" for i in range(SHARED_MB * 1024 // FILE_KB // 100))
    command = ("run", "--env", "big", "--detach", "--timeout", "10m", "--", "sh", "-c",
               f"cat {files} >/dev/null; exec sleep 600")
    runs = []

    def start(count):
        runs.extend(home.must(*command).stdout.decode().strip() for _ in range(count))
        harness.wait_until(lambda: sum(harness.read_text(f"/proc/{pid}/comm") == "sleep\n"
                                       for pid in home.programs()) == len(runs), "all have read")
        return cache_of(home.cgroups())

    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("1")  # who reads first pays
    rows.value("cache_one", start(1), "MiB", 1)
    rows.value("cache_100", start(99), "MiB", 100)
    home.must("kill", *runs)
    for run in runs:
        home.wait_ended(run)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench snapshot")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench snapshot: must be root, to make sandboxes")
    rows = Rows(options)
    home = harness.Home(folder="/var/tmp")  # a disk, where /tmp may be none
    peers = Peers(home, options.n)
    try:
        home.up()
        home.down()
        make_environments(home)
        home.must("up", "--detach", "--port", "0", "--pool", "0")
        start_rows(rows, home)
        sleep_rows(rows, home)
        home.down()
        home.up()
        freeze_rows(rows, home, peers)
        diff_row(rows, home)
        cache_rows(rows, home)
    finally:
        peers.close()
        home.close()


if __name__ == "__main__":
    main()
