"""Checks that the tests that documents name exist: python3 tools/attack_table.py [ROOT]

docs/threat_model.md and docs/kernel_facts.md name tests as `Suite.name`, `Suite.*` (at least one)
or `file_test.py: test_name`. The table of attacks has each of S1 to S48, in order, with a test, a
reason or the issue that brings it; and every test of the suite Attack whose name begins with S and
a number is in the row of each number that it names. Exit status 1 when something is not true.
"""

import re
import sys
from pathlib import Path

DOCUMENTS = ("docs/threat_model.md", "docs/kernel_facts.md")
LAST = 48
DECLARED = re.compile(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\)", re.MULTILINE)
NAMED = re.compile(r"`([A-Z]\w+)\.([a-zA-Z_]\w+|\*)`")
PYTHON = re.compile(r"`(\w+_test\.py): (test_\w+)`")
ROW = re.compile(r"^\| S(\d+) \|(.*)\|$", re.MULTILINE)
NUMBERS = re.compile(r"S(\d+)_")


def declared_in(root):
    """{suite: {name}} of all GoogleTest cases."""
    tests = {}
    for folder in ("src", "tests"):
        for path in sorted((root / folder).rglob("*_test.cpp")):
            for suite, name in DECLARED.findall(path.read_text()):
                tests.setdefault(suite, set()).add(name)
    return tests


def missing_names(text, tests, root):
    for suite, name in NAMED.findall(text):
        if suite not in tests or (name != "*" and name not in tests[suite]):
            yield f"there is no test {suite}.{name}"
    for file, name in PYTHON.findall(text):
        found = list((root / "tests").rglob(file))
        if not any(f"def {name}(" in path.read_text() for path in found):
            yield f"there is no test {name} in {file}"


def wrong_rows(text, tests):
    rows = ROW.findall(text)
    if [int(number) for number, _ in rows] != list(range(1, LAST + 1)):
        yield f"the table does not have S1 to S{LAST}, each once and in order"
        return
    for number, row in rows:
        if not NAMED.search(row) and not PYTHON.search(row) and "issue" not in row:
            if len(row.split("|")[-1].strip()) < 20:
                yield f"S{number} has neither a test nor a reason"
    cells = {int(number): row for number, row in rows}
    for name in sorted(tests.get("Attack", ())):
        for number in map(int, NUMBERS.findall(name)):
            if f"`Attack.{name}`" not in cells.get(number, ""):
                yield f"Attack.{name} is not in the row of S{number}"


def check(root):
    tests = declared_in(root)
    findings = []
    for document in DOCUMENTS:
        text = (root / document).read_text()
        findings += [f"{document}: {what}" for what in missing_names(text, tests, root)]
    text = (root / DOCUMENTS[0]).read_text()
    return findings + [f"{DOCUMENTS[0]}: {what}" for what in wrong_rows(text, tests)]


def main(arguments):
    root = Path(arguments[1]) if len(arguments) > 1 else Path(__file__).parents[1]
    findings = check(root)
    for finding in findings:
        print(finding)
    print(f"attack_table: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
