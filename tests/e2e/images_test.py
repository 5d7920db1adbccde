"""Environments from images and as images: what is kept, that it comes back the same, and that
skopeo, umoci and runc agree."""

import json
import random
import shutil
import subprocess
import tarfile
import unittest
from pathlib import Path

import harness
import images
from images import entry, folder, hardlink, symlink
from layers import programs

SHELL = programs("sh", "id", "env", "cat", "ls", "true")
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
        self.home.must("env", "export", name, path, "--format", format, *options)
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
        self.assertEqual(said, b"1000\n/srv\nhello /bin\n", "another uid than 0 is `agent`")
        said = self.home.must("run", "--env", "box", "--env-var", "GREETING=ho", "--user", "root",
                              "--", "/bin/sh", "-c", "id -u; echo $GREETING")
        self.assertEqual(said.stdout, b"0\nho\n", "what a run says counts")

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
        self.assertEqual(self.home.must("run", "--env", "more").stdout, b"1000\n/srv\nhello /bin\n")
        (self.folder / "agent.toml").write_text(
            'name = "who"\nenvironment = "base"\n'
            'entry = ["/bin/sh", "-c", "pwd; echo $GREETING"]\n')
        self.home.must("agent", "apply", self.folder)
        self.assertEqual(self.home.must("run", "who").stdout, b"/srv\nhello\n")

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


class RoundTrip(ImagesTest):
    NAMES = ["a", "b", "a b", "a-b", "ä", "x" * 255, "new\nline", "\\x41", "=", "..a", ".wh", "-",
             "\udcff\udcfe", "%41", "a=b", "y" * 100, "z" * 101]

    def forget(self, below, path):
        for one in [one for one in below if one == path or one.startswith(path + "/")]:
            del below[one]

    def random_layer(self, chance, below):
        """Entries of one layer; `below` is {path: is it a folder} of what is there, kept true."""
        entries, folders, parents = [folder(".", mode=0o755)], {""}, set()
        for path in chance.sample(sorted(below), min(len(below), chance.randrange(4))):
            parent, _, name = path.rpartition("/")
            if path in below and len(name.encode(errors="surrogateescape")) < 250:
                entries.append(entry((parent + "/" if parent else "") + ".wh." + name))
                self.forget(below, path)
                parents.add(parent)
        files, made = [], set()
        for _ in range(chance.randrange(1, 25)):
            parent = chance.choice(sorted(folders))
            path = (parent + "/" if parent else "") + chance.choice(self.NAMES)
            above = any(one == path or one.startswith(path + "/") for one in parents)
            if path in made or above or path.count("/") > 6:
                continue
            made.add(path)
            owner = {"uid": chance.randrange(65_536), "gid": chance.randrange(65_536),
                     "mtime": chance.randrange(2**32)}
            mode = chance.randrange(0o10000)
            xattrs = {f"user.{chance.choice(['a', 'b c', 'ü'])}": chance.choice(["", "v", "w" * 99])
                      for _ in range(chance.randrange(2))}
            kind = chance.randrange(5)
            if kind < 2:
                entries.append(folder(path, mode=mode, xattrs=xattrs, **owner))
                folders.add(path)
                below[path] = True
                continue
            self.forget(below, path)
            below[path] = False
            if kind == 2:
                target = chance.choice(["a", "/etc/passwd", "../" * 9 + "x", "\udcff", "t" * 300])
                entries.append(symlink(path, target, **owner))
            elif kind == 3 and files:
                entries.append(hardlink(path, chance.choice(files)))
            else:
                content = chance.randbytes(chance.choice([0, 1, 511, 512, 513, 70_000]))
                entries.append(entry(path, content, mode=mode, xattrs=xattrs, **owner))
                files.append(path)
        return entries

    def test_random_trees_come_back_with_the_same_digest(self):
        for seed in range(12):
            chance, below = random.Random(seed), {}
            layers = [images.tar_of(*self.random_layer(chance, below))
                      for _ in range(chance.randrange(1, 5))]
            config = {"Cmd": ["ü", "\n"], "Env": ["A=" + "x" * seed]} if seed % 2 else {}
            with self.subTest(seed=seed):
                made = self.imported(images.oci_archive(layers, config), f"r{seed}")
                for format in ("oci-archive", "docker-archive", "oci"):
                    path = self.exported(f"r{seed}", format)
                    again = self.imported(path, f"r{seed}-{format}")
                    self.assertEqual(again["digest"], made["digest"])
                    self.assertEqual(again["layers"], made["layers"])
                tar = self.exported(f"r{seed}", "tar")
                self.imported(tar, f"f{seed}", "--format", "tar")
                same = self.home.must("env", "diff", f"r{seed}", f"f{seed}", "--json").stdout
                self.assertEqual(json.loads(same)["changes"], [])
                if seed < 3:
                    self.through_skopeo(f"r{seed}", made["digest"])

    def through_skopeo(self, name, digest):
        source = f"oci-archive:{self.folder}/{name}-oci-archive"
        for kind in ("docker-archive", "dir", "oci"):
            there, back = self.folder / f"{name}-{kind}-x", self.folder / f"{name}-{kind}-y"
            tool("skopeo", "copy", source, f"{kind}:{there}")
            tool("skopeo", "copy", f"{kind}:{there}", f"oci-archive:{back}")
            self.assertEqual(self.imported(back, f"{name}-{kind}-z")["digest"], digest)

    def test_the_same_environment_gives_the_same_bytes(self):
        self.imported(images.oci_archive([images.tree_tar({"a/b": b"c"})]), "one")
        self.home.must("env", "tag", "one", "two")
        self.addCleanup(self.home.tare, "env", "rm", "two")
        for format in ("oci-archive", "docker-archive", "tar"):
            self.assertEqual(self.exported("one", format).read_bytes(),
                             self.exported("two", format).read_bytes())

    def test_what_no_image_can_hold_is_refused_and_leaves_no_file(self):
        layer = images.tar_of(entry("n" * 253, b""))
        hiding = images.tar_of(entry("x", b""))
        self.imported(images.oci_archive([layer, hiding]), "long")
        self.exported("long")
        result = self.home.tare("env", "export", "missing", self.folder / "none")
        self.assertNotEqual(result.returncode, 0)
        self.assertFalse((self.folder / "none").exists())
        self.assertEqual([one for one in self.folder.iterdir() if "none" in one.name], [])


@unittest.skipUnless(shutil.which("skopeo"), "skopeo is not installed")
class Skopeo(ImagesTest):
    def test_it_reads_what_is_exported(self):
        config = {"Entrypoint": ["/e"], "Env": ["A=b"], "User": "7", "WorkingDir": "/w"}
        self.imported(images.oci_archive([images.tree_tar({"f": b"f"})], config), "one")
        for transport, format in (("oci-archive", "oci-archive"), ("oci", "oci"),
                                  ("docker-archive", "docker-archive")):
            path = self.exported("one", format)
            inspected = json.loads(tool("skopeo", "inspect", "--config", f"{transport}:{path}"))
            self.assertEqual(inspected["config"], config)
            self.assertEqual(inspected["architecture"], images.MACHINE)
        path = self.exported("one", "docker-archive", "--ref", "me/one:2")
        self.assertEqual(json.loads(tool("skopeo", "list-tags", f"docker-archive:{path}"))["Tags"],
                         ["me/one:2"])


@unittest.skipUnless(shutil.which("umoci") and shutil.which("runc"), "umoci or runc is missing")
class Runc(ImagesTest):
    def test_an_exported_environment_runs_under_runc(self):
        tree = images.tree_tar({**SHELL, "etc/passwd": USERS, "srv/here": b"1", "srv/gone": b""})
        upper = images.tar_of(entry("srv/.wh.gone"), entry("srv/there", b"2"))
        config = {"Cmd": ["/bin/sh", "-c", "echo $GREETING; pwd; ls; cat here there"],
                  "Env": ["GREETING=hello", "PATH=/bin"], "WorkingDir": "/srv"}
        self.imported(images.oci_archive([tree, upper], config), "box")
        layout, bundle = self.exported("box", "oci"), self.folder / "bundle"
        tool("umoci", "unpack", "--image", f"{layout}:latest", bundle)
        spec = json.loads((bundle / "config.json").read_text())
        spec["process"]["terminal"] = False
        spec["linux"].pop("resources", None)
        spec["linux"]["cgroupsPath"] = f"/{self.home.tag}-runc"
        (bundle / "config.json").write_text(json.dumps(spec))
        root = self.folder / "runc"
        said = tool("runc", "--root", root, "run", "--bundle", bundle, self.home.tag)
        self.assertEqual(said, "hello\n/srv\nhere\nthere\n12")


if __name__ == "__main__":
    unittest.main()
