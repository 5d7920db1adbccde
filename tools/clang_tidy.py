"""clang-tidy-19 on units: python3 tools/clang_tidy.py COMPILE_COMMANDS CACHE JOBS [--all]

Without --all only units that changed, or include a header that changed, since the branch left
origin (or since the last commit when there is no origin). What was good and has not changed since
is not looked at again.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import check_lib

# Flags of g++ that clang does not know.
GCC_ONLY = ("-Wno-maybe-uninitialized", "-Wno-stringop", "-Wno-restrict", "-fpch", "-ffile-prefix")


def git(root, *arguments):
    ran = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True,
                         stdin=subprocess.DEVNULL)
    return ran.stdout.split() if ran.returncode == 0 else []


def changed_files(root):
    base = (git(root, "merge-base", "HEAD", "@{upstream}") or git(root, "rev-parse", "HEAD~1")
            or ["HEAD"])
    return {*git(root, "diff", "--name-only", base[0]),
            *git(root, "ls-files", "-o", "--exclude-standard")}


def command_of(unit, words, root):
    """For clang, with the precompiled header as an ordinary one: units may count on it."""
    header = "pch_test.h" if unit.endswith("_test.cpp") else "pch.h"
    return ["clang++-19", *(a for a in words[1:] if not a.startswith(GCC_ONLY)),
            "-include", str(root / "cmake" / header)]


def main(compile_commands, cache, jobs, everything):
    root = Path(__file__).resolve().parent.parent
    salt = "tidy 1 " + check_lib.digest_of(root / ".clang-tidy")
    verdicts = check_lib.Verdicts(cache, salt)
    commands = {unit: command_of(unit, words, root)
                for unit, words in check_lib.load_commands(compile_commands, root).items()}
    changed = None if everything else {str(root / name) for name in changed_files(root)}
    todo = []
    for unit, words in sorted(commands.items()):
        if not unit.endswith(".cpp") or not (root / unit).exists():
            continue
        if verdicts.known_good(unit, words):
            continue
        if changed is not None:
            files = check_lib.dependencies(words, str(root / unit), root)
            if files is not None and changed.isdisjoint(str((root / f).resolve()) for f in files):
                continue
        todo.append(unit)

    with tempfile.TemporaryDirectory() as folder:
        # A data base of our own: without launcher, precompiled header and what only g++ knows.
        entries = [{"directory": str(root), "file": str(root / unit),
                    "arguments": [*words, "-c", str(root / unit)]}
                   for unit, words in commands.items()]
        (Path(folder) / "compile_commands.json").write_text(json.dumps(entries))

        def check(unit):
            ran = subprocess.run(["clang-tidy-19", "--quiet", "-p", folder, str(root / unit)],
                                 cwd=root, capture_output=True, text=True,
                                 stdin=subprocess.DEVNULL)
            if ran.returncode != 0:
                return ran.stdout.replace(f"{root}/", "") or ran.stderr
            files = check_lib.dependencies(commands[unit], str(root / unit), root)
            if files is not None:
                verdicts.keep(unit, commands[unit], files)
            return ""

        bad = check_lib.run_all(todo, check, jobs)
    print(f"{len(commands)} units, {len(todo)} looked at, {bad} to change")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:] == ["--all"]))
