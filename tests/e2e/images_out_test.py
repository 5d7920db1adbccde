"""Environments as images and back: the same to the last byte, and skopeo, umoci and runc agree."""

import json
import os
import random
import shutil
import stat
import subprocess
import unittest

import images
from images import entry, folder, hardlink, symlink
from images_test import SHELL, USERS, ImagesTest, tool
from layers import programs


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
            elif chance.randrange(3) == 0 and path.isascii():
                entries.append(self.random_holes(chance, path, mode=mode, **owner))
                files.append(path)
            else:
                content = chance.randbytes(chance.choice([0, 1, 511, 512, 513, 70_000]))
                entries.append(entry(path, content, mode=mode, xattrs=xattrs, **owner))
                files.append(path)
        return entries

    @staticmethod
    def random_holes(chance, path, **more):
        """A file with holes, as such or spelt out."""
        size = chance.choice([1, 512, 4096, 70_000, 3 << 20])
        pieces = {}
        for offset in sorted(chance.sample(range(8), chance.randrange(4))):
            at = size * offset // 8
            pieces[at] = chance.randbytes(chance.randrange(1, 1 + max(1, size // 9)))[:size - at]
        if "\n" not in path and chance.randrange(2):
            return images.sparse(path, size, pieces, **more)
        content = bytearray(size)
        for at, piece in pieces.items():
            content[at:at + len(piece)] = piece
        return entry(path, bytes(content), **more)

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

    def test_a_sparse_file_is_sparse_again_after_an_export_and_every_tool_reads_it(self):
        size = 64 << 20
        tree = images.tree_tar(programs("sh", "truncate", "dd"))
        self.imported(images.oci_archive([tree]), "base")
        self.changed("base", "holes", f"truncate -s {size} /srv-s; printf y | "
                     f"dd of=/srv-s bs=1 seek={size // 2} conv=notrunc 2>/dev/null")
        before = json.loads(self.home.must("env", "show", "holes", "--json").stdout)
        for format in ("oci-archive", "docker-archive", "tar"):
            path = self.exported("holes", format)
            self.home.must("env", "rm", "holes")
            self.home.must("env", "gc")  # nothing of it is there to be used again
            after = self.imported(path, "holes")
            if format != "tar":
                self.assertEqual(after["layers"], before["layers"])
            found = list(self.home.path.glob("store/layers/*/root/srv-s"))
            self.assertEqual(len(found), 1)
            was = found[0].stat()
            self.assertEqual(was.st_size, size)
            self.assertLessEqual(was.st_blocks * 512, 16 << 10)
            with found[0].open("rb") as file:
                file.seek(size // 2 - 1)
                self.assertEqual(file.read(3), b"\0y\0")
            if format == "oci-archive":
                archive = self.folder / "layout"
                tool("skopeo", "copy", f"oci-archive:{path}", f"oci:{archive}:x")
                tool("umoci", "unpack", "--image", f"{archive}:x", self.folder / "bundle")
                seen = (self.folder / "bundle/rootfs/srv-s").read_bytes()
                self.assertEqual((len(seen), seen.strip(b"\0")), (size, b"y"))

    def test_what_is_exported_and_removed_is_said_in_json(self):
        self.imported(images.oci_archive([images.tree_tar({"a/b": b"c"})]), "one")
        for format in ("oci-archive", "oci", "tar"):
            there = self.folder / f"json-{format}"
            said = json.loads(self.home.must("env", "export", "one", there, "--format", format,
                                             "--json").stdout)
            self.assertEqual((said["environment"], said["path"]), ("one", str(there)))
            if format != "oci":
                self.assertEqual(said["bytes"], there.stat().st_size)
        self.assert_status(self.home.tare("env", "export", "one", "-", "--json"), 64)
        gone = self.home.tare("env", "rm", "one", "none", "--json")
        self.assert_status(gone, 66)
        said = json.loads(gone.stdout)
        self.assertEqual(said["done"], ["one"])
        self.assertEqual([one["code"] for one in said["failed"]], ["not_found"])

    def test_the_same_environment_gives_the_same_bytes(self):
        self.imported(images.oci_archive([images.tree_tar({"a/b": b"c"})]), "one")
        self.home.must("env", "tag", "one", "two")
        self.addCleanup(self.home.tare, "env", "rm", "two")
        for format in ("oci-archive", "docker-archive", "tar"):
            self.assertEqual(self.exported("one", format).read_bytes(),
                             self.exported("two", format).read_bytes())

    def changed(self, base, name, command):
        """Frozen above it, after a command of root's."""
        session = self.home.must("session", "new", "--env", base, "--user",
                                 "root").stdout.decode().split()[0]
        self.home.must("session", "exec", session, "--", "/bin/sh", "-c", command)
        self.home.must("env", "freeze", session, "--name", name)
        self.home.must("session", "kill", session)
        self.addCleanup(self.home.tare, "env", "rm", name)

    def test_what_no_image_can_hold_is_refused_and_leaves_no_file(self):
        long = "n" * 253
        tree = images.tree_tar({**programs("sh", "rm"), f"srv/{long}": b""})
        self.imported(images.oci_archive([tree]), "base")
        self.changed("base", "marked", "echo x > /srv/.wh.x")
        self.changed("base", "hiding", f"rm /srv/{long}")
        for name, words in (("marked", "its name would hide another"),
                            ("hiding", "too long for an OCI whiteout")):
            for format in ("oci-archive", "oci", "docker-archive"):
                there = self.folder / "none"
                result = self.home.tare("env", "export", name, there, "--format", format)
                self.assertNotEqual(result.returncode, 0)
                self.assertIn(words, result.stderr.decode())
                self.assertIn("--format tar", result.stderr.decode())
                self.assertEqual([one for one in self.folder.rglob("*none*") if one.is_file()], [])
                self.assertFalse(there.is_file() or (there / "index.json").exists())
        self.assertIn("srv/.wh.x", self.seen("marked"))
        self.assertNotIn(f"srv/{long}", self.seen("hiding"))

    def export(self, path, *options, **more):
        return self.home.tare("env", "export", "own", path, *options, **more)

    def test_what_has_the_name_already_is_left_alone_or_written_through(self):
        self.imported(images.oci_archive([images.tar_of(entry("f", b"x" * 200_000))]), "own")
        whole = self.exported("own").read_bytes()
        fifo, full, shown = (self.folder / name for name in ("fifo", "full", "shown"))
        os.mkfifo(fifo)
        os.mknod(full, 0o600 | stat.S_IFCHR, os.makedev(1, 7))  # /dev/full
        for path in (full, self.link("to-full", full)):
            for options in ((), ("--force",)):
                self.assert_reason(self.export(path, *options), 75, f'"{path}".*No space left')
                self.assertTrue(stat.S_ISCHR(path.stat().st_mode))
        for path in (fifo, self.link("to-fifo", fifo)):
            with shown.open("wb") as file, subprocess.Popen(["cat", fifo], stdout=file):
                self.assert_status(self.export(path), 0)
            self.assertEqual(shown.read_bytes(), whole)
            with subprocess.Popen(["head", "-c", "1", fifo], stdout=subprocess.DEVNULL):
                self.assert_reason(self.export(path), 69, f'"{path}": its reader has gone')
            self.assertTrue(path.is_fifo())
        self.assertEqual(self.export("/dev/stdout").stdout, whole)
        with shown.open("wb") as file:
            self.assert_status(self.export("/dev/stdout", stdout=file), 0)
        self.assertEqual(shown.read_bytes(), whole)
        self.assert_reason(self.export(self.folder / "no/such"), 66, ".*there is no folder")
        self.assertFalse((self.folder / "no").exists())

    def link(self, name, target):
        path = self.folder / name
        path.symlink_to(target)
        return path

    def test_a_file_or_a_layout_is_replaced_on_request_alone(self):
        self.imported(images.oci_archive([images.tar_of(entry("f", b"f"))]), "own")
        whole = self.exported("own").read_bytes()
        old = self.file("old", b"precious")
        link = self.link("link", "old")
        for path in (old, link):
            self.assert_reason(self.export(path), 73, ".*exists.*--force")
            self.assertEqual(old.read_bytes(), b"precious")
        self.assert_status(self.export(link, "--force"), 0)
        self.assertTrue(link.is_symlink())
        self.assertEqual(old.read_bytes(), whole)

        layout = self.folder / "layout"
        self.assert_status(self.export(layout, "--format", "oci"), 0)
        self.assert_reason(self.export(layout, "--format", "oci"), 73, ".*--force")
        self.assert_status(self.export(layout, "--format", "oci", "--force"), 0)
        self.imported(layout, "again")
        foreign = self.folder / "foreign"
        foreign.mkdir()
        (foreign / "index.json").write_text("mine")
        for options in ((), ("--force",)):
            refused = self.export(foreign, "--format", "oci", *options)
            self.assert_reason(refused, 73, ".*is not empty, and no OCI layout")
        self.assertEqual([(one.name, one.read_text()) for one in foreign.iterdir()],
                         [("index.json", "mine")])
        refused = self.export(self.folder / "no/layout", "--format", "oci")
        self.assert_reason(refused, 66, ".*the folder above it is not there")
        self.assert_reason(self.export(old, "--format", "oci"), 73, ".*is no folder")

    def test_an_export_is_its_owners_alone(self):
        self.imported(images.oci_archive([images.tar_of(entry("s", b"secret", mode=0o600))]), "own")
        for format in ("oci-archive", "docker-archive", "tar"):
            self.assertEqual(self.exported("own", format).stat().st_mode & 0o777, 0o600)
        for path in self.exported("own", "oci").rglob("*"):
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)


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
        self.assertEqual(self.under_runc("box"), "hello\n/srv\nhere\nthere\n12")

    def under_runc(self, name):
        """What it says."""
        layout, bundle = self.exported(name, "oci"), self.folder / "bundle"
        tool("umoci", "unpack", "--image", f"{layout}:latest", bundle)
        spec = json.loads((bundle / "config.json").read_text())
        spec["process"]["terminal"] = False
        spec["linux"].pop("resources", None)
        spec["linux"]["cgroupsPath"] = f"/{self.home.tag}-runc"
        (bundle / "config.json").write_text(json.dumps(spec))
        root = self.folder / "runc"
        return tool("runc", "--root", root, "run", "--bundle", bundle, self.home.tag)

    def test_its_user_and_entrypoint_are_those_under_runc(self):
        tree = images.tree_tar({**SHELL, "etc/passwd": USERS, "srv/here": b"1"})
        config = {"Entrypoint": ["/bin/sh", "-c"], "Cmd": ["id -u; id -g; pwd"], "User": "node",
                  "Env": ["PATH=/bin"], "WorkingDir": "/srv"}
        self.imported(images.oci_archive([tree], config), "box")
        ours = self.home.must("run", "--env", "box").stdout.decode()
        self.assertEqual((self.under_runc("box"), ours), ("1234\n55\n/srv\n",) * 2)


if __name__ == "__main__":
    unittest.main()
