"""Every header of src/ compiles alone: python3 tools/header_check.py COMPILE_COMMANDS CACHE JOBS

Uses the flags of a unit in the same folder, without the precompiled header (it would hide a missing
#include). What was good and has not changed since is not compiled again.
"""

import subprocess
import sys
from pathlib import Path

import check_lib


def arguments_for(header, commands):
    """Flags of the nearest unit: same folder, else the nearest folder above."""
    folder = Path(header).parent
    while folder != Path("."):
        for name in sorted(commands):
            if Path(name).is_relative_to(folder) and not name.endswith("_test.cpp"):
                return commands[name]
        folder = folder.parent
    return None


def main(compile_commands, cache, jobs):
    root = Path(__file__).resolve().parent.parent
    commands = check_lib.load_commands(compile_commands, root)
    verdicts = check_lib.Verdicts(cache, "headers 1")
    listed = subprocess.run(["git", "ls-files", "-c", "-o", "--exclude-standard", "src/*.h"],
                            cwd=root, capture_output=True, text=True, check=True,
                            stdin=subprocess.DEVNULL)
    headers = sorted({h for h in listed.stdout.split() if (root / h).exists()})
    todo, flags = [], {}
    for header in headers:
        arguments = arguments_for(header, commands)
        if arguments is None:
            continue  # a folder that nothing is compiled in yet
        # What only test programs are given (cmake/tare.cmake).
        flags[header] = [*arguments, '-DTARE_BIN_DIR=""', "-fsyntax-only"]
        if not verdicts.known_good(header, flags[header]):
            todo.append(header)

    def check(header):
        # By a unit that only includes it: compiled as the main file it would warn of #pragma once.
        ran = subprocess.run([*flags[header], "-x", "c++", "-"], cwd=root, text=True,
                             capture_output=True, input=f'#include "{root / header}"\n')
        if ran.returncode != 0:
            return f"{header} does not compile alone:\n{ran.stderr}"
        files = check_lib.dependencies(flags[header], str(root / header), root)
        if files is not None:
            verdicts.keep(header, flags[header], files)
        return ""

    bad = check_lib.run_all(todo, check, jobs)
    print(f"{len(headers)} headers, {len(todo)} looked at, {bad} to change")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
