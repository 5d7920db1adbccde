"""Tests of attack_table.py on a tree of its own."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import attack_table


class AttackTable(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        for name in ("docs", "src", "tests"):
            (self.root / name).mkdir()
        self.write("tests/a_test.cpp", "TEST(Attack, S2_S3_nothing_leads_out) {\n}\n"
                                       "TEST_F(Other, thing) {}\n")
        self.write("docs/kernel_facts.md", "`Other.thing` `Other.*`\n")
        self.rows = {n: f"| S{n} | what | a reason that is long enough |"
                     for n in range(1, attack_table.LAST + 1)}
        for n in (2, 3):
            self.rows[n] = f"| S{n} | what | `Attack.S2_S3_nothing_leads_out` |"

    def write(self, name, text):
        (self.root / name).write_text(text)

    def findings(self):
        self.write("docs/threat_model.md", "\n".join(self.rows.values()) + "\n")
        return attack_table.check(self.root)

    def test_a_true_table_has_no_finding(self):
        self.assertEqual(self.findings(), [])

    def test_a_test_that_is_not_there_is_found(self):
        self.rows[4] = "| S4 | what | `Attack.S4_gone` |"
        self.assertEqual(len(self.findings()), 1)
        self.write("docs/kernel_facts.md", "`Gone.*` and `a_test.py: test_gone`\n")
        self.assertEqual(len(self.findings()), 3)

    def test_an_attack_that_is_not_in_its_row_is_found(self):
        self.rows[3] = "| S3 | what | a reason that is long enough |"
        self.assertEqual(len(self.findings()), 1)

    def test_a_row_that_is_missing_or_says_nothing_is_found(self):
        self.rows[9] = "| S9 | what | - |"
        self.assertEqual(len(self.findings()), 1)
        del self.rows[9]
        self.assertEqual(len(self.findings()), 1)


if __name__ == "__main__":
    unittest.main()
