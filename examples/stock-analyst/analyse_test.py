"""Tests of analyse.py on small inputs; matplotlib is not needed."""

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import analyse

GOOD = """symbol,date,price
UP,Jan 1 2000,100
UP,Feb 1 2000,110
UP,Mar 1 2000,121
DIP,2000-01-01,50
DIP,2000-02-01,100
DIP,2000-03-01,25
DIP,2000-04-01,75
"""


def read(text):
    return analyse.read_series(io.StringIO(text))


class ReadingTest(unittest.TestCase):
    def refused(self, text):
        with self.assertRaises(analyse.BadInput) as caught:
            read(text)
        return str(caught.exception)

    def test_both_forms_of_a_date_and_any_order_of_rows(self):
        lines = GOOD.splitlines()
        for text in (GOOD, "\n".join([lines[0], *reversed(lines[1:])])):
            dip, up = read(text)
            self.assertEqual((dip.symbol, dip.prices), ("DIP", [50, 100, 25, 75]))
            self.assertEqual([f"{m:%Y-%m}" for m in up.months], ["2000-01", "2000-02", "2000-03"])

    def test_what_is_wrong_is_named_with_its_line(self):
        head = "symbol,date,price\n"
        for text, words in {
            "": "line 1: the columns must be symbol,date,price",
            "date,symbol,price\n": "line 1: the columns must be",
            head: "no prices",
            head + "A,Jan 1 2000\n": "line 2: 2 columns instead of 3",
            head + "A,Jan 1 2000,1\nA,Foo 1 2000,1\n": "line 3: date 'Foo 1 2000'",
            head + "A,Feb 30 2000,1\n": "line 2: date 'Feb 30 2000'",
            head + "A,2000-13-01,1\n": "line 2: date '2000-13-01'",
            head + "A,Jan 1 2000,ten\n": "line 2: price 'ten' is not a number",
            head + "A,Jan 1 2000,0\n": "line 2: price '0' is not above 0",
            head + "A,Jan 1 2000,-1\n": "line 2: price '-1' is not above 0",
            head + "A,Jan 1 2000,nan\n": "line 2: price 'nan' is not above 0",
            head + "A,Jan 1 2000,inf\n": "line 2: price 'inf' is not above 0",
            head + ",Jan 1 2000,1\n": "line 2: symbol '' is not 1 to 16",
            head + "A\tB,Jan 1 2000,1\n": "line 2: symbol",
            head + "A,Jan 1 2000,1\nA,Jan 15 2000,2\n": "line 3: a second price of A for 2000-01",
            head + "A,Jan 1 2000,1\nA,Feb 1 2000,2\n": "A has 2 prices; at least 3",
            GOOD + "UP,Jun 1 2000,1\n": "UP has no price between 2000-03 and 2000-06",
            head + "".join(f"S{i},2000-01-01,1\n" for i in range(51)): "51 symbols; at most 50",
        }.items():
            self.assertIn(words, self.refused(text))


class FiguresTest(unittest.TestCase):
    def setUp(self):
        self.dip, self.up = read(GOOD)

    def test_returns(self):
        figures = analyse.figures_of(self.up)
        self.assertAlmostEqual(figures["total_return"], 0.21)
        self.assertAlmostEqual(figures["annual_return"], 1.1 ** 12 - 1, places=6)
        self.assertAlmostEqual(figures["annual_volatility"], 0.0)
        self.assertEqual(figures["max_drawdown"], 0)

    def test_volatility_is_of_a_year(self):
        # Returns +1, -0.75, +2: mean 0.75, sample variance (0.0625 + 2.25 + 1.5625) / 2.
        expected = (3.875 / 2 * 12) ** 0.5
        figures = analyse.figures_of(self.dip)
        self.assertAlmostEqual(figures["annual_volatility"], expected, places=6)

    def test_drawdown_is_from_the_highest_price_before_the_lowest(self):
        figures = analyse.figures_of(self.dip)
        self.assertEqual(figures["max_drawdown"], -0.75)
        self.assertEqual(figures["max_drawdown_from"], "2000-02")
        self.assertEqual(figures["max_drawdown_to"], "2000-03")

    def test_correlation_of_opposites_of_itself_and_of_nothing(self):
        rows = "".join(f"A,2000-0{i}-01,{p}\nB,2000-0{i}-01,{q}\n" for i, p, q in
                       ((1, 100, 100), (2, 110, 90), (3, 99, 99)))
        a, b = read("symbol,date,price\n" + rows)
        self.assertAlmostEqual(analyse.correlation_of(a, a), 1.0)
        self.assertAlmostEqual(analyse.correlation_of(a, b), -1.0)
        flat = read("symbol,date,price\n" + "".join(f"F,2000-0{i}-01,5\n" for i in (1, 2, 3)))[0]
        self.assertIsNone(analyse.correlation_of(a, flat))
        far = read("symbol,date,price\n" + "".join(f"F,2010-0{i}-01,{i}\n" for i in (1, 2, 3)))[0]
        self.assertIsNone(analyse.correlation_of(a, far))


class WholeTest(unittest.TestCase):
    def run_on(self, content):
        """(exit status, standard output, standard error, output folder)"""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        source, output = Path(folder.name) / "stocks.csv", Path(folder.name) / "out"
        output.mkdir()
        if content is not None:
            source.write_bytes(content)
        drawn = SimpleNamespace(draw=lambda series, path: path.write_bytes(b"PNG"))
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.dict("sys.modules", chart=drawn), \
                contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = analyse.main([str(source), str(output)])
        return status, out.getvalue(), err.getvalue(), output

    def test_good_input_leaves_three_files_and_prints_the_table(self):
        status, out, err, output = self.run_on(GOOD.encode())
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(sorted(p.name for p in output.iterdir()),
                         ["chart.png", "report.md", "result.json"])
        result = json.loads((output / "result.json").read_text())
        self.assertEqual([f["symbol"] for f in result["symbols"]], ["DIP", "UP"])
        self.assertEqual(result["correlation"]["symbols"], ["DIP", "UP"])
        self.assertIn("Deepest fall: **DIP**, -75.0%", (output / "report.md").read_text())
        self.assertRegex(out, r"(?m)^UP +2000-01 +2000-03 +\+21\.0% ")

    def test_bad_input_says_so_and_leaves_nothing(self):
        for content in (None, b"", b"\xff\xfe\x00", b"symbol,date,price\nA,\"x", b"a,b\n"):
            status, out, err, output = self.run_on(content)
            self.assertEqual((status, out), (2, ""))
            self.assertRegex(err, r"^\S*stocks\.csv: .+\n$")
            self.assertEqual(list(output.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
