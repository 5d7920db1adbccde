"""Environments as things: verified, compared, named."""

import json
import os
import sqlite3
import unittest

import harness
from layers import (BASE, BOX, MTIME, EnvironmentsTest, faults_of, flipped, make_layer,
                    moved_away)

class Verify(EnvironmentsTest):
    ENVIRONMENTS = {"one": [BASE], "two": [BASE, {"etc/new": b"new\n"}]}

    def damaged(self, difference):
        """Both are said to be damaged, with exit status 70, and why."""
        result = self.home.tare("env", "verify")
        self.assert_status(result, 70)
        lines = result.stdout.decode().splitlines()
        layer = self.digests["one"][0]
        self.assertEqual(len(lines), 2, lines)
        for line, name in zip(lines, ("one", "two")):
            self.assertTrue(line.startswith(f"environment {name}: DAMAGED: layer {layer}: "), line)
            self.assertIn(difference, line)
            self.assertIn(f"put store/layers/{layer[7:]} back from a backup", line)
        report = self.home.tare("env", "verify", "two", "--json")
        self.assert_status(report, 70)
        (found,) = json.loads(report.stdout)["environments"]
        self.assertEqual([one["intact"] for one in found["layers"]], [False, True])
        self.assertIn(difference, found["layers"][0]["difference"])

    def tearDown(self):
        """Each test mends what it broke: both are intact again."""
        intact = "one: intact (8 files, 78.1K)\n", "two: intact (10 files, 78.1K)\n"
        self.assertEqual(self.home.must("env", "verify", "one", "two").stdout.decode(),
                         "".join(intact))
        self.assertEqual(self.home.must("env", "verify").stdout.decode(),
                         "".join(f"environment {line}" for line in intact))

    def changed(self, path, change, mend, difference):
        times = [(one, one.stat()) for one in (path, path.parent) if one.exists()]

        def mended():
            mend()
            for one, was in times:
                os.utime(one, ns=(was.st_atime_ns, was.st_mtime_ns))

        try:
            change()
            for one, was in times:  # nor can a time that was put back hide it
                if one.exists():
                    os.utime(one, ns=(was.st_atime_ns, was.st_mtime_ns))
            self.damaged(difference)
        finally:
            mended()

    def test_a_flipped_bit_is_found(self):
        path = self.layer(self.digests["one"][0]) / "root/usr/lib/a b"

        def flip():
            with path.open("r+b") as file:
                file.seek(66_000)
                byte = file.read(1)[0]
                file.seek(66_000)
                file.write(bytes([byte ^ 4]))

        self.changed(path, flip, flip, "usr/lib/a\\x20b")

    def test_a_missing_file_is_found(self):
        path = self.layer(self.digests["one"][0]) / "root/usr/lib/empty"
        aside = self.home.path / "aside"
        self.changed(path, lambda: path.rename(aside), lambda: aside.rename(path),
                     "usr/lib/empty")

    def test_an_extra_file_is_found(self):
        path = self.layer(self.digests["one"][0]) / "root/usr/bin/.hidden"
        self.changed(path, path.touch, path.unlink, "usr/bin/.hidden")

    def test_a_changed_mode_owner_or_time_is_found(self):
        path = self.layer(self.digests["one"][0]) / "root/usr/bin/tool"
        self.changed(path, lambda: path.chmod(0o4755), lambda: path.chmod(0o755), "f 4755 0 0")
        self.changed(path, lambda: os.chown(path, 7, 0),
                     lambda: (os.chown(path, 0, 0), path.chmod(0o755)), "f 755 7 0")
        times = path.stat()
        os.utime(path, (MTIME + 1, MTIME + 1))
        self.damaged(str(MTIME + 1))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def test_something_beside_the_tree_and_a_changed_manifest_are_found(self):
        path = self.layer(self.digests["one"][0]) / "more"
        self.changed(path, path.mkdir, path.rmdir, '"more"')
        manifest = self.layer(self.digests["one"][0]) / "manifest"
        text = manifest.read_bytes()
        self.changed(manifest, lambda: manifest.write_bytes(text.replace(b"etc/motd", b"etc/modt")),
                     lambda: manifest.write_bytes(text), "etc/modt")

    def test_a_missing_layer_is_found(self):
        layer = self.layer(self.digests["one"][0])
        aside = self.home.path / "aside"
        self.changed(layer, lambda: layer.rename(aside), lambda: aside.rename(layer),
                     "is not in the store")

    def test_S39_a_swapped_parent_is_found(self):
        """The list of layers itself, in the database."""
        def swap():
            self.home.down()
            database = sqlite3.connect(self.home.path / "state/tare.db")
            with database:
                (text,) = database.execute(
                    "SELECT environment FROM environments WHERE name = 'two'").fetchone()
                record = json.loads(text)
                record["layers"].reverse()
                database.execute("UPDATE environments SET environment = ? WHERE name = 'two'",
                                 (json.dumps(record),))
            database.close()
            self.home.up()

        swap()
        try:
            for names in (["two"], []):
                result = self.home.tare("env", "verify", *names)
                self.assert_status(result, 70)
                self.assertIn("its layers are not those that the environment's digest names",
                              result.stdout.decode())
        finally:
            swap()

    def test_what_has_no_layers_or_is_not_there_is_refused(self):
        self.assert_reason(self.home.tare("env", "verify", "host"), 64,
                           ".*nothing to verify: begin with")
        self.assert_reason(self.home.tare("env", "verify", "none"), 66, ".*is not there")


class Everything(EnvironmentsTest):
    """What no environment has: uploads, agents' files, and what nobody names."""
    ENVIRONMENTS = {"box": [BOX]}

    def tearDown(self):
        self.assertEqual(faults_of(self, self.home), {})

    def extra(self):
        result = self.home.tare("env", "verify", "--json")
        extra = json.loads(result.stdout)["extra"]
        return result.returncode, {one["path"]: one["kind"] for one in extra}

    def test_names_that_no_tare_makes_are_told_and_never_removed(self):
        strays = ["store/layers/" + "a" * 64, "store/layers/junk", "store/layers/A", "store/other",
                  "store/staging/mine", "blobs/zz/y"]
        for path in strays:
            (self.home.path / path).mkdir(parents=True)
        self.assertEqual(self.extra(), (70, {path: "stray" for path in strays}))
        text = self.home.tare("env", "verify").stdout.decode()
        for path in strays:
            self.assertRegex(text, rf"(?m)^EXTRA: {path}: no name that Tare makes.*by hand$")
        for dry in (["--dry-run"], []):
            self.assertEqual(self.json("gc", *dry)["removed"], [])
        for path in strays:
            (self.home.path / path).rmdir()  # it is there still
        (self.home.path / "blobs/zz").rmdir()

    def test_many_strays_are_counted(self):
        folder = self.home.path / "store/layers"
        for number in range(103):
            (folder / f"junk{number}").touch()
        status, extra = self.extra()
        self.assertEqual((status, len(extra)), (70, 101))
        self.assertIn("store/: 3 more", extra)
        for number in range(103):
            (folder / f"junk{number}").unlink()

    def test_a_layer_that_nobody_names_is_a_note_unless_it_is_damaged(self):
        digest = make_layer(self.home, {"spare": b"spare"})
        path = f"store/layers/{digest[7:]}"
        self.assertEqual(self.extra(), (0, {path: "unused"}))
        self.assertIn(f"unused: {path}: nothing names it: `tare env gc` removes it\n",
                      self.home.must("env", "verify").stdout.decode())
        with flipped(self.layer(digest) / "root/spare"):
            verdict = faults_of(self, self.home)[()]
            self.assertEqual((verdict["digest"], verdict["fix"]),
                             (digest, "nothing names it: `tare env gc` removes it"))
        self.assertEqual([one["digest"] for one in self.json("gc")["removed"]], [digest])
        self.assertEqual(self.extra(), (0, {}))

    def test_the_files_of_an_agent_are_verified_and_can_be_made_again(self):
        (self.folder / "agent.toml").write_text(
            'name = "boxer"\nenvironment = "box"\nentry = ["/bin/true"]\nfiles = ["data"]\n')
        (self.folder / "data").write_bytes(b"the agent's")
        self.home.must("agent", "apply", self.folder)
        shown = json.loads(self.home.must("agent", "show", "boxer", "--json").stdout)
        layer = self.layer(shown["files_digest"])
        with flipped(layer / "root/home/agent/data"):
            verdict = faults_of(self, self.home)[("agent boxer@1",)]
            self.assertIn("home/agent/data", verdict["difference"])
        layer.rename(self.folder / "aside")
        verdict = faults_of(self, self.home)[("agent boxer@1",)]
        self.assertRegex(verdict["fix"], "without one: `tare agent apply` the folder of boxer@1")
        refused = self.home.tare("run", "boxer")
        why = f"layer {shown['files_digest']} is not in the store"
        self.assertIn(why, refused.stderr.decode())
        self.home.must("agent", "apply", self.folder)  # as it says
        self.home.must("run", "boxer")

    def test_uploads_are_verified(self):
        digest = self.home.request("POST", "/v1/blobs", b"an upload").json["digest"]
        path = f"blobs/{digest[7:9]}/{digest[7:]}"
        with flipped(self.home.path / path):
            verdict = faults_of(self, self.home)[()]
            self.assertEqual((verdict["kind"], verdict["digest"], verdict["path"]),
                             ("upload", digest, path))
            self.assertIn("is damaged", verdict["difference"])
            self.assertEqual(verdict["fix"], f"remove {path} and send it again")
            self.assertRegex(self.home.tare("env", "verify").stdout.decode(),
                             rf"(?m)^uploads: DAMAGED: upload {digest}: .*; remove {path} and")
        (self.folder / "needed").write_bytes(b"needed")
        run = self.home.must("run", "--env", "box", "--detach", "--input", self.folder / "needed",
                             "--", "/bin/sleep", "1000").stdout.decode().strip()
        needed = self.home.inspect(run)["request"]["inputs"][0]["digest"]
        with moved_away(self.home, self.home.path / f"blobs/{needed[7:9]}/{needed[7:]}"):
            verdict = faults_of(self, self.home)[(f"run {run}",)]
            self.assertEqual((verdict["kind"], verdict["fix"]), ("upload", "send it again"))
            self.assertIn(f"uploads: DAMAGED: upload {needed} (for run {run}): it is not there; ",
                          self.home.tare("env", "verify").stdout.decode())
        self.home.must("kill", run)
        self.home.wait_ended(run)


class Missing(EnvironmentsTest):
    ENVIRONMENTS = {"box": [BOX]}

    def test_what_is_launched_without_a_layer_names_it(self):
        digest, = self.digests["box"]
        why = (f"layer {digest} is not in the store (store/layers/{digest[7:]}): put it back from "
               "a backup; `tare env verify` says what needs it")
        with moved_away(self.home, self.layer(digest)):
            refused = self.home.tare("run", "--env", "box", "--", "/bin/true")
            self.assert_status(refused, 125)
            self.assertIn(why, refused.stderr.decode())
            refused = self.home.tare("session", "new", "--env", "box")
            self.assert_status(refused, 125)
            self.assertIn(why, refused.stderr.decode())
            session = refused.stderr.decode().split()[1].rstrip(":")
            refused = self.home.tare("session", "exec", session, "--", "/bin/true")
            self.assert_status(refused, 73)
            self.assertIn(f"has ended (failed: {why}", refused.stderr.decode())
        self.home.must("run", "--env", "box", "--", "/bin/true")


class Names(EnvironmentsTest):
    ENVIRONMENTS = {"box": [BOX], "other": [BASE]}

    def names(self):
        return [one["name"] for one in self.json("list")["environments"]]

    def rm(self, name):
        return self.home.tare("env", "rm", name)

    def test_a_tag_is_another_name_for_the_same_and_rm_takes_a_name_away(self):
        digest = self.digests["box"][-1]
        tagged = self.home.must("env", "tag", "box", "box-2")
        self.assertEqual(tagged.stdout.decode(), f"box-2 is {digest}\n")
        self.home.must("env", "tag", digest, "box-2")  # again, by the digest: fine
        one, two = self.json("show", "box"), self.json("show", "box-2")
        for key in ("digest", "layers", "source", "size_bytes", "files", "state"):
            self.assertEqual(one[key], two[key], key)
        self.assert_reason(self.home.tare("env", "tag", "other", "box-2"), 73,
                           '"box-2" is another environment')
        for name, status in (("host", 64), ("debian:bookworm", 64), ("A b", 64), ("../x", 64)):
            self.assert_status(self.home.tare("env", "tag", "box", name), status)
        self.assert_status(self.home.tare("env", "tag", "none", "x"), 66)
        self.assert_status(self.home.tare("env", "tag", "host", "x"), 64)
        self.assertEqual(self.home.must("env", "rm", "box-2").stdout, b"box-2\n")
        self.assertEqual(self.names(), ["box", "host", "other"])
        self.assert_reason(self.rm("box-2"), 66, '.*"box-2" is not there')
        self.assert_status(self.rm("host"), 64)
        self.assert_reason(self.rm(digest), 66, 'there is no environment named .* "box" has that')

    def test_the_last_name_of_what_a_run_or_an_agent_needs_stays(self):
        run = self.home.must("run", "--env", "box", "--detach", "--", "/bin/sleep",
                             "1000").stdout.decode().strip()
        harness.wait_until(lambda: self.home.inspect(run)["state"] != "starting", "the start")
        self.assertEqual(self.home.inspect(run)["state"], "running", self.home.inspect(run))
        self.assert_reason(self.rm("box"), 73, f'environment "box" is in use by {run}')
        self.home.must("env", "tag", "box", "second")
        self.home.must("env", "rm", "box")  # not the last
        self.assert_reason(self.rm("second"), 73, "environment .* is in use by run_")
        self.home.must("kill", run)
        self.home.wait_ended(run)
        (self.folder / "agent.toml").write_text(
            'name = "boxer"\nenvironment = "second"\nentry = ["/bin/true"]\n')
        self.home.must("agent", "apply", self.folder)
        self.assert_reason(self.rm("second"), 73,
                           'environment "second" is needed by version 1 of agent boxer')
        self.home.must("env", "tag", "second", "box")
        self.home.must("env", "rm", "second")
        self.home.must("run", "boxer")  # by digest: whatever its name is
        self.assertEqual(self.names(), ["box", "host", "other"])


def dpkg_status(**packages):
    return "".join(f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\n"
                   f"Version: {version}\n\n" for name, version in packages.items()).encode()


METADATA = "usr/lib/python3/dist-packages/{}.dist-info/METADATA"


class Diff(EnvironmentsTest):
    ENVIRONMENTS = {
        "old": [{**BASE, "var/lib/dpkg/status": dpkg_status(hello="2.10-2", gone="1", same="1"),
                 METADATA.format("Some_Thing-1.0"): b"x", "usr/share/doc/a": b"12345"}],
        "new": [{**BASE, "var/lib/dpkg/status": dpkg_status(hello="2.10-2", gone="1", same="1")},
                {"var/lib/dpkg/status": dpkg_status(hello="2.10-3", same="1", more="1:2~b"),
                 METADATA.format("some_thing-1.1"): b"xy", "usr/bin/new tool": b"n" * 2048,
                 "usr/bin/tool": (0o755, b"changed")}],
        "bad": [{"var/lib/dpkg/status": b"not what it should be\n"}],
    }

    def test_it_tells_packages_and_every_entry_that_differs(self):
        diff = self.json("diff", "old", "new")
        self.assertEqual(diff["debian"], [
            {"name": "gone", "before": "1"}, {"name": "hello", "before": "2.10-2",
                                              "after": "2.10-3"},
            {"name": "more", "after": "1:2~b"}])
        self.assertEqual(diff["python"], [{"name": "some-thing", "before": "1.0",
                                           "after": "1.1"}])
        changes = {one["path"]: one for one in diff["changes"]}
        self.assertEqual(changes["usr/bin/tool"],
                         {"change": "changed", "path": "usr/bin/tool", "aspects": ["content"],
                          "before": {"type": "file", "size": 10_000},
                          "after": {"type": "file", "size": 7}})
        self.assertEqual(changes["usr/bin/new\\x20tool"]["after"], {"type": "file", "size": 2048})
        kinds = {path: one["change"] for path, one in changes.items()}
        python = "usr/lib/python3/dist-packages/"
        self.assertEqual(kinds, {
            "usr/bin/new\\x20tool": "added", "usr/bin/tool": "changed",
            f"{python}Some_Thing-1.0.dist-info": "removed",
            f"{python}Some_Thing-1.0.dist-info/METADATA": "removed",
            f"{python}some_thing-1.1.dist-info": "added",
            f"{python}some_thing-1.1.dist-info/METADATA": "added",
            "usr/share": "removed", "usr/share/doc": "removed", "usr/share/doc/a": "removed",
            "var/lib/dpkg/status": "changed"})
        self.assertEqual((diff["added"], diff["removed"], diff["changed"]), (3, 5, 2))

    def test_for_people_it_is_a_table(self):
        text = self.home.must("env", "diff", "old", "new").stdout.decode()
        for line in (r"Debian packages", r"  - gone +1", r"  ~ hello +2\.10-2 -> 2\.10-3",
                     r"  \+ more +1:2~b", r"Python packages", r"  ~ some-thing +1\.0 -> 1\.1",
                     r"Files: 3 added, 5 removed, 2 changed; .*",
                     r"  \+ usr/bin/new\\x20tool +2K",
                     r"  ~ usr/bin/tool +9\.7K -> 7B +content",
                     r"  - usr/share +folder"):
            self.assertRegex(text, rf"(?m)^{line}$")
        back = self.home.must("env", "diff", "new", "old").stdout.decode()
        self.assertRegex(back, r"(?m)^  ~ hello +2\.10-3 -> 2\.10-2$")

    def test_the_same_has_no_difference(self):
        self.home.must("env", "tag", "old", "old-too")
        self.assertEqual(self.home.must("env", "diff", "old", "old-too").stdout,
                         b"no difference\n")
        self.home.must("env", "rm", "old-too")

    def test_a_list_of_packages_that_is_none_is_told(self):
        result = self.home.must("env", "diff", "old", "bad")
        self.assertRegex(result.stderr.decode(), "Debian's packages are not told: "
                                                 "var/lib/dpkg/status line 1")
        self.assertNotIn("debian", self.json("diff", "old", "bad"))
        self.assert_status(self.home.tare("env", "diff", "old", "host"), 64)
        self.assert_status(self.home.tare("env", "diff", "old", "none"), 66)


class Bounds(EnvironmentsTest):
    ENVIRONMENTS = {"small": [BASE], "vast": [{"a": b"1"}]}

    def test_environments_of_too_many_files_are_not_compared(self):
        """64 MiB of manifests: how long it is decides, before any of it is read."""
        os.truncate(self.layer(self.digests["vast"][0]) / "manifest", (64 << 20) + 1)
        refused = self.home.tare("env", "diff", "small", "vast")
        self.assert_reason(refused, 75, '"vast": the environment has too many files')


class Tree(EnvironmentsTest):
    ENVIRONMENTS = {"base": [BASE], "leaf": [BASE, {"b": b"2"}, {"c": b"3"}],
                    "middle": [BASE, {"b": b"2"}], "other": [{"x": b"1"}]}

    def test_it_shows_which_stands_on_which(self):
        text = self.home.must("env", "tree").stdout.decode()
        names = [line.split("  sha256:")[0] for line in text.splitlines()]
        self.assertEqual(names, ["base", "`- middle", "   `- leaf", "other"])
        base, other = self.json("tree")["environments"]
        self.assertEqual((base["names"], other["names"]), (["base"], ["other"]))
        self.assertEqual(base["children"][0]["children"][0]["names"], ["leaf"])


if __name__ == "__main__":
    unittest.main()
