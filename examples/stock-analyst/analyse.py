"""Studies monthly stock prices: python3 analyse.py [STOCKS_CSV [OUTPUT_FOLDER]]

Reads /input/stocks.csv (columns symbol,date,price; one row a symbol and month, dates such as "Jan 1
2000" or 2000-01-01) and writes to /output:

  result.json   every figure              report.md   the same for people
  chart.png     growth and drawdown

The table goes to standard output as well. Input that cannot be right is refused with the line at
fault on standard error and exit status 2; nothing is guessed, dropped or filled in.
"""

import csv
import json
import math
import statistics
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTHS_A_YEAR = 12
ROWS_MAX = 100_000
SYMBOLS_MAX = 50
PRICES_MIN = 3  # two returns: the fewest that have a volatility


class BadInput(Exception):
    """The input is wrong; the text says where and how."""


@dataclass
class Series:
    """The prices of one symbol, one a month, oldest first."""

    symbol: str
    months: list  # of date, always the first of the month
    prices: list  # of float, each above 0

    def returns(self):
        """month -> the price's change since the month before, as a fraction."""
        pairs = zip(self.prices, self.prices[1:])
        return dict(zip(self.months[1:], (now / before - 1 for before, now in pairs)))

    def drawdowns(self):
        """How far each price is below the highest one until then: 0 or less."""
        highest, falls = 0.0, []
        for price in self.prices:
            highest = max(highest, price)
            falls.append(price / highest - 1)
        return falls


# ---- Reading -------------------------------------------------------------------------------------

def month_of(text):
    """The first of the month that a date lies in."""
    words = text.split()
    try:
        if len(words) == 3 and words[0] in MONTHS:
            day = date(int(words[2]), MONTHS.index(words[0]) + 1, int(words[1]))
        else:
            day = date.fromisoformat(text.strip())
    except ValueError:
        raise BadInput(f"date {text!r} is neither like 'Jan 1 2000' nor like 2000-01-01") from None
    return day.replace(day=1)


def price_of(text):
    try:
        price = float(text)
    except ValueError:
        raise BadInput(f"price {text!r} is not a number") from None
    if not math.isfinite(price) or price <= 0:
        raise BadInput(f"price {text!r} is not above 0")
    return price


def read_rows(lines):
    """(symbol, month) -> price"""
    reader = csv.reader(lines, strict=True)
    header = [name.strip().lower() for name in next(reader, [])]
    if header != ["symbol", "date", "price"]:
        raise BadInput(f"line 1: the columns must be symbol,date,price, not {','.join(header)!r}")
    found = {}
    for row in reader:
        if not row:
            continue
        try:
            if len(row) != 3:
                raise BadInput(f"{len(row)} columns instead of 3")
            symbol = row[0].strip()
            if not symbol or len(symbol) > 16 or not symbol.isprintable():
                raise BadInput(f"symbol {symbol[:20]!r} is not 1 to 16 printable characters")
            key = symbol, month_of(row[1])
            if key in found:
                raise BadInput(f"a second price of {symbol} for {key[1]:%Y-%m}")
            found[key] = price_of(row[2])
        except BadInput as error:
            raise BadInput(f"line {reader.line_num}: {error}") from None
        if len(found) > ROWS_MAX:
            raise BadInput(f"more than {ROWS_MAX} rows")
    return found


def read_series(lines):
    """The list of Series, by symbol; every month of each is there."""
    rows = read_rows(lines)
    symbols = sorted({symbol for symbol, _ in rows})
    if not symbols:
        raise BadInput("there are no prices in it")
    if len(symbols) > SYMBOLS_MAX:
        raise BadInput(f"{len(symbols)} symbols; at most {SYMBOLS_MAX} can be shown")
    result = []
    for symbol in symbols:
        months = sorted(month for name, month in rows if name == symbol)
        if len(months) < PRICES_MIN:
            raise BadInput(f"{symbol} has {len(months)} prices; at least {PRICES_MIN} are needed")
        for before, month in zip(months, months[1:]):
            if (month.year - before.year) * MONTHS_A_YEAR + month.month - before.month != 1:
                raise BadInput(f"{symbol} has no price between {before:%Y-%m} and {month:%Y-%m}")
        result.append(Series(symbol, months, [rows[symbol, month] for month in months]))
    return result


# ---- Figures -------------------------------------------------------------------------------------

def figures_of(series):
    """What result.json says of one symbol. Fractions, not percent; rounded to six digits."""
    falls = series.drawdowns()
    trough = falls.index(min(falls))
    peak = series.prices.index(max(series.prices[:trough + 1]))
    years = (len(series.prices) - 1) / MONTHS_A_YEAR
    growth = series.prices[-1] / series.prices[0]
    volatility = statistics.stdev(series.returns().values()) * math.sqrt(MONTHS_A_YEAR)
    return {
        "symbol": series.symbol,
        "from": f"{series.months[0]:%Y-%m}",
        "to": f"{series.months[-1]:%Y-%m}",
        "months": len(series.months),
        "first_price": series.prices[0],
        "last_price": series.prices[-1],
        "total_return": round(growth - 1, 6),
        "annual_return": round(growth ** (1 / years) - 1, 6),
        "annual_volatility": round(volatility, 6),
        "max_drawdown": round(falls[trough], 6),
        "max_drawdown_from": f"{series.months[peak]:%Y-%m}",
        "max_drawdown_to": f"{series.months[trough]:%Y-%m}",
    }


def correlation_of(one, other):
    """Of the monthly returns in the months that both have; None where that says nothing."""
    mine, theirs = one.returns(), other.returns()
    common = sorted(mine.keys() & theirs.keys())
    try:
        return round(statistics.correlation([mine[m] for m in common],
                                            [theirs[m] for m in common]), 6)
    except statistics.StatisticsError:  # fewer than two months, or a price that never moved
        return None


def analyse(all_series):
    return {
        "symbols": [figures_of(series) for series in all_series],
        "correlation": {
            "symbols": [series.symbol for series in all_series],
            "matrix": [[correlation_of(one, other) for other in all_series] for one in all_series],
        },
    }


# ---- Writing -------------------------------------------------------------------------------------

COLUMNS = ("symbol", "from", "to", "total return", "per year", "volatility", "max drawdown")


def table_rows(result):
    for f in result["symbols"]:
        yield (f["symbol"], f["from"], f["to"], f"{f['total_return']:+.1%}",
               f"{f['annual_return']:+.1%}", f"{f['annual_volatility']:.1%}",
               f"{f['max_drawdown']:.1%}")


def plain_table(result):
    """Columns lined up for a terminal; text to the left, numbers to the right."""
    rows = [COLUMNS, *table_rows(result)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) if i < 3 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
                     for row in rows)


def markdown_table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|---" + "|--:" * (len(header) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row).replace("\n", " ") + " |" for row in rows])


def report_of(result):
    figures = result["symbols"]
    best = max(figures, key=lambda f: f["annual_return"])
    calm = min(figures, key=lambda f: f["annual_volatility"])
    deep = min(figures, key=lambda f: f["max_drawdown"])
    names = result["correlation"]["symbols"]
    matrix = [[name] + ["-" if c is None else f"{c:.2f}" for c in row]
              for name, row in zip(names, result["correlation"]["matrix"])]
    return f"""# Stocks, {min(f["from"] for f in figures)} to {max(f["to"] for f in figures)}

- Highest return: **{best["symbol"]}**, {best["annual_return"]:+.1%} a year.
- Calmest: **{calm["symbol"]}**, {calm["annual_volatility"]:.1%} volatility a year.
- Deepest fall: **{deep["symbol"]}**, {deep["max_drawdown"]:.1%} from \
{deep["max_drawdown_from"]} to {deep["max_drawdown_to"]}.

{markdown_table(COLUMNS, table_rows(result))}

![Growth and drawdown](chart.png)

## Correlation of monthly returns

{markdown_table(["", *names], matrix)}

Prices are monthly. Volatility is the standard deviation of monthly returns times the square root
of 12; the drawdown is the fall from the highest price until then. Correlations are of the months
that both have.
"""


def main(arguments):
    source = Path(arguments[0] if arguments else "/input/stocks.csv")
    output = Path(arguments[1] if len(arguments) > 1 else "/output")
    try:
        with source.open(encoding="utf-8-sig", newline="") as lines:
            all_series = read_series(lines)
    except (BadInput, OSError, UnicodeDecodeError, csv.Error) as error:
        text = error.strerror if isinstance(error, OSError) else error
        print(f"{source}: {text}", file=sys.stderr)
        return 2
    result = analyse(all_series)
    (output / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (output / "report.md").write_text(report_of(result), encoding="utf-8")
    from chart import draw  # after the cheap part: matplotlib takes a second to load
    draw(all_series, output / "chart.png")
    print(plain_table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
