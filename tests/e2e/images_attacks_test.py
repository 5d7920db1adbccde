"""Hostile images and archives against the real tare-store (ATTACKS.md S9, S10, S16, S17, S18):
refused naming the fault, without a byte outside the store, with nothing left in it."""

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import unittest
from pathlib import Path

import harness
import images
from images import entry, folder, hardlink, symlink
from images_test import SHELL, ImagesTest

PLATFORM = {"os": "linux", "architecture": images.MACHINE}
GIB = 1 << 30


class HostileTest(ImagesTest):
    """After each refusal the store is as before, and so is all around it."""

    def setUp(self):
        super().setUp()
        self.around = Path(tempfile.mkdtemp(prefix="te-around-"))
        self.addCleanup(shutil.rmtree, self.around)
        self.outside = self.around / "outside"
        self.outside.write_bytes(b"untouched")
        self.before = self.everything()

    def everything(self):
        """All entries of the home and of a folder outside, but logs and what the test made, as they
        are to the last change. Of folders and files that tared itself writes to: that they are."""
        found = {}
        for at in (self.home.path, self.around):
            for top, folders, files in os.walk(at):
                folders[:] = [one for one in folders
                              if one not in ("log", "work", "launcher", "state")]
                for name in files:
                    path = os.path.join(top, name)
                    status = os.lstat(path)
                    found[path] = (status.st_size, status.st_mode, status.st_nlink, status.st_uid,
                                   status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
                found[top] = (os.lstat(top).st_mode, sorted(folders))
        return found

    def refused(self, archive, *words, options=()):
        super().refused(archive, *words, options=options)
        staging = self.home.path / "store/staging"
        harness.wait_until(lambda: not list(staging.iterdir()), "an empty staging folder")
        self.maxDiff = None
        self.assertEqual(self.everything(), self.before)
        self.assertEqual(self.outside.read_bytes(), b"untouched")

    def layer_refused(self, words, *entries, lower=()):
        """As a layer of an image, above `lower`."""
        lower = [images.tar_of(*lower)] if lower else []
        self.refused(images.oci_archive([*lower, images.tar_of(*entries)]), words)



class Trees(HostileTest):
    """Names, types and links."""

    def test_S16_names_that_lead_elsewhere_are_refused(self):
        for name in ("../outside", "a/../../outside", "/etc/../../x", "a/..", "..", "a//b", "a/./b",
                     "\udcff/../x"):
            with self.subTest(name=name):
                self.layer_refused("path", entry(name, b"evil"))
                self.refused(images.tar_of(entry(name, b"evil")), "path")
                self.layer_refused("path", symlink(name, "x"))
                self.layer_refused("path", hardlink(name, "x"))

    def test_S16_an_absolute_name_is_refused(self):
        self.layer_refused("absolute", entry("/etc/passwd", b"evil"))
        self.layer_refused("absolute", entry("/" + str(self.outside), b"evil"))

    def test_S16_nothing_is_written_through_a_symlink(self):
        for target in ("/", "..", "../../..", str(self.home.path), "/proc/self/root"):
            for last in (entry("a/outside", b"evil"), folder("a/d"), symlink("a/outside", "x"),
                         hardlink("a/outside", "f")):
                with self.subTest(target=target, kind=last[0].type):
                    self.layer_refused("on the way", entry("f", b""), symlink("a", target), last)
                    self.layer_refused("on the way", entry("f", b""), last,
                                       lower=[symlink("a", target)])
                    self.refused(images.tar_of(entry("f", b""), symlink("a", target), last),
                                 "on the way")

    def test_S16_a_hard_link_leads_only_to_a_file_of_its_layer(self):
        for target in ("../../../outside", str(self.outside), "/etc/passwd", "missing", "later",
                       "l/passwd", "d"):
            with self.subTest(target=target):
                self.layer_refused("entry", folder("d"), symlink("l", "/etc"),
                                   hardlink("h", target), entry("later", b""))
        self.layer_refused("hard link", hardlink("h", "f"), lower=[entry("f", b"below")])

    def test_S16_a_whiteout_reaches_through_no_symlink(self):
        for hiding in ("a/.wh.outside", "a/b/.wh.c", "a/.wh..wh..opq", "a/b/.wh..wh..opq"):
            with self.subTest(hiding=hiding):
                for target in ("/", "../../..", "d"):
                    below = [folder("d"), entry("d/outside"), symlink("a", target)]
                    self.layer_refused("on the way", entry(hiding), lower=below)
                    self.layer_refused("on the way", symlink("a", target), entry(hiding),
                                       lower=[folder("a"), entry("a/outside"), folder("a/b"),
                                              entry("a/b/c")])

    def test_S16_whiteouts_of_no_name_are_refused(self):
        for name in (".wh.", "a/.wh.", ".wh..", ".wh...", "a/.wh..."):
            with self.subTest(name=name):
                self.layer_refused("whiteout", folder("a"), entry(name))
        for odd in (folder(".wh.x"), symlink(".wh.x", "/"), hardlink(".wh.x", "x"),
                    entry(".wh.x", kind=tarfile.CHRTYPE)):
            with self.subTest(kind=odd[0].type):
                self.layer_refused("whiteout", entry("x"), odd)
        self.refused(images.tar_of(entry("a/.wh.b")), "is an OCI whiteout")

    def test_S16_an_entry_that_comes_twice_is_refused(self):
        for second in (entry("a", b"2"), symlink("a", "x"), hardlink("a", "b"), folder("a"),
                       entry("./a", b"2")):
            with self.subTest(kind=second[0].type):
                self.layer_refused("twice", entry("b"), entry("a", b"1"), second)

    def test_S16_a_size_stated_twice_smuggles_nothing(self):
        """What a pax header says of the size counts, as POSIX has it and Python reads it."""
        inner = images.tar_of(entry("smuggled", b"evil"))
        for claimed, size in ((0, len(inner)), (len(inner), 0)):
            info, _ = entry("a", size=claimed)
            head = tarfile.TarInfo("pax")
            record = f" size={size}\n"
            record = f"{len(record) + (1 if size == 0 else 2)}{record}"
            head.type, head.size = tarfile.XHDTYPE, len(record)
            layer = (head.tobuf() + record.encode().ljust(512, b"\0") + info.tobuf() + inner)
            with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
                names = [".", *tar.getnames()]
            with self.subTest(claimed=claimed):
                self.imported(images.oci_archive([layer]), f"s{claimed}")
                self.assertEqual(sorted(self.seen(f"s{claimed}")), sorted(names))

    def test_S16_devices_are_dropped_and_setuid_has_no_power(self):
        layer = images.tree_tar({**SHELL, "bin/root": (0o6755, SHELL["bin/id"][1])})
        devices = images.tar_of(entry("dev-null", kind=tarfile.CHRTYPE),
                                entry("sda", kind=tarfile.BLKTYPE),
                                entry("pipe", kind=tarfile.FIFOTYPE))
        self.imported(images.oci_archive([layer, devices]), "odd")
        self.assertNotIn("sda", self.seen("odd"))
        said = self.home.must("run", "--env", "odd", "--", "/bin/root", "-u").stdout
        self.assertEqual(said, b"1000\n")

    def test_S18_names_too_long_or_too_deep_are_refused(self):
        for name in ("n" * 256, "/".join(["d" * 100] * 50), "/".join(["d"] * 300)):
            with self.subTest(name=name[:10]):
                self.layer_refused("path", entry(name, b""))

    def test_S18_owners_that_no_sandbox_has_are_refused(self):
        for owner in ({"uid": 65_536}, {"gid": 2**31}, {"uid": 2**62}):
            with self.subTest(owner=owner):
                self.layer_refused("owner", entry("f", b"", **owner))
                self.refused(images.tar_of(entry("f", b"", **owner)), "owner")

    def test_S18_names_in_documents_lead_nowhere(self):
        secret = hashlib.sha256(self.outside.read_bytes()).hexdigest()
        for wrong in ("sha256:../../outside", f"sha256:{secret[:63]}/", "sha256:" + "A" * 64,
                      "sha512:" + "a" * 128, "../outside", "", secret, f"sha256:{secret}"):
            with self.subTest(digest=wrong):
                def change(manifest, document):
                    manifest["layers"] = [{"mediaType": images.LAYER, "digest": wrong, "size": 9}]
                    document["rootfs"]["diff_ids"] = ["sha256:" + secret]
                self.refused(images.oci_archive([], change=change), "layer")
        for name in ("../../outside", str(self.outside), "a/../b", "link", "deep/link"):
            with self.subTest(name=name):
                config = json.dumps({"architecture": images.MACHINE, "os": "linux", "rootfs": {
                    "type": "layers", "diff_ids": ["sha256:" + secret]}}).encode()
                manifest = [{"Config": "c.json", "RepoTags": None, "Layers": [name]}]
                self.refused(images.tar_of(
                    entry("c.json", config), entry("manifest.json", json.dumps(manifest).encode()),
                    symlink("link", str(self.outside)), folder("deep"),
                    symlink("deep/link", "../../../../../outside")), "layer")
                manifest[0]["Config"], manifest[0]["Layers"] = name, []
                self.refused(images.tar_of(
                    entry("manifest.json", json.dumps(manifest).encode()),
                    symlink("link", str(self.outside))), "manifest.json" if ".." in name
                    or name[0] == "/" else "file")

    def test_S18_a_blob_that_is_a_link_is_not_followed(self):
        layout = images.Layout()
        layout.manifests.append(layout.image([images.tar_of(entry("f", b""))]))
        layout.archive()
        for name in [one for one in layout.files if "blobs" in one]:
            entries = [entry(*one) for one in layout.files.items() if one[0] != name]
            kept = self.file("blob", layout.files[name])
            self.refused(images.tar_of(*entries, symlink(name, str(kept))), "file")


class Documents(HostileTest):
    """The JSON of images, and blobs that are not what it says."""

    LAYER = images.tar_of(entry("f", b"f"))

    def changed(self, change, *words):
        self.refused(images.oci_archive([self.LAYER], change=change), *words)

    def test_S16_blobs_must_be_as_their_descriptors_say(self):
        def flip(content):
            return content[:-1] + bytes([content[-1] ^ 1])
        for packing in images.PACKERS:
            layout = images.Layout()
            layout.manifests.append(layout.image([self.LAYER], packing=packing))
            layout.archive()
            for name in [one for one in layout.files if "blobs" in one]:
                for what, spoil in (("digest", flip), ("bytes", lambda c: c[:-1]),
                                    ("bytes", lambda c: c + b"\0"), ("bytes", lambda c: b"")):
                    with self.subTest(name=name, packing=packing, what=what):
                        files = {**layout.files, name: spoil(layout.files[name])}
                        self.refused(images.tar_of(*(entry(*one) for one in files.items())),
                                     "blob", what)
                files = {one: content for one, content in layout.files.items() if one != name}
                self.refused(images.tar_of(*(entry(*one) for one in files.items())), "not in")

    def test_S16_a_descriptor_with_a_wrong_size_is_refused(self):
        for wrong in (0, -1, 2**63, 1.5, "9", None):
            def change(manifest, _):
                manifest["layers"][0]["size"] = wrong
            with self.subTest(size=wrong):
                self.changed(change, "layers[0].size" if wrong != 0 else "bytes")

    def test_S16_a_layer_that_is_cut_short_is_refused(self):
        for packing in images.PACKERS:
            whole = images.PACKERS[packing](images.tar_of(entry("f", os.urandom(5000))))
            for cut in range(1, len(whole), max(1, len(whole) // 12)):
                def change(manifest, _):
                    manifest["layers"] = [layout.blob(whole[:cut], images.LAYER + packing)]
                with self.subTest(packing=packing, cut=cut):
                    layout = images.Layout()
                    layout.manifests.append(layout.image([self.LAYER], change=change))
                    self.refused(layout.archive(), "layer 1")

    def test_S16_a_layer_unpacks_to_what_the_configuration_says(self):
        def change(_, document):
            document["rootfs"]["diff_ids"] = [images.digest(b"another")]
        self.changed(change, "the configuration says")
        # A second packing within the first would be something else than what was said.
        twice = images.PACKERS["+gzip"](self.LAYER)
        def wrapped(manifest, _):
            manifest["layers"] = [layout.blob(gzip.compress(twice), images.LAYER + "+gzip")]
        layout = images.Layout()
        layout.manifests.append(layout.image([self.LAYER], change=wrapped))
        self.refused(layout.archive(), "layer 1")
        def plain(manifest, _):
            manifest["layers"] = [layout.blob(twice, images.LAYER)]
        layout = images.Layout()
        layout.manifests.append(layout.image([self.LAYER], change=plain))
        self.refused(layout.archive(), "layer 1")

    def test_S16_documents_that_could_be_two_things_are_refused(self):
        def both(manifest, _):
            manifest["manifests"] = []
        def index(manifest, _):
            manifest["mediaType"] = images.INDEX
        def artifact(manifest, _):
            manifest["config"] = {"mediaType": "application/vnd.oci.empty.v1+json",
                                  "digest": images.digest(b"{}"), "size": 2}
        def layer(manifest, _):
            manifest["layers"][0]["mediaType"] = "application/zip"
        def schema(manifest, _):
            manifest["schemaVersion"] = 1
        def more(_, document):
            document["rootfs"]["diff_ids"] *= 2
        for change, words in ((both, "manifests"), (index, "mediaType"),
                              (artifact, "no image of files"),
                              (layer, "no layer that we know"), (schema, "schemaVersion"),
                              (more, "diff_ids")):
            with self.subTest(change=change.__name__):
                self.changed(change, words)

    def test_S17_indexes_end(self):
        layout = images.Layout()
        at = layout.image([self.LAYER], platform=PLATFORM)
        for _ in range(6):
            at = layout.blob(layout.index([at]), images.INDEX)
        layout.manifests = [at]
        self.refused(layout.archive(), "too deep")
        layout = images.Layout()
        leaf = layout.image([self.LAYER], platform={"os": "none", "architecture": "none"})
        layout.manifests = [layout.blob(layout.index([leaf], n=i), images.INDEX)
                            for i in range(300)]
        self.refused(layout.archive(), "more than")
        layout = images.Layout()
        layout.manifests = [layout.image([self.LAYER])] * 1025
        self.refused(layout.archive(), "manifests")

    def test_S17_too_many_layers_are_refused(self):
        layer = images.tar_of()
        self.refused(images.oci_archive([layer] * 129), "layers")

    def test_S17_documents_are_bounded(self):
        self.changed(lambda manifest, _: manifest.update(x="x" * (5 << 20)), "at most")
        self.changed(lambda _, document: document.update(x="x" * (5 << 20)), "at most")
        deep = b"[" * 100_000 + b"]" * 100_000
        for name in ("index.json", "oci-layout"):
            layout = images.Layout()
            layout.manifests.append(layout.image([self.LAYER]))
            layout.files.update({"index.json": layout.index(layout.manifests), name: deep})
            self.refused(layout.archive(), "index" if name == "index.json" else name)
        for text in (b"", b"{", b"null", b"[]", b"\xff", b'{"a":1,"a":2}', b"1e999"):
            with self.subTest(text=text):
                layout = images.Layout()
                layout.files["index.json"] = text
                self.refused(layout.archive(), "index")
                self.refused(images.tar_of(entry("manifest.json", text)), "manifest.json")

    def test_S17_the_configuration_is_bounded(self):
        for config in ({"Env": [f"A{i}={'x' * 100}" for i in range(250)]},
                       {"Cmd": ["x" * 60_000]}, {"Cmd": ["x"] * 2000}, {"User": "u" * 300}):
            with self.subTest(config=str(config)[:20]):
                self.refused(images.oci_archive([self.LAYER], config), "configuration")


if __name__ == "__main__":
    unittest.main()
