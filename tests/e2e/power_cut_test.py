"""Power cuts: what was acknowledged is there whole, whatever the disk had not been told to keep.

The stories are in power_cut_stories.py. For moments of each the machine is started again from what
the disk had: the journal is replayed, the daemons start, every environment is verified, and all
that had been acknowledged by then must be there. TARE_CUTS=N: so many moments instead of a few.
"""

import os
import random
import shutil
import tempfile
import unittest

import harness
from power_cut import Disk
from power_cut_stories import CUTS, Changes, Nights, Story, Versions

MEGABYTES = 192


class PowerCut(unittest.TestCase):
    def setUp(self):
        if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
            self.skipTest("needs root, /dev/fuse and loop devices")
        self.folder = tempfile.mkdtemp(prefix="tare-cut-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, self.folder)
        os.chmod(self.folder, 0o755)

    def story(self, environment=None, kind=Story):
        """Told to its end on a disk, which is then taken away: its writes stay."""
        disk = Disk(self.folder, MEGABYTES)
        with disk:
            story = kind(disk, environment or {})
        return story

    def test_what_was_acknowledged_is_there_whole_whenever_the_power_goes(self):
        story = self.story()
        luck = random.Random(4)
        moments = story.moments()
        luck.shuffle(moments)
        moments = moments[:CUTS // 2]
        moments += [luck.randrange(story.begin, story.end) for _ in range(CUTS - len(moments))]
        for number, moment in enumerate(moments):
            with self.subTest(moment=moment):
                self.assertEqual(story.losses(moment, luck, with_runs=number == 0), [])

    def test_a_session_that_slept_or_was_forked_wakes_whole_whenever_the_power_goes(self):
        story = self.story(kind=Nights)
        luck = random.Random(6)
        moments = luck.sample(story.moments(), min(len(story.moments()), max(3, CUTS // 2)))
        moments += [luck.randrange(story.begin, story.end) for _ in range(CUTS // 3)]
        for moment in moments:
            with self.subTest(moment=moment):
                self.assertEqual(story.losses(moment, luck), [])

    def test_a_runner_that_was_added_rolled_out_or_given_to_a_session_is_so_whenever_it_goes(self):
        story = self.story(kind=Versions)
        luck = random.Random(7)
        moments = luck.sample(story.moments(), min(len(story.moments()), max(4, CUTS // 2)))
        for asked, at, what, _ in luck.sample(story.told, min(len(story.told), max(3, CUTS // 3))):
            moments.append(luck.randrange(asked, at + 1))  # in the midst of it
        for moment in moments:
            with self.subTest(moment=moment):
                self.assertEqual(story.losses(moment, luck), [])

    def test_what_a_durable_session_answered_is_there_whenever_the_power_goes(self):
        story = self.story(kind=Changes)
        luck = random.Random(7)
        moments = luck.sample(story.moments(), min(len(story.moments()), max(4, CUTS // 2)))
        moments += [luck.randrange(story.begin, story.end) for _ in range(max(2, CUTS // 3))]
        for moment in moments:
            with self.subTest(moment=moment):
                self.assertEqual(story.losses(moment, luck), [])

    def test_a_store_or_a_daemon_that_forgot_to_sync_would_be_found(self):
        """Of each program something is lost; of both together, all that the story looks for."""
        for kind in (Story, Nights, Versions, Changes):
            with self.subTest(kind=kind):
                wanted = set(kind.KINDS)
                for program in ("tared", "tare-store"):
                    wanted -= self.lost_without_syncs(program, kind, wanted)
                self.assertEqual(wanted, set())

    def lost_without_syncs(self, program, kind, wanted):
        """The kinds of what is lost, until there are all that are wanted."""
        shutil.rmtree(self.folder)
        os.mkdir(self.folder)
        story = self.story({"LD_PRELOAD": str(harness.BIN / "tare-sync-shim.so"),
                            "TARE_SYNCS": "drop", "TARE_SYNCS_IN": program}, kind)
        story.home.environment.pop("LD_PRELOAD")
        luck, found = random.Random(5), set()
        for at in reversed(story.moments()):
            found |= {line.partition(":")[0] for line in story.losses(at, luck)}
            if found and wanted <= found:
                break
        self.assertTrue(found, program)
        return found


if __name__ == "__main__":
    unittest.main()
