"""How the test machine's console is counted, without a machine."""

import contextlib
import io
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import run  # noqa: E402

GTEST = """[ RUN      ] A.one
[       OK ] A.one (8 ms)
[ RUN      ] A.two
a_test.cpp:1: Failure
[  FAILED  ] A.two (3 ms)
[ RUN      ] A.three
[  SKIPPED ] A.three (0 ms)
[  FAILED  ] 1 test, listed below:
[  FAILED  ] A.two
"""


def console_of(text, wanted):
    console = run.Console(wanted)
    with contextlib.redirect_stdout(io.StringIO()):
        for line in text.splitlines():
            console.line(line)
    return console


class Counting(unittest.TestCase):
    def total(self, text, wanted=("a",), why="was not run"):
        total = console_of(text, wanted).total(why)
        return (total.passed, total.failed, total.skipped), total.failures

    def test_cases_of_googletest_are_counted_once_each(self):
        text = f"@@ up 6.1\n@@ begin a\n{GTEST}\n@@ end a 1 12\n@@ off\n"
        self.assertEqual(self.total(text), ((1, 1, 1), ["a: A.two"]))

    def test_cases_of_unittest_are_counted_by_what_it_says(self):
        text = ("@@ begin a\nFAIL: test_x (__main__.Y)\nRan 5 tests in 1.2s\n"
                "FAILED (failures=1, skipped=2)\n@@ end a 1 12\n")
        self.assertEqual(self.total(text), ((2, 1, 2), ["a: test_x (__main__.Y)"]))

    def test_a_command_that_counts_nothing_is_one_case(self):
        self.assertEqual(self.total("@@ begin a\nwords\n@@ end a 0 1\n"), ((1, 0, 0), []))

    def test_a_suite_that_crashed_is_a_failure_though_its_cases_passed(self):
        text = "@@ begin a\n[       OK ] A.one (8 ms)\n@@ end a 139 12\n"
        self.assertEqual(self.total(text), ((1, 1, 0), ["a (exit status 139)"]))

    def test_a_suite_that_was_not_reached_is_a_failure_with_the_reason(self):
        self.assertEqual(self.total("@@ up 6.1\n", ("a", "b"), "the machine has ended"),
                         ((0, 2, 0), ["a (the machine has ended)", "b (the machine has ended)"]))

    def test_the_end_of_the_machine_is_seen(self):
        self.assertTrue(console_of("@@ off\n", ()).off)
        self.assertFalse(console_of("words @@ off\n", ()).off)


class Plan(unittest.TestCase):
    def test_a_build_below_the_sources_is_shown_after_what_covers_them(self):
        inside = run.plan_text(run.ROOT / "build/bin", []).splitlines()
        cover = next(i for i, line in enumerate(inside) if line.startswith("mount -t tmpfs"))
        shown = next(i for i, line in enumerate(inside) if "/tare/bin " in line)
        self.assertGreater(shown, cover)


if __name__ == "__main__":
    unittest.main()
