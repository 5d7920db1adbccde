"""Tests of test_summary.py."""

import tempfile
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path

import test_summary


def entry(status, output="", name="t"):
    element = xml.Element("testcase", name=name, status=status, time="0.5")
    xml.SubElement(element, "system-out").text = output
    return element


class CountTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.results = Path(self.folder.name)

    def count(self, status, output="", gtest=None):
        if gtest is not None:
            (self.results / "t.xml").write_text(gtest)
        count = test_summary.count_test(entry(status, output), self.results)
        return count.passed, count.failed, count.skipped

    def test_a_plain_command_is_one_case(self):
        self.assertEqual(self.count("run"), (1, 0, 0))
        self.assertEqual(self.count("fail"), (0, 1, 0))

    def test_a_program_that_could_not_start_has_failed(self):
        self.assertEqual(self.count("notrun"), (0, 1, 0))

    def test_cases_of_a_gtest_program_are_counted_one_by_one(self):
        report = """<testsuites><testsuite>
          <testcase classname="A" name="good" status="run" result="completed"/>
          <testcase classname="A" name="bad" status="run" result="completed">
            <failure message="x"/></testcase>
          <testcase classname="A" name="not_here" status="run" result="skipped">
            <skipped/></testcase>
          <testcase classname="A" name="DISABLED_x" status="notrun" result="suppressed"/>
        </testsuite></testsuites>"""
        self.assertEqual(self.count("fail", gtest=report), (1, 1, 2))

    def test_a_crash_is_a_failure_though_no_case_shows_it(self):
        report = '<testsuites><testcase classname="A" name="good" status="run"/></testsuites>'
        self.assertEqual(self.count("fail", gtest=report), (1, 1, 0))
        self.assertEqual(self.count("fail", gtest=report[:30]), (0, 1, 0))

    def test_a_unittest_run_counts_its_cases(self):
        text = "....\nRan 7 tests in 0.1s\n\nFAILED (failures=1, errors=1, skipped=2)\n"
        self.assertEqual(self.count("fail", text), (3, 2, 2))
        self.assertEqual(self.count("run", "Ran 3 tests in 0.1s\n\nOK\n"), (3, 0, 0))

    def test_a_closing_line_counts(self):
        self.assertEqual(self.count("run", "x\n12 passed, 0 failed, 1 skipped\n"), (12, 0, 1))

    def test_characters_that_xml_forbids_do_no_harm(self):
        path = self.results / "odd.xml"
        path.write_bytes(b"<a>\x01\x1b[0m\xff</a>")
        self.assertEqual(test_summary.parse_xml(path).text, "??[0m\ufffd")

    def test_suites_follow_the_labels(self):
        root = xml.Element("testsuite")
        root.extend([entry("run", name="a"), entry("fail", name="b"), entry("run", name="c")])
        labels = {"a": "unit", "b": "kernel", "c": "unit"}
        suites = test_summary.summarise(root, self.results, labels)
        self.assertEqual({k: (v.passed, v.failed) for k, v in suites.items()},
                         {"unit": (2, 0), "kernel": (0, 1)})
        self.assertEqual(suites["kernel"].failures, ["b (failed)"])


if __name__ == "__main__":
    unittest.main()
