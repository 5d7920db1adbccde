"""The runners' edges: what tared does not take, and ends that are no return and no exception.

With the host's interpreters. What the SDK accepts is kept: no line of it is ever refused.
"""

import unittest

import harness
import runner_sdk_test

LINE_BYTES = 256 * 1024 - len('{"type":"result","value":""}\n')  # what is left for a text

PYTHON = """\
import asyncio, os, signal, sys, threading, time
import tare

def nested(levels):
    return [nested(levels - 1)] if levels else 1

def refused(value):
    tries = {
        "depth": lambda: tare.result(nested(24)),
        "bytes": lambda: tare.result("x" * (%(bytes)d + 1)),
        "nan": lambda: tare.result({"a": [1, float("nan")]}),
        "infinity": lambda: tare.result(float("-inf")),
        "surrogate": lambda: tare.result(["\\udc80"]),
        "key": lambda: tare.result({"\\udc80": 1}),
        "integer": lambda: tare.result({"a": {"b": 2**64}}),
        "type": lambda: tare.result({"a": [{1}]}),
        "twice": lambda: tare.result({1: 2, "1": 3}),
        "name": lambda: tare.artifact("a\\nb", ""),
        "long name": lambda: tare.artifact("a/" * 40 + "b", ""),
        "outside": lambda: tare.artifact("../a", ""),
        "media type": lambda: tare.artifact("a", "", "m" * 127),
        "count": lambda: [tare.artifact(f"f{i}", "") for i in range(257)],
    }
    said = {}
    for name, one in tries.items():
        try:
            one()
        except tare.ReportError as error:
            said[name] = str(error)
    return said

def within(value):
    for i in range(256):
        tare.artifact(f"f{i}", "", "m" * 126)
    tare.artifact("f0", "again", "text/plain")
    tare.progress(float("nan"), "\\0\\ud800" + "\U0001f600" * 2000)
    return [nested(22), 2**64 - 1, -2**63, 5e-324, "\\0\\n\U0001f600", None]

def longest(value):
    return "x" * %(bytes)d

def too_deep(value):
    return nested(24)

def odd_message(value):
    raise ValueError("\\0\\ud800" + "\\1" * 100000)

def cancelled():
    raise asyncio.CancelledError

def interrupted():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(100)

def leaves():
    tare.result("left")
    sys.exit()

def says():
    sys.exit("why")

def in_a_thread():
    def later():
        time.sleep(0.2)
        raise ValueError("in a thread")
    threading.Thread(target=later).start()
    return "kept"

async def in_a_task():
    async def fails():
        raise ValueError("in a task")
    asyncio.ensure_future(fails())
    await asyncio.sleep(0.01)
    return "kept"

def forks():
    if os.fork() == 0:
        return "of the child"
    os.wait()

async def yields():
    yield 1

class Called:
    async def __call__(self, value):
        return ["called", value]

called = Called()
""" % {"bytes": LINE_BYTES}

NODE = """\
const tare = require("tare");
const nested = (levels) => (levels ? [nested(levels - 1)] : 1);
exports.refused = () => {
  const tries = {
    depth: () => tare.result(nested(24)),
    bytes: () => tare.result("x".repeat(%(bytes)d + 1)),
    nan: () => tare.result({ a: [1, NaN] }),
    infinity: () => tare.result(-Infinity),
    surrogate: () => tare.result(["\\udc80"]),
    key: () => tare.result({ "\\udc80": 1 }),
    integer: () => tare.result({ a: { b: 2n } }),
    type: () => tare.result({ a: [new Set([1])] }),
    twice: () => tare.result([() => 1]),
    name: () => tare.artifact("a\\nb", ""),
    "long name": () => tare.artifact("a/".repeat(40) + "b", ""),
    outside: () => tare.artifact("../a", ""),
    "media type": () => tare.artifact("a", "", "m".repeat(127)),
    count: () => { for (let i = 0; i < 257; ++i) tare.artifact(`f${i}`, ""); },
  };
  const said = {};
  for (const [name, one] of Object.entries(tries)) {
    try { one(); } catch (error) {
      if (error instanceof tare.ReportError) said[name] = error.message;
    }
  }
  return said;
};
exports.within = () => {
  for (let i = 0; i < 256; ++i) tare.artifact(`f${i}`, "", "m".repeat(126));
  tare.artifact("f0", "again", "text/plain");
  tare.progress(NaN, "\\0\\ud800" + "\U0001f600".repeat(2000));
  return [nested(22), 2 ** 53, -(2 ** 63), 5e-324, "\\0\\n\U0001f600", null];
};
exports.longest = () => "x".repeat(%(bytes)d);
exports.too_deep = () => nested(24);
exports.odd_message = () => { throw new RangeError("\\0\\ud800" + "\\x01".repeat(100000)); };
exports.never = () => new Promise(() => {});
exports.never_but_exits = () => { process.exitCode = 3; return new Promise(() => {}); };
exports.leaves = () => { tare.result("left"); process.exit(0); };
exports.goes_on = () => new Promise((done) => {
  process.once("beforeExit", () => setTimeout(() => done("went on"), 1));
});
exports.after = () => { setTimeout(() => { throw new RangeError("after"); }, 1); return "kept"; };
exports.rejected = () => { Promise.reject(new RangeError("rejected")); return "kept"; };
exports.cares = () => {
  process.on("uncaughtException", (error) => tare.result(`cared: ${error.message}`));
  setTimeout(() => { throw new Error("after"); }, 1);
};
exports.yields = async function* () { yield 1; };
exports.called = { word: "called", f(value) { return [this.word, value]; } };
exports.causes = () => {
  class Mine extends Error {}
  throw new Mine("outer", { cause: new Error("inner") });
};
""" % {"bytes": LINE_BYTES}


class Limits(runner_sdk_test.Calls):
    """For both. A class of its own, so that it is not run for itself."""

    def error_of(self, *arguments, **options):
        status, report, answer = self.call(*arguments, **options)
        self.assertIn("error", report, answer)
        self.assertNotIn("refused_lines", report)
        return status, report["error"], report.get("result")

    def test_the_sdk_refuses_what_would_be_lost_and_says_why(self):
        status, report, answer = self.call("refused", 1)
        self.assertEqual(status, 0, answer)
        self.assertNotIn("refused_lines", report)
        said = report["result"]
        for name, why in (("depth", "23 levels"), ("bytes", "262144 bytes"), ("nan", "nan|NaN"),
                          ("infinity", "-inf|-Inf"), ("surrogate", "surrogate"),
                          ("key", "no (Unicode )?text"), ("integer", "report it as text"),
                          ("type", "type [sS]et"), ("twice", "two keys|type function"),
                          ("name", "no text"), ("long name", "1024 bytes and 32 parts"),
                          ("outside", "not be in /output"), ("media type", "126 bytes"),
                          ("count", "'?f256.*at most 256")):
            self.assertRegex(said.get(name, "it was taken"), why, name)

    def test_what_is_within_the_limits_is_kept_as_it_is(self):
        status, report, answer = self.call("within", 1)
        self.assertEqual(status, 0, answer)
        self.assertNotIn("refused_lines", report)
        nested, result = report["result"][0], report["result"][1:]
        self.assertEqual(str(nested), "[" * 22 + "1" + "]" * 22)
        large = 2**64 - 1 if self.name == "python" else 2**53
        self.assertEqual(result, [large, -2**63, 5e-324, "\0\n\U0001f600", None])
        self.assertEqual(len(report["artifacts"]), 256)
        self.assertEqual(report["artifacts"][0], {"name": "f0", "media_type": "text/plain"})
        self.assertIn("\U0001f600" * 1000, report["progress"]["message"])
        self.assertEqual(self.call("longest", 1)[1]["result"], "x" * LINE_BYTES)

    def test_a_result_that_is_returned_and_refused_is_an_error(self):
        status, error, result = self.error_of("too_deep", 1)
        self.assertEqual((status, error["kind"], result), (1, "ReportError", None))
        self.assertIn("more than 23 levels deep", error["message"])
        self.assertEqual(error["traceback"], "")
        status, error, _ = self.error_of("yields")
        self.assertEqual(status, 1)
        self.assertRegex(error["message"], "no JSON: it is of type [aA]sync_?[gG]enerator")

    def test_an_error_with_any_message_arrives(self):
        status, error, _ = self.error_of("odd_message", 1)
        self.assertEqual((status, error["kind"]), (1, self.error))
        self.assertTrue(error["message"].endswith("\1" * 4000))

    def test_who_leaves_with_status_0_has_not_failed(self):
        status, report, _ = self.call("leaves")
        self.assertEqual((status, report), (0, {"result": "left"}))

    def test_no_json_names_what_and_where(self):
        for text, why in ((b'{"a": 1,\n "b" 1}', "line 2,? column 6"), (b'"\xff"', "utf-8|UTF-8"),
                          (b"[NaN]", "NaN|Unexpected token 'N'")):
            status, error, _ = self.error_of("leaves", stdin=text)
            self.assertEqual((status, error["kind"]), (2, "InputError"))
            self.assertRegex(error["message"], f"^stdin is no JSON: .*({why})")


class Python(Limits, harness.TareTest):
    name, interpreter, file, source, error = "python", "python3", "main.py", PYTHON, "ValueError"

    def test_what_is_no_exception_is_reported_too(self):
        for function, status, kind in (("cancelled", 1, "CancelledError"),
                                       ("interrupted", 130, "KeyboardInterrupt"),
                                       ("says", 1, "SystemExit")):
            seen = self.error_of(function)
            self.assertEqual((seen[0], seen[1]["kind"]), (status, kind))
            self.assertIn(f"in {function}", seen[1]["traceback"])
        self.assertEqual(seen[1]["message"], "why")

    def test_a_thread_or_task_that_fails_fails_the_run(self):
        for function, why in (("in_a_thread", "in a thread"), ("in_a_task", "in a task")):
            status, error, result = self.error_of(function)
            self.assertEqual((status, error["message"], result), (1, why, "kept"))

    def test_a_forked_child_reports_nothing(self):
        status, report, answer = self.call("forks")
        self.assertEqual((status, report), (0, {}))
        self.assertIn('"of the child"', answer["stdout"])

    def test_the_entry_may_be_an_object_that_is_called(self):
        self.assertEqual(self.call("called", 1)[1]["result"], ["called", 1])

    def test_a_file_that_ends_the_program_is_no_success(self):
        status, error, _ = self.error_of("f", files={"main.py": "import sys\nsys.exit()\n"})
        self.assertEqual((status, error["kind"]), (2, "SystemExit"))
        self.assertIn("main.py\", line 2", error["traceback"])

    def test_modules_are_found_below_the_agents_folder_and_hide_nothing(self):
        files = {"json.py": "import json, other\ndef f(v): return [json.dumps(v), other.x]\n",
                 "other.py": "x = '\u00e9'\n"}
        self.assertEqual(self.call("f", {"a": 1}, files)[1]["result"], ['{"a": 1}', "\u00e9"])


class Node(Limits, harness.TareTest):
    name, interpreter, file, source, error = "node", "node", "main.js", NODE, "RangeError"

    def test_a_promise_that_nothing_can_settle_is_a_failure(self):
        status, error, _ = self.error_of("never")
        self.assertEqual((status, error["kind"]), (1, "NeverFinished"))
        self.assertIn("main.js:never", error["message"])
        self.assertEqual(self.error_of("never_but_exits")[0], 3)
        waits = {"main.mjs": "await new Promise(() => {});\nexport const f = () => 1;\n"}
        status, error, _ = self.error_of("f", files=waits)
        self.assertEqual((status, error["kind"]), (2, "NeverFinished"))
        self.assertEqual(self.call("goes_on")[:2], (0, {"result": "went on"}))

    def test_what_fails_after_the_function_has_returned_fails_the_run(self):
        for function in ("after", "rejected"):
            status, error, result = self.error_of(function)
            self.assertEqual((status, error["message"], result), (1, function, "kept"))
        self.assertEqual(self.call("cares")[:2], (0, {"result": "cared: after"}))

    def test_a_method_has_its_object(self):
        self.assertEqual(self.call("called.f", 1)[1]["result"], ["called", 1])

    def test_a_traceback_has_the_causes_and_none_of_our_frames(self):
        _, error, _ = self.error_of("causes")
        self.assertEqual((error["kind"], error["message"]), ("Mine", "outer"))
        self.assertIn("[cause]: Error: inner", error["traceback"])
        self.assertNotIn("/opt/tare/runner", error["traceback"])

    def test_a_file_that_is_not_loaded_says_where(self):
        for files, why in (({"main.js": "process.exit(0);\n"}, "while main.js:f was loaded"),
                           ({"main.mjs": "let a;\nlet b = ;\n"}, r"main\.mjs:2\)$"),
                           ({"main.js": "null.x;\n"}, "null"),
                           ({"main.mjs": "import './b.mjs';\n", "b.mjs": "((\n"}, "imports")):
            status, error, _ = self.error_of("f", files=files)
            self.assertEqual(status, 2)
            self.assertRegex(error["message"], why)


if __name__ == "__main__":
    unittest.main()
