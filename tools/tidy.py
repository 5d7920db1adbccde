"""House rules that no compiler checks: python3 tools/tidy.py [--update-ratchet]

Layers (tools/layers.txt), lengths, banned tokens, module READMEs, headers, links in *.md; the
rules are explained in CONTRIBUTING.md. One line a finding, `path:line: rule: what and what to do`;
exit status 1 when there is any. Standard library only, a second for the whole tree. Old debts are
in tools/ratchet.json, {"rule path": amount}: they may shrink, never grow; --update-ratchet writes
down what has shrunk.
"""

import ast
import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

LINE_MAX = {".h": 100, ".cpp": 100, ".inc": 100, ".py": 100}
LINE_MAX_ELSE = 120  # shell, CMake, TOML, text; Markdown tables and links are let be
FUNCTION_MAX = 70
FILE_MAX = 400
README_MAX = 60

CODE = {".h", ".cpp", ".inc"}
TEXT = CODE | {".py", ".sh", ".cmake", ".txt", ".toml", ".sql"}

# (rule, pattern, where it may stand, what to do instead). Searched in code without comments and
# strings.
# A place is a folder or file of the tree, or "*suffix". Tests may use what stands under TESTS_MAY.
TOKENS = [
    ("syscall", r"(?<![\w>.:])::(?:open|openat|creat|close|dup[23]?|v?fork|clone3?|mount|umount2?"
                r"|setns|unshare|chroot|pivot_root|execv\w*|kill|waitpid|waitid)\s*\(",
     ["src/sys", "src/sandbox/init", "src/sandbox/files", "src/sandbox/posture"],
     "use the wrapper in src/sys"),
    ("clock", r"(?:system|steady|high_resolution)_clock::now|\b(?:clock_gettime|gettimeofday)\s*\(",
     ["src/base", "src/sandbox/init"], "use base/clock.h"),
    ("sleep", r"(?<!fiber::)\bsleep_(?:for|until)\b|\b(?:u|nano)?sleep\s*\(",
     ["src/base", "src/fiber"], "wait on a timer (fiber/timer.h)"),
    ("random", r"\bs?rand\s*\(|\brandom_device\b|\bmt19937|\bgetrandom\s*\(",
     ["src/base", "src/sandbox/files"], "use base/random.h"),
    ("getenv", r"\bgetenv\s*\(", ["*main.cpp", "src/cli"],
     "main reads the environment and passes it on"),
    ("new", r"\bnew\s+[A-Za-z_:(]|\bnew\s*\(", ["src/fiber"],
     "use std::make_unique or a container"),
    ("delete", r"(?<!=)(?<!= )(?<!operator )\bdelete\b", ["src/fiber"], "let an owner do it"),
    ("thread", r"\bstd::j?thread\b(?!::)|\bpthread_create\b",
     ["src/fiber", "src/sql", "src/sys/sync_many.cpp"], "use fiber/offload.h"),
    ("detach", r"[.>]detach\s*\(\s*\)", [], "every thread and fiber has an owner that joins it"),
    ("regex", r"\bstd::w?regex\b|#\s*include\s*<regex>", [],
     "seven seconds a unit and an unbounded stack; parse by hand"),
    ("catch_all", r"\bcatch\s*\(\s*\.\.\.\s*\)", [],
     "it swallows a fiber's unwinding; catch std::exception"),
    ("iostream", r"#\s*include\s*<iostream>|\bstd::(?:cout|cerr|clog)\b", [],
     "use base/log.h or fmt"),
    ("assert", r"(?<!static_)\bassert\s*\(", [], "use CHECK, which is on in release"),
    ("shared", r"\benable_shared_from_this\b", [], "give it one owner"),
]
TESTS_MAY = {"syscall", "sleep", "random", "getenv", "thread", "clock"}
TODO = re.compile(r"\b(?:TODO|FIXME|XXX)\b")


def is_test(path):
    """x_test.cpp, and what several of them share: test_y.h, fake_z.cpp."""
    return (path.startswith(("tests/", "bench/")) or path.endswith("_test.cpp")
            or Path(path).name.startswith(("test_", "fake_")))


def stands_in(path, places):
    return any(path.endswith(place[1:]) if place.startswith("*")
               else path == place or path.startswith(place + "/") for place in places)


class Findings:
    """What was found; amounts of the rules that the ratchet knows are added up per file."""

    def __init__(self):
        self.items = []  # (path, line, rule, text, amount)

    def add(self, path, line, rule, text, amount=1):
        self.items.append((path, line, rule, text, amount))

    def debts(self):
        sums = defaultdict(int)
        for path, _, rule, _, amount in self.items:
            sums[f"{rule} {path}"] += amount
        return dict(sums)

    def beyond(self, ratchet):
        debts = self.debts()
        return [item for item in self.items
                if debts[f"{item[2]} {item[0]}"] > ratchet.get(f"{item[2]} {item[0]}", 0)]


# ---- Reading C++ ---------------------------------------------------------------------------------

# Comments, raw strings, strings, characters (but not the 's of 65'536).
LITERALS = re.compile(r"""//[^\n]*|/\*.*?\*/|R"([^()\\ ]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*\""""
                      r"""|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'""", re.S)


def line_of(text, match):
    return text.count("\n", 0, match.start()) + 1


def blank(match):
    """Same length, same lines, no content."""
    return re.sub(r"[^\n]", " ", match.group(0))


def code_of(text):
    """C++ without comments and literals; positions stay the same. #include lines are kept whole."""
    kept = LITERALS.sub(blank, text)
    lines, raw = kept.split("\n"), text.split("\n")
    return "\n".join(r if re.match(r"\s*#\s*include\b", r) else k for k, r in zip(lines, raw))


NOT_A_FUNCTION = re.compile(r"\b(?:namespace|class|struct|union)\b[^()]*$|\benum\b"
                            r"|\bextern\s*$|=\s*$")


def functions_of(code):
    """(first line, last line) of every function at namespace or class level, with what is in it."""
    no_directives = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, code, flags=re.M)
    stack, start = [], 0  # stack of (is_function, where its statement begins)
    depth = 0  # of functions: nothing inside one is looked at
    for match in re.finditer(r"[{};]", no_directives):
        at, sign = match.start(), match.group(0)
        if sign == "{":
            header = no_directives[start:at]
            is_function = depth == 0 and ")" in header and not NOT_A_FUNCTION.search(header)
            depth += is_function
            first = start + len(header) - len(header.lstrip())
            stack.append((is_function, first))
        elif sign == "}" and stack:
            is_function, first = stack.pop()
            if is_function:
                depth -= 1
                follows = no_directives[at + 1:at + 200].lstrip()[:1]
                if follows in (",", "{"):  # a member initialised with braces; no body yet
                    start = first
                    continue
                before = no_directives.count("\n", 0, first)
                yield before + 1, no_directives.count("\n", 0, at) + 1
        if depth == 0:
            start = at + 1


# ---- Rules ---------------------------------------------------------------------------------------

def check_lengths(path, text, found):
    suffix = Path(path).suffix
    limit = LINE_MAX.get(suffix, LINE_MAX_ELSE)
    lines = text.split("\n")
    long = [number for number, line in enumerate(lines, 1) if len(line) > limit]
    if long:
        found.add(path, long[0], "line", f"over {limit} columns; {len(long)} such lines: ./dev fmt",
                  len(long))
    for number, line in enumerate(lines, 1):
        if line != line.rstrip():
            found.add(path, number, "space", "blanks at the end of the line")
    if suffix in CODE | {".py"} and len(lines) - 1 > FILE_MAX:
        size = len(lines) - 1
        found.add(path, 1, "file", f"{size} lines, {FILE_MAX} are allowed: split it", size)


def check_function(path, first, last, found):
    length = last - first + 1
    if length > FUNCTION_MAX:
        found.add(path, first, "function",
                  f"{length} lines, {FUNCTION_MAX} are allowed: split it", length)


def check_tokens(path, text, code, found):
    for rule, pattern, places, advice in TOKENS:
        if stands_in(path, places) or (rule in TESTS_MAY and is_test(path)):
            continue
        for match in re.finditer(pattern, code):
            before = code[max(0, match.start() - 160):match.start()]
            if rule == "new" and re.search(r"unique_ptr<[^;]*>(?: \w+)?\(\s*$", before):
                continue  # a private constructor behind a fallible create()
            found.add(path, line_of(code, match), rule, f"'{match.group(0).strip()}': {advice}")
    for number, line in enumerate(text.split("\n"), 1):
        if TODO.search(line):
            found.add(path, number, "todo", "do it, or open an issue and leave no mark here")
        if re.search(r"//\s*NOLINT\w*\s*$", line):
            found.add(path, number, "nolint", "name the check: NOLINT(check-name)")
    if path.endswith(".h"):
        if not re.search(r"^#pragma once$", code, re.M):
            found.add(path, 1, "pragma", "a header has #pragma once")
        if not text.startswith("//"):
            found.add(path, 1, "purpose",
                      "a header begins with a comment: purpose, owner, threads, units")
        for match in re.finditer(r"^\s*using namespace", code, re.M):
            found.add(path, line_of(code, match), "using", "no using namespace in a header")


class Layers:
    """tools/layers.txt, read."""

    def __init__(self, text, found, path="tools/layers.txt"):
        self.allowed, self.heavy = {}, []
        for number, line in enumerate(text.split("\n"), 1):
            line = line.split("#")[0].strip()
            if not line:
                continue
            name, _, rest = line.partition(":")
            if name.startswith("heavy "):
                self.heavy.append((name.split()[1], rest.split()))
                continue
            for below in rest.split():
                if below.split("/")[0] not in {n.split("/")[0] for n in self.allowed}:
                    found.add(path, number, "layers",
                              f"{name} -> {below} does not go down: {below} is not listed above")
            self.allowed[name] = rest.split()

    def of(self, inside):
        """The folder of layers.txt that a path below src/ belongs to."""
        names = [n for n in self.allowed if inside.startswith(n + "/")]
        return max(names, key=len) if names else None

    def check_include(self, path, number, name, quoted, found):
        if path.startswith(("tests/", "bench/")):
            return
        for heavy, places in self.heavy:
            if "@tests" in places and is_test(path):
                continue
            if name.startswith(heavy) and not stands_in(path, places):
                found.add(path, number, "heavy", f"{name} is allowed only in {', '.join(places)}")
        if not path.startswith("src/") or not quoted:
            return
        layer, root = self.of(path[4:]), path.split("/")[1]
        target = name.split("/")[0]
        known = {n.split("/")[0] for n in self.allowed}
        if target not in known or "/" not in name:
            return
        if layer is None:
            found.add(path, number, "layers", f"src/{root} has no place in tools/layers.txt yet")
        elif not any(name.startswith(a + "/") for a in [layer, *self.allowed[layer]]):
            may = " ".join(self.allowed[layer]) or "nothing"
            found.add(path, number, "layers",
                      f"{layer} must not include {name}; it may use {may} (tools/layers.txt)")

    def check_cmake(self, path, text, found):
        for match in re.finditer(r"tare_module\((\w+)([^)]*)\)", text):
            deps = re.search(r"\bDEPS\b((?:\s+[a-z_]+)*)", match.group(2))
            for dep in deps.group(1).split() if deps else []:
                if match.group(1) in self.allowed and dep not in self.allowed[match.group(1)]:
                    found.add(path, line_of(text, match), "layers",
                              f"{match.group(1)} must not depend on {dep} (tools/layers.txt)")


def check_readmes(files, root, found):
    modules = {p.split("/")[1] for p in files if re.match(r"src/\w+/.*\.(?:h|cpp)$", p)}
    for module in sorted(modules):
        readme = f"src/{module}/README.md"
        if readme not in files:
            found.add(readme, 1, "readme",
                      "missing: purpose, main types, invariants I1.., where its tests are")
        elif (lines := (root / readme).read_text().count("\n")) > README_MAX:
            found.add(readme, README_MAX, "readme", f"{lines} lines, {README_MAX} are allowed")


def slugs_of(text):
    """The anchors of a Markdown page, as the usual viewers make them."""
    heads = re.findall(r"^#{1,6}\s+(.+?)\s*#*$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}


def check_links(path, text, root, found):
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", blank, text, flags=re.S | re.M)
    for match in re.finditer(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)", prose, re.M):
        link = match.group(1) or match.group(2)
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        name, _, anchor = link.partition("#")
        here = root if name.startswith("/") else (root / path).parent
        target = here / name.lstrip("/") if name else root / path
        number = line_of(prose, match)
        if not target.exists():
            found.add(path, number, "link", f"{link}: no such file")
        elif anchor and target.suffix == ".md" and anchor not in slugs_of(target.read_text()):
            found.add(path, number, "link", f"{link}: no such heading")


# ---- The whole tree ------------------------------------------------------------------------------

def files_of(root):
    """Tracked files and new ones that are not ignored."""
    listed = subprocess.run(["git", "-C", root, "ls-files", "-z", "-c", "-o", "--exclude-standard"],
                            capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    return sorted({p for p in listed.stdout.split("\0") if p and (root / p).is_file()})


def check_file(path, root, layers, found):
    suffix, name = Path(path).suffix, Path(path).name
    if suffix not in TEXT | {".md"} and name not in ("dev", "run"):
        return
    text = (root / path).read_text(encoding="utf-8", errors="replace")
    if suffix == ".md":
        check_links(path, text, root, found)
        return
    if "/golden/" in path or "/seeds/" in path:
        return
    check_lengths(path, text, found)
    if name == "CMakeLists.txt":
        layers.check_cmake(path, text, found)
    if suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                check_function(path, node.lineno, node.end_lineno, found)
    if suffix in CODE:
        code = code_of(text)
        for first, last in functions_of(code):
            check_function(path, first, last, found)
        check_tokens(path, text, code, found)
        for match in re.finditer(r'^\s*#\s*include\s+([<"])([^">]+)[">]', code, re.M):
            quoted = match.group(1) == '"'
            layers.check_include(path, line_of(code, match), match.group(2), quoted, found)


def check_tree(root):
    found = Findings()
    layers = Layers((root / "tools/layers.txt").read_text(), found)
    files = files_of(root)
    for path in files:
        check_file(path, root, layers, found)
    check_readmes(set(files), root, found)
    return found


def shrunk(ratchet, debts):
    """The ratchet after paying: each debt the smaller of then and now; nothing is added."""
    return {key: min(amount, debts[key]) for key, amount in sorted(ratchet.items()) if key in debts}


def main(arguments):
    if arguments not in ([], ["--update-ratchet"]):
        print(__doc__, file=sys.stderr)
        return 64
    root = Path(__file__).resolve().parent.parent
    ratchet_file = root / "tools/ratchet.json"
    ratchet = json.loads(ratchet_file.read_text()) if ratchet_file.exists() else {}
    found = check_tree(root)
    if arguments:
        ratchet = shrunk(ratchet, found.debts())
        ratchet_file.write_text(json.dumps(ratchet, indent=1) + "\n")
    bad = found.beyond(ratchet)
    for path, line, rule, text, _ in sorted(bad):
        print(f"{path}:{line}: {rule}: {text}")
    print(f"tidy: {len(bad)} findings, {len(ratchet)} old debts")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
