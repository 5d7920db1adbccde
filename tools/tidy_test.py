"""Tests of tidy.py: each rule finds what it is for and lets be what it is not."""

import tempfile
import unittest
from pathlib import Path

import tidy

LAYERS = """
base:
sys: base
model: base
host: base sys model
host/pure: model
heavy boost/asio: src/sys
heavy gtest/: @tests
"""


def findings(check, *arguments):
    found = tidy.Findings()
    check(*arguments, found)
    return [(line, rule) for _, line, rule, _, _ in found.items]


def tokens(path, text):
    return [rule for _, rule in findings(tidy.check_tokens, path, text, tidy.code_of(text))]


def includes(path, name, quoted=True):
    layers = tidy.Layers(LAYERS, tidy.Findings())
    return [rule for _, rule in findings(layers.check_include, path, 1, name, quoted)]


class ReadingTest(unittest.TestCase):
    def test_comments_and_literals_are_blanked_and_positions_stay(self):
        text = ('a = "x\\"y"; // new Foo\nb = \'"\'; /* one\ntwo */ '
                'c = R"(new\nB)"; d = 65\'536 + 1\'0;')
        code = tidy.code_of(text)
        self.assertEqual(len(code), len(text))
        self.assertEqual(code.count("\n"), text.count("\n"))
        self.assertNotIn("new", code)
        self.assertNotIn("two", code)
        self.assertIn("65'536 + 1'0", code)

    def lengths(self, text):
        return [last - first + 1 for first, last in tidy.functions_of(tidy.code_of(text))]

    def test_functions_are_found_with_what_is_inside(self):
        text = """namespace a {
struct B : C<int> {
  B() : x_{1}, y_(2) {
    f();
  }
  int get() const { return 1; }
  int x_ = {3};
};
enum class E { a, b };
int g(int n)
    requires true
{
  if (n) {
    return [] { return 1; }();
  }
  for (;;) {}
}
constexpr int table[] = {1, 2};
#define M(x) { \\
  x }
TEST(A, b) {
}
}
"""
        self.assertEqual(self.lengths(text), [3, 1, 8, 2])

    def test_an_initialiser_at_the_top_is_no_function(self):
        self.assertEqual(self.lengths("const Route routes[] = {\n {f(1)},\n {f(2)},\n};\n"), [])


class LengthTest(unittest.TestCase):
    def test_lines_functions_and_files(self):
        self.assertEqual(findings(tidy.check_lengths, "a.cpp", "x" * 100 + "\n"), [])
        long = "ok\n" + "x" * 101 + "\n"
        self.assertEqual(findings(tidy.check_lengths, "a.cpp", long), [(2, "line")])
        self.assertEqual(findings(tidy.check_lengths, "a.cmake", long), [])
        self.assertEqual(findings(tidy.check_lengths, "a.cpp", "x\n" * 400), [])
        self.assertEqual(findings(tidy.check_lengths, "a.cpp", "x\n" * 401), [(1, "file")])
        self.assertEqual(findings(tidy.check_lengths, "a.cpp", "x \n"), [(1, "space")])
        self.assertEqual(findings(tidy.check_function, "a.cpp", 1, 70), [])
        self.assertEqual(findings(tidy.check_function, "a.cpp", 1, 71), [(1, "function")])


class TokenTest(unittest.TestCase):
    def test_a_system_call_stands_in_sys_and_in_tests_only(self):
        text = "int fd = ::open(path, 0);"
        self.assertEqual(tokens("src/runs/a.cpp", text), ["syscall"])
        for path in ("src/sys/a.cpp", "src/sandbox/init/a.cpp", "src/a/b_test.cpp", "tests/a.cpp"):
            self.assertEqual(tokens(path, text), [])
        text = "File::open(path); log.open(x); sys::close(y);"
        self.assertEqual(tokens("src/runs/a.cpp", text), [])

    def test_each_token_is_found(self):
        for rule, text in {
            "clock": "auto t = std::chrono::system_clock::now();",
            "sleep": "std::this_thread::sleep_for(1s);",
            "random": "int x = rand();",
            "getenv": 'const char* h = std::getenv("HOME");',
            "new": "auto* p = new Foo(1);",
            "delete": "delete p;",
            "thread": "std::thread worker(f);",
            "detach": "worker.detach();",
            "regex": "std::regex r;",
            "catch_all": "try { f(); } catch ( ... ) {}",
            "iostream": "#include <iostream>",
            "assert": "assert(x > 0);",
            "shared": "class A : std::enable_shared_from_this<A> {};",
            "todo": "// TO" + "DO: later",
            "nolint": "f();  // NOLINT",
        }.items():
            self.assertEqual(tokens("src/runs/a.cpp", text), [rule], text)

    def test_what_only_looks_like_a_token_is_let_be(self):
        for text in ("A(const A&) = delete;", "static_assert(true);", 'say("new thing; delete p");',
                     "// catch (...) is banned", "catch (const std::exception& e) {}",
                     "return std::unique_ptr<Loop>(new Loop(x));", "int renew = 1;",
                     "// NOLINT(bugprone-x)", "std::thread::id id;", "a.strand(1);"):
            self.assertEqual(tokens("src/runs/a.cpp", text), [], text)

    def test_a_header_has_pragma_once_a_purpose_and_no_using(self):
        self.assertEqual(tokens("src/a/b.h", "// What.\n#pragma once\nint f();\n"), [])
        self.assertEqual(tokens("src/a/b.h", "#ifndef X\nusing namespace std;\n"),
                         ["pragma", "purpose", "using"])


class LayersTest(unittest.TestCase):
    def test_an_edge_goes_down_only(self):
        self.assertEqual(includes("src/host/a.cpp", "sys/fd.h"), [])
        self.assertEqual(includes("src/host/a.cpp", "host/b.h"), [])
        self.assertEqual(includes("src/sys/a.cpp", "host/b.h"), ["layers"])
        self.assertEqual(includes("src/model/a.cpp", "sys/fd.h"), ["layers"])
        self.assertEqual(includes("src/model/a.cpp", "sys/mount.h", quoted=False), [])
        self.assertEqual(includes("tests/a.cpp", "host/b.h"), [])

    def test_a_folder_below_a_module_may_be_stricter(self):
        self.assertEqual(includes("src/host/pure/a.cpp", "model/run.h"), [])
        self.assertEqual(includes("src/host/pure/a.cpp", "sys/fd.h"), ["layers"])
        self.assertEqual(includes("src/host/pure/a.cpp", "host/wiring.h"), ["layers"])

    def test_a_folder_without_a_place_is_told_so(self):
        self.assertEqual(includes("src/other/a.cpp", "base/result.h"), ["layers"])

    def test_a_heavy_header_stays_in_its_place(self):
        self.assertEqual(includes("src/sys/a.cpp", "boost/asio/ip/tcp.hpp", quoted=False), [])
        self.assertEqual(includes("src/host/a.cpp", "boost/asio.hpp", quoted=False), ["heavy"])
        self.assertEqual(includes("src/host/a.cpp", "gtest/gtest.h", quoted=False), ["heavy"])
        for path in ("src/host/a_test.cpp", "src/host/test_a.h"):
            self.assertEqual(includes(path, "gtest/gtest.h", quoted=False), [])

    def test_the_law_itself_goes_down_only(self):
        found = tidy.Findings()
        tidy.Layers("base: sys\nsys: base\n", found)
        self.assertEqual([rule for _, _, rule, _, _ in found.items], ["layers"])

    def test_declared_dependencies_fit_the_law(self):
        layers = tidy.Layers(LAYERS, tidy.Findings())
        text = "tare_module(host DEPS sys base LIBS X::y)"
        self.assertEqual(findings(layers.check_cmake, "x", text), [])
        self.assertEqual(findings(layers.check_cmake, "x", "\ntare_module(model\n DEPS sys)"),
                         [(2, "layers")])


class TreeTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def test_links_lead_somewhere(self):
        (self.root / "docs").mkdir()
        (self.root / "docs/b.md").write_text("# What it *is*: `x`\n")
        text = ("[a](docs/b.md) [b](docs/b.md#what-it-is-x) [c](https://x.y/z) `[no](link.md)`\n"
                "[gone](docs/c.md)\n[odd](docs/b.md#nothing)\n"
                "```\n[code](x.md)\n```\n[r]: gone.md\n")
        self.assertEqual(findings(tidy.check_links, "a.md", text, self.root),
                         [(2, "link"), (3, "link"), (7, "link")])

    def test_a_module_has_a_short_readme(self):
        files = {"src/a/x.cpp", "src/b/x.h", "src/b/README.md", "src/CMakeLists.txt"}
        (self.root / "src/b").mkdir(parents=True)
        (self.root / "src/b/README.md").write_text("x\n" * 61)
        self.assertEqual(findings(tidy.check_readmes, files, self.root),
                         [(1, "readme"), (60, "readme")])


class RatchetTest(unittest.TestCase):
    def test_debts_may_shrink_and_never_grow(self):
        found = tidy.Findings()
        found.add("a.cpp", 1, "line", "x", 3)
        self.assertEqual(len(found.beyond({})), 1)
        self.assertEqual(len(found.beyond({"line a.cpp": 2})), 1)
        self.assertEqual(found.beyond({"line a.cpp": 3}), [])
        self.assertEqual(tidy.shrunk({"line a.cpp": 5, "line gone.cpp": 1}, found.debts()),
                         {"line a.cpp": 3})
        self.assertEqual(tidy.shrunk({}, found.debts()), {})


if __name__ == "__main__":
    unittest.main()
