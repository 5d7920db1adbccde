"""Environments for end-to-end tests without a network: the layers are made here, by
docs/store_format.md alone, and their records are put into the database of a home that is down.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import harness

MTIME = 1_700_000_000


def escaped(name):
    """A path as the manifest has it."""
    return "".join(chr(c) if 0x20 < c < 0x7f and c not in b"\\=" else f"\\x{c:02x}"
                   for c in os.fsencode(name))


def folders_of(paths):
    found = set()
    for path in paths:
        while (path := path.rpartition("/")[0]):
            found.add(path)
    return found


def make_layer(home, files):
    """A layer in the store with these files {path: content, or (mode, content)}; its digest."""
    files = {path: (0o644, value) if isinstance(value, bytes) else value
             for path, value in files.items()}
    lines = [f"d 755 0 0 {MTIME} ."]
    entries = sorted([*files, *folders_of(files)], key=lambda path: os.fsencode(path).split(b"/"))
    for path in entries:
        if path in files:
            mode, content = files[path]
            lines.append(f"f {mode:o} 0 0 {MTIME} {len(content)} "
                         f"{hashlib.sha256(content).hexdigest()} {escaped(path)}")
        else:
            lines.append(f"d 755 0 0 {MTIME} {escaped(path)}")
    total = sum(len(content) for _, content in files.values())
    lines.append(f"end {len(entries)} {total}\n")
    manifest = "\n".join(["tare-manifest 1", *lines]).encode()
    digest = hashlib.sha256(manifest).hexdigest()
    layer = home.path / "store/layers" / digest
    if layer.exists():
        return f"sha256:{digest}"
    root = layer / "root"
    root.mkdir(mode=0o755, parents=True)
    layer.chmod(0o700)
    for path in entries:
        if path in files:
            (root / path).write_bytes(files[path][1])
            (root / path).chmod(files[path][0])
        else:
            (root / path).mkdir(mode=0o755)
    for path in [*reversed(entries), "."]:
        os.utime(root / path, (MTIME, MTIME))
    (layer / "manifest").write_bytes(manifest)
    (layer / "manifest").chmod(0o600)
    return f"sha256:{digest}"


def put_environment(home, name, layers):
    """Its record. The daemons are down."""
    digest = layers[0]
    if len(layers) > 1:
        text = "".join(f"{line}\n" for line in ["tare-environment 1", *layers])
        digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    record = {"tenant": "default", "name": name, "source": name, "state": "ready",
              "digest": digest, "layers": layers,
              "size_bytes": 1, "files": 1, "created_ms": 1_700_000_000_000,
              "reproducible": True}
    database = sqlite3.connect(home.path / "state/tare.db")
    with database:
        database.execute(
            "INSERT INTO environments(tenant, name, source, digest, created_ms, environment) "
            "VALUES('default', ?, ?, ?, ?, ?)",
            (name, name, digest, record["created_ms"], json.dumps(record)))
    database.close()


@contextlib.contextmanager
def flipped(path):
    """One bit of the file is another one; its time is as before."""
    def flip():
        was = path.stat()
        with path.open("r+b") as file:
            byte = file.read(1)[0]
            file.seek(0)
            file.write(bytes([byte ^ 4]))
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))

    flip()
    try:
        yield
    finally:
        flip()


@contextlib.contextmanager
def moved_away(home, path):
    aside = home.path / "aside"
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


def layer_folder(home, digest):
    return home.path / "store/layers" / digest.removeprefix("sha256:")


def faults_of(test, home):
    """What `tare env verify` finds wrong with all that is kept: {owners: its verdict}."""
    result = home.tare("env", "verify", "--json")
    report = json.loads(result.stdout)
    found = {tuple(one["needed_by"]): one for one in report["objects"] if not one["intact"]}
    strays = [one for one in report["extra"] if one["kind"] == "stray"]
    test.assertEqual(report["intact"], not found and not strays)
    test.assert_status(result, 0 if report["intact"] else 70)
    text = home.tare("env", "verify")
    test.assert_status(text, result.returncode)
    for owners, verdict in found.items():
        for owner in owners if verdict["kind"] == "layer" else ():
            test.assertIn(f"{owner}: DAMAGED: layer {verdict['digest']}: {verdict['difference']}; "
                          f"{verdict['fix']}\n", text.stdout.decode())
    return found


class EnvironmentsTest(harness.TareTest):
    ENVIRONMENTS = {}  # name: list of layers, each {path: content}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.home.down()
        cls.digests = {}
        for name, layers in cls.ENVIRONMENTS.items():
            cls.digests[name] = [make_layer(cls.home, files) for files in layers]
            put_environment(cls.home, name, cls.digests[name])
        cls.home.up()

    def layer(self, digest):
        return self.home.path / "store/layers" / digest.removeprefix("sha256:")

    def json(self, *arguments):
        return json.loads(self.home.must("env", *arguments, "--json").stdout)


BASE = {"etc/motd": b"hello\n", "usr/bin/tool": (0o755, b"#!/bin/sh\n" * 1000),
        "usr/lib/a b": b"x" * 70_000, "usr/lib/empty": b""}


def programs(*names):
    """These programs of the host with their libraries: agents and runs can really live in it."""
    files = {f"{folder}/.keep": b"" for folder in ("etc", "tmp", "home/agent", "proc", "sys", "dev",
                                                   "run", "input", "output")}
    for name in names:
        path = shutil.which(name)
        files[f"bin/{name}"] = (0o755, Path(path).read_bytes())
        libraries = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
        for library in re.findall(r"(/\S+) \(0x", libraries):
            files[library.lstrip("/")] = (0o755, Path(library).read_bytes())
    return files


BOX = programs("sleep", "true")
