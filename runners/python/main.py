"""Tare's runner for Python: loads the agent's entry function, gives it its input, reports.

    main.py FILE:FUNCTION [ARGS...]     FILE is relative to the working directory
    main.py --handshake

The function is called with the input (or with nothing, if it takes nothing): /input/input.json
if there is one, else what is on stdin, as JSON, else None. What it returns is the run's result.
Exit status: 0; 1 when the function failed, or a thread or task that nobody waited for; 2 when it
could not be called at all; 130 when it was interrupted; what the agent gave to sys.exit().
See docs/runners.md. Python 3.9 and later, the standard library only.
"""

# What most runs and a handshake do without is imported where it is used: asyncio alone takes longer
# than all the rest, json and threading as long as Python's own start.
import atexit
import os
import stat
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# The agent sees the SDK, and nothing else of the runner: not this file's own folder, which is the
# first where Python is not isolated (-I: for a handshake).
if sys.path[:1] == [HERE]:
    del sys.path[0]
sys.path.insert(0, os.path.join(HERE, "lib"))

import tare  # noqa: E402

INPUT = "/input/input.json"
PROTOCOL = 1
FAILED, NOT_CALLED, INTERRUPTED = 1, 2, 130


class EntryError(Exception):
    """The agent's entry cannot be called; the message says what to change."""


class InputError(Exception):
    """The input is no JSON."""


def handshake():
    version = ".".join(map(str, sys.version_info[:3]))
    print(f'{{"tare_runner": {PROTOCOL}, "language": "python", "runtime": "{version}"}}')
    return 0


# ---- The entry and its input ----

def load(entry):
    """The function that FILE:FUNCTION names."""
    path, colon, name = entry.rpartition(":")
    if not colon or not path or not name:
        raise EntryError(f"entry {entry!r}: write FILE:FUNCTION, such as main.py:handler")
    path = os.path.abspath(path)
    if not os.path.isfile(path):
        raise EntryError(f"entry {entry!r}: there is no file {path}")
    # Its neighbours can be imported, and what is below the agent's own folder.
    sys.path[1:1] = list(dict.fromkeys([os.path.dirname(path), os.getcwd()]))
    module_name = os.path.splitext(os.path.basename(path))[0]
    if module_name in sys.modules:  # json.py is not what others get by `import json`
        module_name = "agent_" + module_name
    import importlib.util
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None:
        raise EntryError(f"entry {entry!r}: {path} does not end in .py")
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
    import json  # loaded by main(): never the agent's own json.py

    def refuse(name):
        raise ValueError(f"{name} is no number of JSON's")
    try:
        return json.loads(text, parse_constant=refuse)
    except ValueError as error:
        raise InputError(f"{where} is no JSON: {error}") from None
    except RecursionError:
        raise InputError(f"{where} is nested too deeply") from None


# ---- The call ----

def call(function, value):
    import inspect
    takes_nothing = not takes(function, value) and takes(function)
    result = function() if takes_nothing else function(value)
    if not inspect.isawaitable(result):
        return result
    import asyncio

    async def wait():
        asyncio.get_running_loop().set_exception_handler(of_the_loop)
        return await result
    return asyncio.run(wait())


def takes(function, *arguments):
    import inspect
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # it does not say; so it is tried
        return True
    return True


# ---- What nobody waits for ----

unnoticed = []  # errors of threads, and of the event loop's tasks and callbacks
threads_hook = None  # Python's own


def of_the_loop(loop, context):
    loop.default_exception_handler(context)
    if context.get("exception") is not None:
        unnoticed.append(context["exception"])


def of_a_thread(arguments):
    threads_hook(arguments)
    if arguments.exc_value is not None and not isinstance(arguments.exc_value, SystemExit):
        unnoticed.append(arguments.exc_value)


def at_the_end(ended):
    """When all threads are through, too. The status that Python is ending with is `ended`'s."""
    status = ended.get("status")
    if unnoticed and status == 0:
        report(unnoticed[0])
        status = FAILED
    tare.close()
    if status != ended.get("status"):
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:  # closed, or not even one
                pass
        os._exit(status)  # the only way to change it now


# ---- Failures ----

def own_frames_gone(trace):
    """Where the agent's code begins: nobody has to read through ours."""
    begin = trace
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in MAIN:
            begin = trace.tb_next
        trace = trace.tb_next
    while begin is not None and begin.tb_frame.f_code.co_filename in OURS:
        begin = begin.tb_next
    return begin


MAIN = {os.path.abspath(__file__), __file__}
OURS = {tare.__file__, "<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>"}


def message_of(error):
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        return f"sys.exit({error.code})"
    try:
        return str(error) or repr(error)
    except Exception:
        return "its message could not be made"


def report(error):
    """Tells Tare; the text for people."""
    import traceback
    trace = own_frames_gone(error.__traceback__)
    text = "".join(traceback.format_exception(type(error), error, trace))
    told = trace is not None or isinstance(error, SyntaxError)
    tare.report_error(type(error).__name__, message_of(error), text if told else "")
    return text


def fail(error, status):
    """First what Tare is told: streams may be full, closed, or the agent's own."""
    text = report(error)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    write_all(2, text.encode("utf-8", "backslashreplace"))
    return status


def write_all(fd, data):
    while data:
        try:
            data = data[os.write(fd, data):]
        except BlockingIOError:
            import select
            select.select([], [fd], [])
        except OSError:
            return  # nobody reads it


def leave(error, status):
    """The agent's sys.exit(): its status, unless it has kept its entry from being called."""
    if status == NOT_CALLED:
        return fail(error, error.code if isinstance(error.code, int) and error.code else status)
    if error.code not in (None, 0):
        report(error)
    return error.code


def run(arguments):
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
    except SystemExit as error:
        return leave(error, status)
    except KeyboardInterrupt as error:
        return fail(error, INTERRUPTED)
    except BaseException as error:  # the agent's own, whatever it is
        return fail(error, status)
    return 0


def main(arguments):
    if arguments == ["--handshake"]:
        return handshake()
    # While the path is still Python's own. The SDK uses them, too.
    import json  # noqa: F401
    import select  # noqa: F401
    import threading
    global threads_hook
    threads_hook = threading.excepthook
    ended = {}
    atexit.register(at_the_end, ended)
    threading.excepthook = of_a_thread
    status = run(arguments)
    ended["status"] = 0 if status is None else status
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
