"""Tare's runner for Python: loads the agent's entry function, gives it its input, reports.

    main.py FILE:FUNCTION [ARGS...]     FILE is relative to the working directory
    main.py --handshake

The function is called with the input (or with nothing, if it takes nothing): /input/input.json
if there is one, else what is on stdin, as JSON, else None. What it returns is the run's result.
Exit status: 0; 1 when the function failed; 2 when it could not be called at all.
See docs/runners.md. Python 3.9 and later, the standard library only.
"""

import asyncio
import importlib.util
import inspect
import json
import os
import stat
import sys
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
# Instead of this file's own folder: the agent sees the SDK, and nothing else of the runner.
sys.path[0] = os.path.join(HERE, "lib")

import tare  # noqa: E402

INPUT = "/input/input.json"
PROTOCOL = 1
FAILED, NOT_CALLED = 1, 2


class EntryError(Exception):
    """The agent's entry cannot be called; the message says what to change."""


class InputError(Exception):
    """The input is no JSON."""


def handshake():
    version = ".".join(map(str, sys.version_info[:3]))
    print(json.dumps({"tare_runner": PROTOCOL, "language": "python", "runtime": version}))
    return 0


def load(entry):
    """The function that FILE:FUNCTION names."""
    path, colon, name = entry.rpartition(":")
    if not colon or not path or not name:
        raise EntryError(f"entry {entry!r}: write FILE:FUNCTION, such as main.py:handler")
    path = os.path.abspath(path)
    sys.path.insert(1, os.path.dirname(path))
    module_name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or not os.path.isfile(path):
        raise EntryError(f"entry {entry!r}: there is no Python file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    function = module
    for part in name.split("."):
        function = getattr(function, part, None)
    if not callable(function):
        raise EntryError(f"entry {entry!r}: {path} has no function {name}")
    return function


def read_input():
    try:
        with open(INPUT, "rb") as file:
            return parse(file.read(), INPUT)
    except FileNotFoundError:
        pass
    # A terminal is a person, not an input.
    if stat.S_ISCHR(os.fstat(0).st_mode):
        return None
    text = sys.stdin.buffer.read()
    return parse(text, "stdin") if text.strip() else None


def parse(text, where):
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{where} is no JSON: {error}") from None


def call(function, value):
    takes_nothing = not takes(function, value) and takes(function)
    result = function() if takes_nothing else function(value)
    if not inspect.isawaitable(result):
        return result

    async def wait():
        return await result
    return asyncio.run(wait())


def takes(function, *arguments):
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # it does not say; so it is tried
        return True
    return True


def own_frames_gone(trace):
    """Where the agent's code begins: nobody has to read through ours."""
    while trace is not None and trace.tb_frame.f_code.co_filename in OURS:
        trace = trace.tb_next
    return trace


OURS = {os.path.abspath(__file__), __file__, "<frozen importlib._bootstrap>",
        "<frozen importlib._bootstrap_external>"}


def fail(error, status):
    trace = own_frames_gone(error.__traceback__)
    text = "".join(traceback.format_exception(type(error), error, trace))
    sys.stdout.flush()
    sys.stderr.write(text)
    tare.report_error(type(error).__name__, str(error), text if trace is not None else "")
    return status


def main(arguments):
    if arguments == ["--handshake"]:
        return handshake()
    status = NOT_CALLED
    try:
        if not arguments:
            raise EntryError("no entry: write FILE:FUNCTION, such as main.py:handler")
        sys.argv = [arguments[0].rpartition(":")[0], *arguments[1:]]
        function = load(arguments[0])
        value = read_input()
        status = FAILED
        result = call(function, value)
        if result is not None:
            tare.result(result)
    except Exception as error:  # the agent's own, whatever it is
        return fail(error, status)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
