"""Counts test cases after ctest: python3 tools/test_summary.py BUILD CTEST_STATUS

Reads BUILD/test_results: ctest.junit (one entry per ctest test) and, per GoogleTest program,
<test>.xml (its cases). A script that prints "Ran N tests" (unittest) or "N passed, N failed" counts
as so many; any other test as one. A program that failed without a failed case to show for it (a
crash, a time-out, no XML) adds one failed case. Prints cases and time of each suite (ctest label),
the names of what failed, and last "N passed, N failed".
Exit status: 1 when anything failed or nothing ran, else 0.
"""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as xml
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    failures: list = field(default_factory=list)  # names
    skips: list = field(default_factory=list)  # "name: reason"

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.seconds += other.seconds
        self.failures += other.failures
        self.skips += other.skips


def parse_xml(path):
    """The root element; characters that XML forbids (a test printed them) are dropped first."""
    text = path.read_text(encoding="utf-8", errors="replace")
    forbidden = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
    return xml.fromstring(re.sub(forbidden, "?", text))


def count_gtest(root):
    count = Count()
    for case in root.iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            count.failed += 1
            count.failures.append(name)
        elif case.get("result") in ("skipped", "suppressed") or case.get("status") == "notrun":
            count.skipped += 1
            reason = case.find("skipped")
            lines = (reason.text or "").strip().splitlines() if reason is not None else []
            count.skips.append(name + (": " + lines[-1] if len(lines) > 1 else ""))
        else:
            count.passed += 1
    return count


def count_output(text):
    """Cases of a script, from what it printed; None when it does not say."""
    if ran := re.findall(r"^Ran (\d+) tests? in ", text, re.M):
        bad = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", text))
        skipped = sum(int(n) for n in re.findall(r"skipped=(\d+)", text))
        return Count(max(0, int(ran[-1]) - bad - skipped), bad, skipped)
    said = re.findall(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", text, re.M)
    return Count(*(int(n or 0) for n in said[-1])) if said else None


def count_test(entry, results):
    """One ctest entry: an element of ctest.junit."""
    name, status = entry.get("name"), entry.get("status")
    own = results / f"{name}.xml"
    count = None
    if status != "notrun" and own.exists():
        try:
            count = count_gtest(parse_xml(own))
        except xml.ParseError:
            count = None  # killed while writing it
    elif status != "notrun":
        count = count_output(entry.findtext("system-out") or "")
    if count is None:
        count = Count(passed=1 if status == "run" else 0)
    count.failures = [f"{name}: {case}" for case in count.failures]
    count.skips = [f"{name}: {case}" for case in count.skips]
    if status != "run" and count.failed == 0:
        count.failed = 1
    if status != "run" and not count.failures:
        count.failures.append(f"{name} ({'did not start' if status == 'notrun' else 'failed'})")
    count.seconds = float(entry.get("time") or 0)
    return count


def labels_of(build):
    """ctest name -> label; ctest does not write it into its results."""
    shown = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"], text=True,
                           capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout
    labels = {}
    for test in json.loads(shown)["tests"]:
        for item in test.get("properties", []):
            if item["name"] == "LABELS" and item["value"]:
                labels[test["name"]] = item["value"][0]
    return labels


def summarise(junit, results, labels):
    """suite -> Count, in order of first appearance."""
    suites = {}
    for entry in junit.iter("testcase"):
        label = labels.get(entry.get("name"), "other")
        suites.setdefault(label, Count()).add(count_test(entry, results))
    return suites


def closing_line(total):
    line = f"{total.passed} passed, {total.failed} failed"
    return line + (f", {total.skipped} skipped" if total.skipped else "")


def main(build, ctest_status):
    results = Path(build) / "test_results"
    junit = results / "ctest.junit"
    if not junit.exists():
        print("ctest wrote no results", file=sys.stderr)
        print("0 passed, 1 failed")
        return 1
    suites = summarise(parse_xml(junit), results, labels_of(build))
    total = Count()
    for count in suites.values():
        total.add(count)
    if ctest_status != 0 and total.failed == 0:
        total.failed = 1
        total.failures.append(f"ctest ended with status {ctest_status}")
    print(f"\n{'suite':<12}{'passed':>8}{'failed':>8}{'skipped':>9}{'time':>10}")
    for name, count in suites.items():
        print(f"{name:<12}{count.passed:>8}{count.failed:>8}{count.skipped:>9}"
              f"{count.seconds:>8.1f} s")
    for kind, names in (("skipped", total.skips), ("failed", total.failures)):
        if names:
            print(f"\n{kind}:\n  " + "\n  ".join(names))
    print("\n" + closing_line(total))
    return 1 if total.failed or total.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
