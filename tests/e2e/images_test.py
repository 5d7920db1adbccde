"""Environments from images: what is kept, and how it is used."""

import json
import os
import shutil
import subprocess
import tarfile
import unittest

import harness
import images
from images import entry, folder, symlink
from layers import programs

SHELL = programs("sh", "id", "env", "cat", "ls", "true")
SHELL_PROGRAMS = [(path, one) for path, one in SHELL.items() if not isinstance(one, bytes)]
USERS = b"root:x:0:0::/:/bin/sh\nagent:x:1000:1000::/:/bin/sh\nnode:x:1234:55::/:/bin/sh\n"


def tool(*words):
    result = subprocess.run([*map(str, words)], capture_output=True, timeout=harness.TIMEOUT_S)
    if result.returncode != 0:
        raise AssertionError(f"{words}: {result.returncode}: {result.stderr.decode()}")
    return result.stdout.decode()


class ImagesTest(harness.TareTest):
    """Each test has a folder of its own, and leaves nothing staged."""

    def setUp(self):
        super().setUp()
        self.folder = self.home.path / "work"
        self.folder.mkdir(mode=0o755)

    def tearDown(self):
        shutil.rmtree(self.folder)
        staging = self.home.path / "store/staging"  # a chain of layers may be made flat just now
        harness.wait_until(lambda: not list(staging.iterdir()), "an empty staging folder")
        super().tearDown()

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        return path

    def imported(self, archive, name, *options):
        """The environment made of these bytes, or of this file or folder."""
        if isinstance(archive, bytes):
            archive = self.file(f"{name}.tar", archive)
        made = self.home.must("env", "import", archive, "--name", name, *options, "--json")
        self.addCleanup(self.home.tare, "env", "rm", name)
        return json.loads(made.stdout)

    def refused(self, archive, *words, options=()):
        result = self.home.tare("env", "import", self.file("bad.tar", archive), "--name", "bad",
                                *options)
        if result.returncode == 0:
            self.home.must("env", "rm", "bad")
            self.home.must("env", "gc")
            self.fail("it was taken")
        for word in words:
            self.assertIn(word, result.stderr.decode())

    def exported(self, name, format="oci-archive", *options):
        path = self.folder / f"{name}-{format}"
        self.home.must("env", "export", name, path, "--format", format, "--force", *options)
        return path

    def seen(self, name):
        """What the environment shows: {path: (type, mode, uid, content or target)}."""
        with tarfile.open(self.exported(name, "tar")) as tar:
            return {one.name: (one.type, one.mode, one.uid,
                               tar.extractfile(one).read() if one.isreg() else one.linkname)
                    for one in tar}


class Importing(ImagesTest):
    LOWER = images.tar_of(
        folder("keep", mode=0o711, uid=7), entry("keep/a", b"a"), entry("keep/b", b"b"),
        folder("wiped"), entry("wiped/1", b"1"), folder("wiped/sub"), entry("wiped/sub/x", b"x"),
        folder("again"), entry("again/old", b"old"), entry("file", b"file"), entry("gone", b""))
    UPPER = images.tar_of(
        entry("keep/.wh.a"), entry("keep/c", b"c"), entry("wiped/.wh..wh..opq"),
        folder("wiped/sub"), entry("wiped/sub/y", b"y"), entry(".wh.again"), folder("again"),
        entry("again/new", b"new"), entry(".wh.gone"), entry(".wh.never"), folder("file"))

    def test_layers_with_whiteouts_in_every_packing_show_the_same(self):
        digests = set()
        for packing in images.PACKERS:
            archive = images.oci_archive([self.LOWER, self.UPPER], packing=packing)
            digests.add(self.imported(archive, "p" + packing[1:])["digest"])
        digests.add(self.imported(images.docker_archive([self.LOWER, self.UPPER]), "d")["digest"])
        self.assertEqual(len(digests), 1)
        seen = self.seen("d")
        self.assertEqual(sorted(seen), [
            ".", "again", "again/new", "file", "keep", "keep/b", "keep/c", "wiped", "wiped/sub",
            "wiped/sub/y"])
        self.assertEqual(seen["keep"][1:3], (0o711, 7), "a folder that is not listed stays")
        self.assertEqual(seen["file"][0], tarfile.DIRTYPE)
        self.assertIn(b"d: intact", self.home.must("env", "verify", "d").stdout)

    def test_compressed_archives_and_stdin_are_taken(self):
        archive = images.oci_archive([self.LOWER])
        one = self.imported(archive, "plain")
        gzipped = images.PACKERS["+gzip"](archive)
        for name, packed in (("gz", gzipped), ("zst", images.zstd(archive))):
            self.assertEqual(self.imported(packed, name)["digest"], one["digest"])
        self.home.must("env", "import", "-", "--name", "piped", data=archive)
        self.assertEqual(self.home.request("GET", "/v1/environments/piped").json["digest"],
                         one["digest"])

    def test_a_layer_may_be_packed_in_several_pieces(self):
        layer = images.tar_of(entry("f", os.urandom(5000)), entry("g", b"g"))
        one = self.imported(images.oci_archive([layer]), "whole")
        for packing in ("+gzip", "+zstd"):
            pieces = [images.PACKERS[packing](layer[at:at + 2000])
                      for at in range(0, len(layer), 2000)]
            def change(manifest, _):
                manifest["layers"] = [layout.blob(b"".join(pieces), images.LAYER + packing)]
            layout = images.Layout()
            layout.manifests.append(layout.image([layer], change=change))
            self.assertEqual(self.imported(layout.archive(), "p" + packing[1:])["digest"],
                             one["digest"])

    def test_a_plain_tar_is_a_tree_whatever_is_in_it(self):
        tree = images.tar_of(entry("hello", b"hello"), entry("manifest.json", b"not ours"))
        self.refused(tree, "manifest.json")
        self.assertEqual(self.imported(tree, "tree", "--format", "tar")["source"], "import:tar")
        self.refused(images.tar_of(entry("hello", b"")), "it is no image",
                     options=("--format", "image"))

    def test_an_empty_layer_is_left_out_and_a_repeated_one_counts_once(self):
        one = self.imported(images.oci_archive(
            [self.LOWER, images.tar_of(), self.UPPER, self.LOWER, images.tar_of()]), "twice")
        other = self.imported(images.oci_archive([self.UPPER, self.LOWER]), "once")
        self.assertEqual(len(one["layers"]), 2)
        self.assertEqual(sorted(self.seen("twice")), sorted(self.seen("once")))
        self.assertEqual(one["layers"][1], other["layers"][1])

    def test_an_image_of_very_many_layers_runs(self):
        layers = [images.tree_tar(SHELL)]
        layers += [images.tar_of(entry(f"f{i}", b"%d" % i), entry("last", b"%d" % i))
                   for i in range(127)]
        self.imported(images.oci_archive(layers), "many")

        def said():
            run = self.home.tare("run", "--env", "many", "--", "/bin/cat", "/f3", "/f100", "/last")
            return run.stdout if run.returncode == 0 else None

        self.assertEqual(harness.wait_until(said, "a flat chain"), b"3100126")
        again = self.imported(self.exported("many"), "again")
        self.assertEqual(again["digest"],
                         self.home.request("GET", "/v1/environments/many").json["digest"])

    def test_a_name_that_is_taken_is_refused_first(self):
        self.imported(images.oci_archive([self.LOWER]), "mine")
        result = self.home.tare("env", "import", "/dev/zero", "--name", "mine")
        self.assert_status(result, 73)
        self.assertIn(b"there already", result.stderr)

    def test_of_an_image_for_several_machines_this_ones_is_taken(self):
        layout = images.Layout()
        mine = layout.image([self.LOWER], platform={"os": "linux", "architecture": images.MACHINE})
        other = layout.image([self.UPPER], architecture="riscv64",
                             platform={"os": "linux", "architecture": "riscv64"})
        proof = layout.image([self.LOWER], {"Cmd": ["x"]},
                             platform={"os": "unknown", "architecture": "unknown"})
        inner = layout.blob(layout.index([mine, other, proof]), images.INDEX)
        layout.manifests = [inner]
        archive = layout.archive()
        self.assertEqual(self.imported(archive, "own")["digest"],
                         self.imported(images.oci_archive([self.LOWER]), "alone")["digest"])
        self.imported(archive, "foreign", "--platform", "linux/riscv64")
        self.assertIn("keep/c", self.seen("foreign"))
        self.refused(archive, "none for linux/s390x", f"linux/{images.MACHINE}", "linux/riscv64",
                     options=("--platform", "linux/s390x"))

    def test_of_several_images_one_is_chosen_by_name(self):
        layout = images.Layout()
        for name, layer in (("a", self.LOWER), ("b", self.UPPER)):
            layout.manifests.append(layout.image(
                [layer], annotations={"org.opencontainers.image.ref.name": name}))
        archive = layout.archive()
        self.refused(archive, "several", '"a"', '"b"')
        self.imported(archive, "b", "--ref", "b")
        self.assertIn("keep/c", self.seen("b"))
        # One that is alone has its name, too.
        saved = images.docker_archive([self.UPPER], tags=["mine:1", "mine:2"])
        self.imported(saved, "second", "--ref", "mine:2")
        for one in (saved, images.docker_archive([self.UPPER], tags=["mine:1"])):
            self.refused(one, 'named "nosuch"', '"mine:1"', options=("--ref", "nosuch"))
        self.refused(b"root:x:0:0\n" * 100, "is no archive", "docker archive")


class Programs(ImagesTest):
    """What an image says of its programs."""

    CONFIG = {"Entrypoint": ["/bin/sh", "-c"], "Cmd": ["id -u; pwd; echo $GREETING $PATH"],
              "Env": ["GREETING=hello", "PATH=/bin"], "User": "node", "WorkingDir": "/srv"}

    def box(self, name, config, files=None):
        tree = images.tree_tar({**SHELL, "etc/passwd": USERS, "srv/here": b"", **(files or {})})
        return self.imported(images.oci_archive([tree], config, packing="+gzip"), name)

    def test_its_program_runs_with_its_variables_in_its_folder(self):
        made = self.box("box", self.CONFIG)
        self.assertEqual(made["config"], {
            "entrypoint": ["/bin/sh", "-c"], "cmd": ["id -u; pwd; echo $GREETING $PATH"],
            "env": ["GREETING=hello", "PATH=/bin"], "user": "node", "uid": 1234, "gid": 55,
            "workdir": "/srv"})
        said = self.home.must("run", "--env", "box").stdout
        self.assertEqual(said, b"1234\n/srv\nhello /bin\n")
        said = self.home.must("run", "--env", "box", "--env-var", "GREETING=ho", "--user", "root",
                              "--", "/bin/sh", "-c", "id -u; echo $GREETING")
        self.assertEqual(said.stdout, b"0\nho\n", "what a run says counts")

    def test_its_user_is_who_it_runs_as(self):
        """With what that user alone may read, and the folders of the sandbox's user."""
        say = ("id -u; id -g; id -G; cat kept; echo $USER; echo x > /home/agent/x; "
               "echo y > /output/y; echo z > /tmp/z; ls /home/agent /output; echo w > here")
        tree = images.tar_of(
            *(entry(path, content, mode=mode) for path, (mode, content) in SHELL_PROGRAMS),
            folder("etc"), entry("etc/passwd", USERS), folder("srv", mode=0o700, uid=1234, gid=55),
            entry("srv/kept", b"kept\n", mode=0o600, uid=1234, gid=55))
        config = {**self.CONFIG, "Cmd": [say]}
        self.imported(images.oci_archive([tree], config), "owned")
        said = self.home.tare("run", "--env", "owned")
        self.assertEqual(said.stdout, b"1234\n55\n55\nkept\n\n/home/agent:\nx\n\n/output:\ny\n")
        self.assertIn(b"here", said.stderr, "its own folder is not one that it may write to")
        session = self.home.must("session", "new", "--env", "owned").stdout.decode().split()[0]
        said = self.home.must("session", "exec", session, "--", "/bin/sh", "-c",
                              "id -u; cat kept; echo x > /home/agent/x").stdout
        self.assertEqual(said, b"1234\nkept\n")
        self.home.must("session", "hibernate", session)
        said = self.home.must("session", "exec", session, "--", "/bin/sh", "-c",
                              "id -u; cat /home/agent/x; echo y > /home/agent/x").stdout
        self.assertEqual(said, b"1234\nx\n", "and after it has slept")
        self.home.must("session", "kill", session)
        said = self.home.tare("run", "--env", "owned", "--user", "agent", "--", "/bin/id", "-u")
        self.assertEqual(said.returncode, 125, "agent may not enter /srv")

    def test_a_user_that_is_reserved_is_kept_and_not_run(self):
        for user in ("65533", "65534:65534", "5:65535"):
            with self.subTest(user=user):
                self.box("nobody", {"User": user, "Cmd": ["/bin/id", "-u"]})
                said = self.home.tare("run", "--env", "nobody")
                self.assert_status(said, 64)
                self.assertIn(b"reserved; say agent or root", said.stderr)
                said = self.home.must("run", "--env", "nobody", "--user", "agent")
                self.assertEqual(said.stdout, b"1000\n")
                self.home.must("env", "rm", "nobody")

    def test_root_is_root_and_no_user_is_agent(self):
        self.box("rooted", {"User": "0:0", "Cmd": ["/bin/id", "-u"]})
        self.assertEqual(self.home.must("run", "--env", "rooted").stdout, b"0\n")
        self.box("unsaid", {"Cmd": ["/bin/id", "-u"]})
        self.assertEqual(self.home.must("run", "--env", "unsaid").stdout, b"1000\n")

    def test_sessions_agents_and_what_is_frozen_above_keep_it(self):
        self.box("base", self.CONFIG)
        session = self.home.must("session", "new", "--env", "base").stdout.decode().split()[0]
        said = self.home.must("session", "exec", session, "--", "/bin/sh", "-c",
                              "pwd; echo $GREETING; echo x > /home/agent/x")
        self.assertEqual(said.stdout, b"/srv\nhello\n")
        self.home.must("env", "freeze", session, "--name", "more")
        self.home.must("session", "kill", session)
        self.assertEqual(self.home.must("run", "--env", "more").stdout, b"1234\n/srv\nhello /bin\n")
        (self.folder / "agent.toml").write_text(
            'name = "who"\nenvironment = "base"\n'
            'entry = ["/bin/sh", "-c", "pwd; echo $GREETING"]\n')
        self.home.must("agent", "apply", self.folder)
        self.assertEqual(self.home.must("run", "who").stdout, b"/srv\nhello\n")

    def test_a_folder_that_it_lacks_is_made_as_runc_makes_it(self):
        made = self.box("lacking", {"Cmd": ["/bin/sh", "-c", "pwd; ls -n /srv/made"],
                                    "WorkingDir": "/srv/made/here/"})
        self.assertEqual(len(made["layers"]), 2)
        said = self.home.must("run", "--env", "lacking").stdout
        self.assertRegex(said, rb"^/srv/made/here\ntotal \d+\ndrwxr-xr-x +\S+ +0 +0 .* here\n$")
        again = self.imported(self.exported("lacking"), "again")
        self.assertEqual(again["digest"], made["digest"])
        for there in ("/", "/srv", "/srv/here", "/none/../srv", ""):
            self.assertEqual(len(self.box("has", {"WorkingDir": there})["layers"]), 1)
            self.home.must("env", "rm", "has")
        # A way through a link is the image's own affair, and stays a link.
        tree = images.tar_of(folder("d"), symlink("l", "d"))
        self.assertEqual(len(self.imported(images.oci_archive([tree], {"WorkingDir": "/l/x"}),
                                           "linked")["layers"]), 1)

    def test_an_image_without_a_program_wants_one(self):
        self.box("quiet", {})
        result = self.home.tare("run", "--env", "quiet")
        self.assert_status(result, 64)
        self.assertIn(b"names no program of its own", result.stderr)
        self.assertEqual(self.home.must("run", "--env", "quiet", "--", "/bin/true").stdout, b"")

    def test_the_digest_covers_it(self):
        tree = images.tree_tar({"f": b"f"})
        plain = self.imported(images.oci_archive([tree]), "plain")
        self.assertEqual([plain["digest"]], plain["layers"], "without it all is as it was")
        said = [self.imported(images.oci_archive([tree], config), f"c{i}")
                for i, config in enumerate(({"Cmd": ["a", "b"]}, {"Cmd": ["a b"]},
                                            {"Entrypoint": ["a"], "Cmd": ["b"]},
                                            {"Env": ["A=b"]}, {"WorkingDir": "/"}))]
        self.assertEqual({one["layers"][0] for one in said}, {plain["digest"]})
        self.assertEqual(len({one["digest"] for one in said}), 5)
        told = self.home.must("env", "diff", "c0", "c2").stdout.decode()
        self.assertEqual([line.split() for line in told.splitlines()],
                         [["Configuration"], ["+", "entrypoint", "a"], "~ cmd a b -> b".split()])
        diff = json.loads(self.home.must("env", "diff", "c3", "plain", "--json").stdout)
        self.assertEqual(diff["config"], [{"name": "env", "before": ["A=b"]}])
        self.assertEqual(diff["changes"], [])

    def test_what_cannot_be_kept_is_refused(self):
        tree = images.tree_tar({"f": b"f"})
        for config, words in (({"User": "nobody"}, "no such user"),
                              ({"User": "0:staff"}, "no such group"),
                              ({"User": "70000"}, "not within 0..65535"),
                              ({"Env": ["A"]}, "Env"), ({"Env": ["TARE_RUN=x"]}, "reserved"),
                              ({"WorkingDir": "srv"}, "absolute"), ({"Cmd": [1]}, "Cmd"),
                              ({"Cmd": ["a\0b"]}, "Cmd")):
            with self.subTest(config=config):
                self.refused(images.oci_archive([tree], config), words)


if __name__ == "__main__":
    unittest.main()
