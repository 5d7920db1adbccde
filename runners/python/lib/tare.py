"""Tare's SDK for agents in Python.

    import tare
    tare.progress(0.5, "half of it")
    tare.log("42 rows read")
    tare.artifact("report.txt", "all is well\\n")

What is reported goes to Tare line by line; `tare inspect RUN` shows the last progress, the result
and the error. All calls may come from any thread. Where nobody listens (an exec of a session) a
result is printed on stdout instead, and the rest is dropped.
"""

import json
import os
import sys
import threading

# What tared takes of one line (src/model/run_report.h).
MAX_LINE_BYTES = 256 * 1024
MAX_MESSAGE_BYTES = 4096
MAX_TRACEBACK_BYTES = 64 * 1024
OUTPUT = "/output"

run_id = os.environ.get("TARE_RUN", "")
runner = os.environ.get("TARE_RUNNER", "")
#: Where the bridge listens, if this run has one.
bridge = os.environ.get("TARE_BRIDGE") or None

_lock = threading.Lock()


def _open_report():
    """The descriptor, and no child of the agent's inherits it."""
    try:
        fd = int(os.environ.pop("TARE_REPORT_FD"))
        os.set_inheritable(fd, False)
        return fd
    except (KeyError, ValueError, OSError):
        return None


_report = _open_report()


def _cut(text, most):
    data = str(text).encode("utf-8", "replace")
    return data[:most].decode("utf-8", "ignore")


def _send(line):
    data = json.dumps(line, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    data = data.encode("utf-8", "replace") + b"\n"
    if len(data) > MAX_LINE_BYTES:
        raise ValueError(f"{len(data)} bytes are too much for a report (at most {MAX_LINE_BYTES}): "
                         "leave it in /output with tare.artifact()")
    with _lock:
        if _report is None:
            return False
        while data:
            data = data[os.write(_report, data):]
    return True


def progress(fraction, message=""):
    """How far it is: a number from 0 to 1, and a line for people."""
    fraction = min(1.0, max(0.0, float(fraction)))
    _send({"type": "progress", "fraction": fraction, "message": _cut(message, MAX_MESSAGE_BYTES)})


def result(value):
    """What the run is worth: anything that is JSON. The last one counts."""
    if not _send({"type": "result", "value": value}):
        print(json.dumps(value, ensure_ascii=False, allow_nan=False), flush=True)


def log(message, level="info"):
    """A line in the run's log, on stderr."""
    print(f"{level}: {message}", file=sys.stderr, flush=True)


def artifact(name, data=None, media_type=""):
    """Names a file in /output, and writes it there when there is `data` (text or bytes)."""
    path = os.path.normpath(os.path.join(OUTPUT, name))
    if not path.startswith(OUTPUT + "/"):
        raise ValueError(f"artifact {name!r} would not be in {OUTPUT}")
    if data is not None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
    elif not os.path.isfile(path):
        raise FileNotFoundError(f"artifact {name!r}: there is no file {path}")
    _send({"type": "artifact", "name": os.path.relpath(path, OUTPUT), "media_type": media_type})
    return path


def report_error(kind, message, trace=""):
    """For the runner: why the agent failed."""
    line = {"type": "error", "kind": _cut(kind, 256), "message": _cut(message, MAX_MESSAGE_BYTES)}
    if trace:
        line["traceback"] = _cut(trace[-MAX_TRACEBACK_BYTES // 2:], MAX_TRACEBACK_BYTES)
    try:
        _send(line)
    except (OSError, ValueError):
        pass  # it is on stderr, too
