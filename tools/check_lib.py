"""What header_check.py and clang_tidy.py share: compile commands, and verdicts kept by content.

A verdict of a unit depends on the command and on the bytes of every file that went into it. The
list of those files comes from the compiler (-MM) at the first run and is kept beside the verdict;
as long as none of them changed, the unit is not looked at again.
"""

import hashlib
import json
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=None)
def digest_of(path):
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return "gone"


def arguments_of(entry):
    """A compile command without launcher, output, dependency file and precompiled header."""
    words = entry.get("arguments") or shlex.split(entry["command"])
    while words and not Path(words[0]).name.startswith(("c++", "g++", "clang")):
        words = words[1:]
    kept, skip = [], False
    for at, word in enumerate(words):
        if skip:
            skip = False
        elif word in ("-o", "-MF", "-MT", "-MQ"):
            skip = True
        elif word == "-include" and "cmake_pch" in words[at + 1]:
            skip = True
        elif word not in ("-c", "-MD", "-MMD", "-Winvalid-pch", "-fpch-preprocess",
                          "-Wno-error=invalid-pch", entry["file"]):
            kept.append(word)
    return kept


def load_commands(path, root):
    """source path relative to the root -> arguments; only what is ours."""
    commands = {}
    for entry in json.loads(Path(path).read_text()):
        try:
            name = str(Path(entry["file"]).resolve().relative_to(root))
        except ValueError:
            continue
        if name.startswith(("src/", "tests/", "bench/")):
            commands[name] = arguments_of(entry)
    return commands


def dependencies(arguments, source, root):
    """Every file that the unit includes, itself among them; None when it does not compile."""
    ran = subprocess.run([*arguments, "-w", "-MM", "-x", "c++", source], cwd=root, text=True,
                         capture_output=True, stdin=subprocess.DEVNULL)
    if ran.returncode != 0:
        return None
    return ran.stdout.replace("\\\n", " ").split(":", 1)[1].split()


class Verdicts:
    """One file a unit, {"key": hash, "files": [...]}: the unit was good with that content."""

    def __init__(self, folder, salt):
        self.folder, self.salt = Path(folder), salt
        self.folder.mkdir(parents=True, exist_ok=True)

    def key(self, arguments, files):
        text = "\n".join([self.salt, *arguments, *(f"{f} {digest_of(f)}" for f in files)])
        return hashlib.sha256(text.encode()).hexdigest()

    def file(self, unit):
        return self.folder / (unit.replace("/", "+") + ".json")

    def known_good(self, unit, arguments):
        try:
            kept = json.loads(self.file(unit).read_text())
        except (OSError, ValueError):
            return False
        return kept["key"] == self.key(arguments, kept["files"])

    def keep(self, unit, arguments, files):
        text = json.dumps({"key": self.key(arguments, files), "files": files})
        self.file(unit).write_text(text)


def run_all(units, check, jobs):
    """check(unit) -> text of what is wrong or ""; prints the texts in order; how many were bad."""
    bad = 0
    with ThreadPoolExecutor(jobs) as pool:
        for text in pool.map(check, units):
            if text:
                print(text.rstrip(), flush=True)
                bad += 1
    return bad
