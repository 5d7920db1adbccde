"""An archive that is unpacked stops while the disk still has room for all others: what is kept free
is a twentieth of a small disk (docs/images.md)."""

import json
import os
import unittest

import harness
import images

MB = 1 << 20


class ImagesDisk(harness.SmallDiskTest):
    MEGABYTES = 160
    KEPT = MEGABYTES * MB // 20

    def setUp(self):
        super().setUp()
        self.before = self.stored()

    def archive(self, *megabytes):
        """Of files of so many megabytes, each another one."""
        return images.tar_of(*[images.entry(f"file{i}", bytes([i + 1]) * MB * size)
                               for i, size in enumerate(megabytes)])

    def stored(self):
        store = self.home.path / "store"
        return {name: sorted(os.listdir(store / name)) for name in ("staging", "layers")}

    def refused(self, name, archive, *options):
        result = self.home.tare("env", "import", "-", "--name", name, *options, data=archive)
        self.assertNotEqual(result.returncode, 0)
        self.assertRegex(result.stderr.decode(), r"the disk of the store has \S+ left, and "
                                                 r"keeps 8M free: `tare env gc` removes")
        # Nothing half is left, and the record of the build says why.
        harness.wait_until(lambda: self.stored() == self.before, "as it was before")
        shown = self.home.tare("env", "show", name, "--json")
        if shown.returncode == 0:
            self.assertEqual(json.loads(shown.stdout)["state"], "failed")

    def imported(self, name, archive, *options):
        made = self.home.must("env", "import", "-", "--name", name, *options, "--json",
                              data=archive)
        return json.loads(made.stdout)

    def goes_on(self):
        """Nothing else has stopped."""
        self.assertEqual(self.home.host("echo", "fine").stdout, b"fine\n")
        self.home.must("env", "verify")

    def test_an_import_stops_in_time_and_the_next_one_works_when_there_is_room(self):
        archive = self.archive(4, 4, 4, 4)
        image = images.oci_archive([self.archive(4, 4), self.archive(8)])
        # It would fit, but not leave what is to be kept.
        with self.filled(self.KEPT + 12 * MB):
            self.refused("tree", archive)
            self.refused("image", image)
            self.assertGreater(self.left(), self.KEPT)  # what it had begun is gone
            self.goes_on()
            # A small one has room all the while.
            self.assertEqual(self.imported("small", self.archive(1))["files"], 1)
            self.before = self.stored()
            self.refused("tree", archive)
        with self.filled(self.KEPT - MB):  # less than that from its beginning
            self.refused("another", self.archive(1))
            self.goes_on()
        self.assertEqual(self.imported("tree", archive)["files"], 4)
        self.assertEqual(self.imported("image", image)["files"], 3)
        self.goes_on()


if __name__ == "__main__":
    unittest.main()
