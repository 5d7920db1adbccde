"""What ./dev run ends with: python3 tools/dev/show_run.py RUN_JSON OUTPUT_FOLDER TARE

RUN_JSON is what `tare run --json` printed. Prints the table of the agent's result.json, where the
chart is, start time and peak memory (`tare inspect`), and what to try next. No colours.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

COLUMNS = ("symbol", "from", "to", "total return", "per year", "volatility", "max drawdown")


def table(result):
    rows = [COLUMNS]
    for f in result["symbols"]:
        rows.append((f["symbol"], f["from"], f["to"], f"{f['total_return']:+.1%}",
                     f"{f['annual_return']:+.1%}", f"{f['annual_volatility']:.1%}",
                     f"{f['max_drawdown']:.1%}"))
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    for row in rows:
        cells = zip(row, widths)
        yield "  ".join(c.rjust(w) if i > 2 else c.ljust(w) for i, (c, w) in enumerate(cells))


def inspect(tare, run_id):
    shown = subprocess.run([tare, "inspect", run_id], capture_output=True, text=True, check=True,
                           stdin=subprocess.DEVNULL)
    run = json.loads(shown.stdout)
    return run.get("run", run)


def main(run_json, folder, tare):
    try:
        done = json.loads(Path(run_json).read_text())
    except ValueError:
        print("the run gave no answer", file=sys.stderr)
        return 1
    if done["exit_status"] != 0:
        print(f"the run failed with exit status {done['exit_status']}:", file=sys.stderr)
        print(json.dumps(done, indent=1), file=sys.stderr)
        return 1
    output = Path(folder).resolve()
    print("\n".join(table(json.loads((output / "result.json").read_text()))))
    run = inspect(tare, done["run"]["id"])
    usage = run["usage"]
    shown = os.path.relpath(tare)
    if os.environ["TARE_HOME"] != "/var/lib/tare":
        shown = f"TARE_HOME={os.environ['TARE_HOME']} {shown}"
    print(f"""
chart    {output / "chart.png"}
report   {output / "report.md"}
run      {run["id"]}
sandbox  started in {usage["start_us"] / 1000:.1f} ms, peak memory \
{usage["memory_peak_bytes"] / 2**20:.0f} MiB, ran for {usage["wall_us"] / 1e6:.1f} s

Try next:
  {shown} ps -a
  {shown} inspect {run["id"]}
  {shown} run --env host --mem 64M --timeout 10s -- sh -c 'id; ls /; ps ax || ls /proc'
""", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
