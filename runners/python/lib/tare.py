"""Tare's SDK for agents in Python.

    import tare
    tare.progress(0.5, "half of it")
    tare.log("42 rows read")
    tare.artifact("report.txt", "all is well\\n")

What is reported goes to Tare line by line; `tare inspect RUN` shows the last progress, the result
and the error. All calls may come from any thread, and from signal handlers. What Tare would not
take is a ReportError. Where nobody listens (an exec of a session, a child process) a result is
printed on stdout instead, and the rest is dropped.
"""

# json and select are imported where they are used, and the lock is that of threading without the
# rest: a handshake does without them, and they take longer than Python's own start.
import math
import os
import sys
from _thread import RLock

# What tared takes (src/model/run_report.h); docs/runners.md has them for people.
MAX_LINE_BYTES = 256 * 1024
MAX_DEPTH = 23  # lists and dicts within each other, of a result; the line itself is one more
MAX_KIND_BYTES = 256
MAX_MESSAGE_BYTES = 4096
MAX_ARTIFACTS = 256
MAX_NAME_BYTES = 1024
MAX_NAME_PARTS = 32
MAX_MEDIA_TYPE_BYTES = 126
# Half of what it takes: fits into a line even if each of its bytes is escaped as six.
MAX_TRACEBACK_BYTES = 32 * 1024
OUTPUT = "/output"

run_id = os.environ.get("TARE_RUN", "")
runner = os.environ.get("TARE_RUNNER", "")
#: Where the bridge listens, if this run has one.
bridge = os.environ.get("TARE_BRIDGE") or None


class ReportError(ValueError):
    """Tare would not take this; the message says why, and what to do instead."""


# ---- The pipe ----

def _open_report():
    """The pipe, and no child of the agent's inherits it. Two lines fit into its buffer."""
    try:
        fd = int(os.environ.pop("TARE_REPORT_FD"))
        os.set_inheritable(fd, False)
        return open(fd, "wb", buffering=2 * MAX_LINE_BYTES)
    except (KeyError, ValueError, OSError):
        return None


_pipe = _open_report()
_lines = []  # that are not in the pipe's buffer yet
# A signal handler may report while its thread is reporting.
_lock = RLock()


def _forked():
    """A forked child does not report: its lines could end up within those of its parent."""
    global _pipe, _lock
    _lock = RLock()
    _lines.clear()
    if _pipe is not None:
        _pipe.raw.close()  # not the buffer, which may hold a part of the parent's line
        _pipe = None


os.register_at_fork(after_in_child=_forked)


def _write_lines():
    """Whole lines, whatever happens: the buffer keeps the rest of one that was interrupted."""
    while _lines:
        line = _lines.pop(0)
        try:
            _pipe.write(line)
        except RuntimeError:  # within a write of this very thread, which goes on with this line
            _lines.insert(0, line)
            return
        _flush()


def _flush():
    while True:
        try:
            return _pipe.flush()
        except BlockingIOError:  # somebody made it non-blocking
            import select
            select.select([], [_pipe], [])


def _send(line):
    import json
    data = json.dumps(line, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    data = data.encode("utf-8", "replace") + b"\n"
    if len(data) > MAX_LINE_BYTES:
        raise _too_large(f"{len(data)} bytes")
    with _lock:
        if _pipe is None:
            return False
        _lines.append(data)
        _write_lines()
    return True


def close():
    """For the runner: the last line is whole, and no thread begins another."""
    global _pipe
    with _lock:
        if _pipe is not None:
            _write_lines()
            _flush()
            _pipe = None


# ---- What Tare would not take ----

def _too_large(what):
    return ReportError(f"{what} are too much for a report (at most {MAX_LINE_BYTES} bytes): "
                       "leave it in /output with tare.artifact()")


def _cut(text, most):
    """What people read is made to fit; so they read most of it."""
    data = str(text).replace("\0", "\ufffd").encode("utf-8", "replace")
    return data[:most].decode("utf-8", "ignore")


def _is_text(text):
    try:
        text.encode()
        return True
    except UnicodeEncodeError:
        return False


def _check(value, where="the result", depth=0, left=None):
    """Refuses what is no JSON, what would not come back as it is, and what is too much."""
    left = left if left is not None else [MAX_LINE_BYTES]
    left[0] -= 2
    if left[0] < 0:
        raise _too_large(f"more than {MAX_LINE_BYTES // 2} values")
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        if not _is_text(value):
            raise ReportError(f"{where} holds a lone surrogate: that is no Unicode text")
    elif isinstance(value, int):
        if not -2**63 <= value < 2**64:
            raise ReportError(f"{where} is an integer of more than 64 bits: report it as text")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ReportError(f"{where} is {value!r}: JSON has no such number")
    elif isinstance(value, (list, tuple, dict)):
        if depth == MAX_DEPTH:
            raise ReportError(f"the result is more than {MAX_DEPTH} levels deep: leave it in "
                              "/output with tare.artifact()")
        items = _members(value, where) if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            _check(item, f"{where}[{repr(key)[:80]}]", depth + 1, left)
    else:
        raise ReportError(f"{where} is no JSON: it is of type {type(value).__qualname__}")


def _members(value, where):
    """(key, value), the keys as JSON has them."""
    seen = set()
    for key, item in value.items():
        name = key
        if key is None or isinstance(key, (bool, int, float)):
            import json
            name = json.dumps(key)
        if not isinstance(name, str) or not _is_text(name):
            raise ReportError(f"{where} has the key {key!r}, which is no text")
        if name in seen:
            raise ReportError(f"{where} has two keys that are {name!r} as text")
        seen.add(name)
        yield name, item


_artifacts = set()


def _check_artifact(name, media_type):
    if not _is_text(name) or any(ord(c) < 0x20 or ord(c) == 0x7f for c in name):
        raise ReportError(f"artifact {name!r}: its name holds what is no text")
    if len(name.encode()) > MAX_NAME_BYTES or name.count("/") >= MAX_NAME_PARTS:
        raise ReportError(f"artifact {name[:80]!r}: a name has at most {MAX_NAME_BYTES} bytes and "
                          f"{MAX_NAME_PARTS} parts")
    if not isinstance(media_type, str) or not _is_text(media_type) or "\0" in media_type or \
            len(media_type.encode()) > MAX_MEDIA_TYPE_BYTES:
        raise ReportError(f"artifact {name!r}: its media type is a text of at most "
                          f"{MAX_MEDIA_TYPE_BYTES} bytes")
    if name not in _artifacts and len(_artifacts) >= MAX_ARTIFACTS:
        raise ReportError(f"artifact {name!r}: a report names at most {MAX_ARTIFACTS}; what is "
                          "in /output is kept without that")


# ---- For agents ----

def progress(fraction, message=""):
    """How far it is: a number from 0 to 1, and a line for people."""
    fraction = min(1.0, max(0.0, float(fraction)))
    _send({"type": "progress", "fraction": fraction, "message": _cut(message, MAX_MESSAGE_BYTES)})


def result(value):
    """What the run is worth: anything that is JSON. The last one counts."""
    _check(value)
    if not _send({"type": "result", "value": value}):
        import json
        print(json.dumps(value, ensure_ascii=False, allow_nan=False), flush=True)


def log(message, level="info"):
    """A line in the run's log, on stderr."""
    print(f"{level}: {message}", file=sys.stderr, flush=True)


def artifact(name, data=None, media_type=""):
    """Names a file in /output, and writes it there when there is `data` (text or bytes)."""
    path = os.path.normpath(os.path.join(OUTPUT, name))
    if not path.startswith(OUTPUT + "/"):
        raise ReportError(f"artifact {name!r} would not be in {OUTPUT}")
    name = os.path.relpath(path, OUTPUT)
    _check_artifact(name, media_type)
    if data is not None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
    elif not os.path.isfile(path):
        raise FileNotFoundError(f"artifact {name!r}: there is no file {path}")
    _artifacts.add(name)
    _send({"type": "artifact", "name": name, "media_type": media_type})
    return path


def report_error(kind, message, trace=""):
    """For the runner: why the agent failed."""
    line = {"type": "error", "kind": _cut(kind, MAX_KIND_BYTES),
            "message": _cut(message, MAX_MESSAGE_BYTES)}
    if trace:  # the end of it is where it happened
        line["traceback"] = _cut(trace, len(trace) * 4).encode()[-MAX_TRACEBACK_BYTES:].decode(
            "utf-8", "ignore")
    try:
        _send(line)
    except (OSError, ValueError):
        pass  # it is on stderr, too
