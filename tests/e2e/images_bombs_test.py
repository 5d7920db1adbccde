"""Images that are small on the way and large inside (ATTACKS.md S17), and images whose folders are
links (S9, S10), against the real programs."""

import gzip
import hashlib
import io
import lzma
import os
import subprocess
import tarfile
import time
import unittest
import zlib

import harness
import images
from images import entry, folder, symlink
from images_attacks_test import GIB, HostileTest
from images_test import SHELL, ImagesTest

SHELL_ONLY = {path: content for path, content in SHELL.items()
              if path.split("/")[0] in ("bin", "etc", "lib", "lib64", "usr")}


class Bombs(HostileTest):
    """What is small on the way and large inside."""

    def zeros(self, size, level=9):
        """gzip of so many zeros, made piece by piece."""
        out = io.BytesIO()
        with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=level, mtime=0) as packed:
            for _ in range(size // (1 << 20)):
                packed.write(bytes(1 << 20))
        return out.getvalue()

    def test_S17_a_file_that_claims_to_be_endless_is_refused(self):
        for size, words in ((1 << 60, "too long"), (9 * GIB, "too long"),
                            ((1 << 63) - 1, "overflow")):
            info = tarfile.TarInfo("endless")
            info.size = size
            head = info.tobuf(tarfile.GNU_FORMAT)
            with self.subTest(size=size):
                self.refused(head, words, options=("--format", "tar"))
                self.refused(images.oci_archive([head]), "layer 1", words)

    def test_S17_a_sparse_file_of_an_exabyte_is_refused(self):
        info = tarfile.TarInfo("sparse")
        info.size = 512
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                            "GNU.sparse.name": "sparse", "GNU.sparse.realsize": str(1 << 60)}
        content = b"1\n0\n0\n".ljust(512, b"\0")
        self.refused(images.oci_archive([images.tar_of((info, content))]), "layer 1")

    def test_S17_a_layer_of_zeros_holds_nothing(self):
        """It is what the configuration says, and a tar without an entry."""
        size = 256 << 20
        zeros = hashlib.sha256()
        for _ in range(size >> 20):
            zeros.update(bytes(1 << 20))
        files = images.tar_of(entry("f", b"f"))
        for packed in (self.zeros(size), images.zstd(bytes(size))):
            packing = "+gzip" if packed[:1] == b"\x1f" else "+zstd"
            for layers, words in (([], "it has no files"), ([files], None)):
                def change(manifest, document):
                    manifest["layers"].append(layout.blob(packed, images.LAYER + packing))
                    document["rootfs"]["diff_ids"].append("sha256:" + zeros.hexdigest())
                layout = images.Layout()
                layout.manifests.append(layout.image(layers, change=change))
                with self.subTest(packing=packing, words=words):
                    if words:
                        self.refused(layout.archive(), words)
                    else:
                        made = self.imported(layout.archive(), "zeros" + packing[1:])
                        self.assertEqual((len(made["layers"]), made["files"]), (1, 1))
                        self.before = self.everything()

    def test_S17_what_unpacks_stands_under_limits(self):
        """Of processor, memory and files; has next to nothing; and few do at once."""
        clients = [self.home.popen("env", "import", "-", "--name", f"slow{i}",
                                   stdin=subprocess.PIPE) for i in range(10)]
        archive = images.tar_of(entry("f", b"f"))
        for client in clients:
            client.stdin.write(archive[:512])
            client.stdin.flush()
        staging = self.home.path / "store/staging"
        try:
            harness.wait_until(lambda: len(list(staging.iterdir())) == 8, "eight that unpack")
            time.sleep(1)
            self.assertEqual(len(list(staging.iterdir())), 8, "two more wait")
            # A job of the store each, and an unpacker below it.
            store = self.home.program_pid("tare-store")
            jobs = self.children(store)
            unpackers = [child for job in jobs for child in self.children(job)]
            self.assertEqual(len(unpackers), 8)
            for pid in unpackers:
                limits = harness.read_text(f"/proc/{pid}/limits")
                for name, most in (("cpu time", 1200), ("address space", GIB // 2),
                                   ("open files", 256), ("core file size", 0)):
                    self.assertRegex(limits, f"Max {name} +{most} +{most} ")
                self.assert_has_next_to_nothing(pid, store)
        finally:
            for i, client in enumerate(clients):
                client.communicate(archive[512:], harness.TIMEOUT_S)
                self.home.tare("env", "rm", f"slow{i}")
        self.assertEqual([client.returncode for client in clients], [0] * 10)

    def assert_has_next_to_nothing(self, pid, store):
        """The store's few capabilities, no network, and what unpacking takes."""
        status = harness.status_of(pid)
        rights = f"{1 << 0 | 1 << 1 | 1 << 3 | 1 << 4:016x}"  # CHOWN DAC_OVERRIDE FOWNER FSETID
        self.assertEqual([status["Cap" + each] for each in ("Inh", "Prm", "Eff", "Bnd", "Amb")],
                         ["0" * 16, rights, rights, rights, "0" * 16])
        self.assertEqual((status["NoNewPrivs"], status["Groups"]), ("1", ""))
        for kind in ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts"):
            self.assertEqual(os.readlink(f"/proc/{pid}/ns/{kind}"),
                             os.readlink(f"/proc/{store}/ns/{kind}"), kind)
        self.assertNotEqual(os.readlink(f"/proc/{pid}/ns/net"), os.readlink("/proc/self/ns/net"))
        has = [os.readlink(fd) for fd in harness.Path(f"/proc/{pid}/fd").iterdir()]
        has.remove(os.readlink(f"/proc/{store}/fd/2"))
        has.remove(str(self.home.path / "store/lock"))
        staging = str(self.home.path / "store/staging") + "/"
        own = [path.removeprefix(staging) for path in has if path.startswith(staging)]
        self.assertEqual(len({path.split("/")[0] for path in own}), 1, has)
        others = sorted(path.split(":")[0] for path in has if not path.startswith(staging))
        self.assertEqual(others, ["pipe", "socket"])  # the archive, and the job

    @staticmethod
    def children(pid):
        return [int(child) for child in
                harness.read_text(f"/proc/{pid}/task/{pid}/children").split()]

    def test_S17_what_wants_more_memory_than_it_may_have_is_refused(self):
        """xz whose header asks for a dictionary of 4 GiB."""
        archive = images.tar_of(entry("f", b"f"))
        packed = bytearray(lzma.compress(archive, format=lzma.FORMAT_XZ))
        self.imported(bytes(packed), "modest")
        self.before = self.everything()
        block = 12  # after the stream's header: size, flags, LZMA2, one byte of properties, ...
        end = block + (packed[block] + 1) * 4 - 4
        self.assertEqual(packed[block + 2:block + 4], b"\x21\x01")
        packed[block + 4] = 40
        packed[end:end + 4] = zlib.crc32(packed[block:end]).to_bytes(4, "little")
        self.refused(bytes(packed), "emory")

    def test_S17_the_json_in_a_bomb_is_bounded(self):
        archive = images.tar_of(entry("oci-layout", images.LAYOUT),
                                entry("index.json", b" " * (64 << 20)))
        self.refused(gzip.compress(archive), "at most")


class Platform(ImagesTest):
    """S9, S10: an image whose /dev, /proc and /sys are links."""

    def test_S9_S10_a_sandbox_from_an_image_with_links_for_platform_folders_is_safe(self):
        marks = self.folder / "marks"
        for name in ("dev", "proc", "sys", "etc", "home", "output", "tmp"):
            (marks / name).mkdir(mode=0o777, parents=True)
        for top in (str(marks), "../../../../../../../.." + str(marks), "/"):
            for name in ("etc", "home"):
                self.assertEqual(self.left_outside(marks, name, f"{top}/{name}"), [])
            tree = [one for one in (
                symlink("dev", f"{top}/dev"), symlink("proc", f"{top}/proc"),
                symlink("sys", f"{top}/sys"), symlink("output", f"{top}/output"),
                symlink("tmp", f"{top}/tmp"))]
            name = {"/": "rooted"}.get(top, "up" if top.startswith("..") else "absolute")
            layers = [images.tree_tar(SHELL_ONLY), images.tar_of(*tree)]
            self.imported(images.oci_archive(layers), name)
            with self.subTest(links=name):
                said = self.home.tare("run", "--env", name, "--user", "root", "--", "/bin/sh", "-c",
                                      "echo x > /dev/null; cat /proc/self/comm; "
                                      "test -c /dev/null && echo device; "
                                      "echo y > /tmp/y; echo z > /output/z")
                self.assertEqual(said.stdout, b"cat\ndevice\n", said.stderr)
                left = [path for path in marks.rglob("*") if not path.is_dir()]
                self.assertEqual(left, [], "written outside the sandbox")

    def left_outside(self, marks, name, target):
        """What a run of root's leaves there when that folder of its image is a link."""
        layers = [images.tree_tar(SHELL_ONLY), images.tar_of(symlink(name, target))]
        self.imported(images.oci_archive(layers), f"linked-{name}")
        said = self.home.tare("run", "--env", f"linked-{name}", "--user", "root", "--", "/bin/sh",
                              "-c", f"echo x > /{name}/x")
        self.assertIn(said.returncode, (0, 2, 125), said.stderr)
        self.home.must("env", "rm", f"linked-{name}")
        return [path for path in marks.rglob("*") if path not in self.made(marks)]

    @staticmethod
    def made(marks):
        return [marks / name for name in ("dev", "proc", "sys", "etc", "home", "output", "tmp")]

    def test_S9_S10_a_home_that_is_a_link_is_refused_when_a_run_begins(self):
        marks = self.folder / "marks"
        marks.mkdir(mode=0o777)
        layer = images.tar_of(folder("etc"), symlink("home", str(marks)))
        self.imported(images.oci_archive([images.tree_tar(SHELL_ONLY), layer]), "homeless")
        said = self.home.tare("run", "--env", "homeless", "--", "/bin/true")
        self.assert_status(said, 125)
        self.assertEqual(list(marks.iterdir()), [])

    def test_an_image_of_one_program_runs(self):
        tree = {path: content for path, content in SHELL_ONLY.items() if path != "etc/.keep"}
        self.imported(images.oci_archive([images.tree_tar(tree)], {"Cmd": ["/bin/id", "-u"]}),
                      "scratch")
        self.assertEqual(self.home.must("run", "--env", "scratch").stdout, b"1000\n")


if __name__ == "__main__":
    unittest.main()
