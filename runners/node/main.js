// Tare's runner for Node: loads the agent's entry function, gives it its input, reports.
//
//   main.js FILE:FUNCTION [ARGS...]     FILE is relative to the working directory
//   main.js --handshake
//
// The function is called with the input: /input/input.json if there is one, else what is on stdin,
// as JSON, else null. What it returns, or resolves to, is the run's result. FILE is a CommonJS
// module or (.mjs, or "type": "module") an ECMAScript one. Exit status: 0; 1 when the function
// failed or never finished, or what nobody waited for failed; 2 when it could not be called at all;
// what the agent gave to process.exit(). See docs/runners.md. Node 16 and later.
"use strict";

const { spawnSync } = require("child_process");
const fs = require("fs");
const Module = require("module");
const path = require("path");
const { Writable } = require("stream");
const { pathToFileURL } = require("url");
const { inspect, types } = require("util");

const PROTOCOL = 1;
const INPUT = "/input/input.json";
const FAILED = 1;
const NOT_CALLED = 2;
const LIB = path.join(__dirname, "lib");

// require("tare") finds the SDK from wherever the agent's code lies.
process.env.NODE_PATH = [LIB, process.env.NODE_PATH].filter(Boolean).join(":");
Module._initPaths();
const tare = require("tare");

// The agent's entry cannot be called; the message says what to change.
class EntryError extends Error {
  name = "EntryError";
}
class InputError extends Error {
  name = "InputError";
}

// How far the run is: its exit status should it fail now, and whether that has been said.
const run = { entry: "", status: NOT_CALLED, finished: false, told: false, drained: false };

// ---- The entry and its input

async function load(entry) {
  const refuse = (why) => new EntryError(`entry ${JSON.stringify(entry)}: ${why}`);
  const colon = entry.lastIndexOf(":");
  if (colon <= 0 || colon === entry.length - 1) {
    throw refuse("write FILE:FUNCTION, such as main.js:handler");
  }
  const file = path.resolve(entry.slice(0, colon));
  if (!fs.statSync(file, { throwIfNoEntry: false })?.isFile()) {
    throw refuse(`there is no file ${file}`);
  }
  // import "tare" in an ECMAScript module: NODE_PATH means nothing there.
  if (Module.register) Module.register("./hooks.mjs", pathToFileURL(__filename));
  const loaded = await import(pathToFileURL(file).href).catch((error) => {
    throw placed(error, file);
  });
  const names = entry.slice(colon + 1).split(".");
  const last = names.pop();
  for (const from of [loaded, loaded.default]) {
    const holder = names.reduce((value, name) => value?.[name], from);
    if (typeof holder?.[last] === "function") return (input) => holder[last](input);
  }
  throw refuse(`${file} exports no function ${[...names, last].join(".")}`);
}

// A fault in the syntax of an ECMAScript module does not say where it is; node --check does, as far
// as it is in this file.
function placed(error, file) {
  if (!(error instanceof SyntaxError) || placeOf(error) || agentsFrames(error)) return error;
  const checked = spawnSync(process.execPath, ["--check", file], { encoding: "utf8" });
  const text = checked.status === 0 || !checked.stderr ? "" : checked.stderr;
  const place = placeOf({ stack: text }) ?? `${file}, or what it imports`;
  error.stack = `${place}\n${text.split("\n").slice(1, 3).join("\n")}\n${error.stack}`;
  error.message += ` (${place})`;
  return error;
}

// FILE:LINE at the beginning, as V8 has it for faults of syntax.
function placeOf(error) {
  return /^(?:file:\/\/)?(\/.*:\d+)$/m.exec(String(error.stack).split("\n")[0])?.[1];
}

function agentsFrames(error) {
  return withoutOurs(String(error.stack)).includes("\n    at ");
}

function readInput() {
  if (fs.existsSync(INPUT)) return parse(() => fs.readFileSync(INPUT), INPUT);
  if (fs.fstatSync(0).isCharacterDevice()) return null; // a terminal is a person, not an input
  return parse(readStdin, "stdin");
}

// fs.readFileSync(0) fails when the agent's code has made it non-blocking.
function readStdin() {
  const pieces = [];
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    const piece = Buffer.allocUnsafe(1 << 16);
    try {
      const bytes = fs.readSync(0, piece);
      if (bytes === 0) return Buffer.concat(pieces);
      pieces.push(piece.subarray(0, bytes));
    } catch (error) {
      if (error.code === "EOF") return Buffer.concat(pieces);
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

function parse(read, where) {
  let text;
  try {
    const bytes = read();
    text = bytes.toString("utf8");
    if (text.includes("\uFFFD") && !bytes.equals(Buffer.from(text))) throw new Error("no UTF-8");
    text = text.replace(/^\uFEFF/, "");
    return where === "stdin" && text.trim() === "" ? null : JSON.parse(text);
  } catch (error) {
    const at = /at position (\d+)(?! \()/.exec(error.message);
    const before = at ? text.slice(0, Number(at[1])).split("\n") : [];
    const place = at ? ` (line ${before.length}, column ${before.pop().length + 1})` : "";
    throw new InputError(`${where} is no JSON: ${error.message}${place}`);
  }
}

// ---- Failures

// Without our own frames, and Node's. What opens the properties of an error is kept.
function withoutOurs(stack) {
  const isOurs = (line) =>
    /^\s+at /.test(line) && (line.includes(__dirname) || /\bnode:|at JSON\.stringify/.test(line));
  const kept = [];
  for (const line of stack.split("\n")) {
    if (!isOurs(line)) kept.push(line);
    else if (line.endsWith(" {") && kept.length > 0) kept.push(kept.pop() + " {");
  }
  return kept.join("\n");
}

function describe(error) {
  try {
    const isError = error instanceof Error || types.isNativeError(error); // of another realm
    const named = isError && error.name !== "Error" ? error.name : error?.constructor?.name;
    const kind = String(isError ? named || "Error" : typeof error);
    const place = error instanceof SyntaxError && placeOf(error);
    const said = isError ? error.message : error;
    const text = typeof said === "string" ? said : inspect(said);
    const message = place && !text.includes(place) ? `${text} (${place})` : text;
    return { kind, message, stack: withoutOurs(inspect(error)) + "\n" };
  } catch {
    return { kind: "Error", message: "what was thrown cannot be shown", stack: "" };
  }
}

// First what Tare is told: streams may be full.
function tell(error) {
  run.told = true;
  const { kind, message, stack } = describe(error);
  const says = error instanceof SyntaxError || stack.includes("\n    at ");
  const ours = error instanceof EntryError || error instanceof InputError;
  tare.reportError(kind, message, says && !ours ? stack : "");
  return stack;
}

function fail(error) {
  if (run.told) return;
  const status = run.status;
  const stack = tell(error);
  process.exitCode = status;
  // process.exit() drops what is not written yet; and the agent may have replaced write().
  const write = (stream, text, then) => Writable.prototype.write.call(stream, text, then);
  write(process.stderr, stack, () => write(process.stdout, "", () => process.exit(status)));
}

// Node ends with status 0 when there is nothing left that could happen, whoever waits for it.
class NeverFinished extends Error {
  name = "NeverFinished";
}
class Exit extends Error {
  name = "Exit";
}

function atExit(code) {
  if (run.told) return;
  if (!run.finished && run.drained) {
    const what = run.status === NOT_CALLED ? "was never loaded" : "never finished";
    const why = "it waits for a promise that nothing can settle any more";
    process.exitCode = code || run.status;
    process.stderr.write(tell(new NeverFinished(`${run.entry} ${what}: ${why}`)));
  } else if (run.status === NOT_CALLED) {
    process.exitCode = code || run.status;
    process.stderr.write(tell(new Exit(`process.exit(${code}) while ${run.entry} was loaded`)));
  } else if (code !== 0) {
    tell(new Exit(`process.exit(${code})`));
  }
}

function watch() {
  // What nobody waits for fails the run as well, unless the agent takes care of it.
  for (const event of ["uncaughtException", "unhandledRejection"]) {
    process.on(event, (error) => {
      if (process.listenerCount(event) === 1) fail(error);
    });
  }
  process.on("beforeExit", () => {
    run.drained = true;
    setImmediate(() => { run.drained = false; }).unref(); // somebody went on
  });
  process.on("exit", atExit);
}

async function main(args) {
  if (args.length === 1 && args[0] === "--handshake") {
    const said = { tare_runner: PROTOCOL, language: "javascript", runtime: process.versions.node };
    fs.writeSync(1, JSON.stringify(said) + "\n");
    return;
  }
  watch();
  try {
    run.entry = args[0] ?? "";
    if (run.entry === "") {
      throw new EntryError("no entry: write FILE:FUNCTION, such as main.js:handler");
    }
    process.argv = [process.argv[0], args[0].slice(0, args[0].lastIndexOf(":")), ...args.slice(1)];
    const handler = await load(args[0]);
    const input = readInput();
    run.status = FAILED;
    const result = await handler(input);
    if (result !== undefined && result !== null) tare.result(result);
    run.finished = true;
  } catch (error) {
    fail(error);
  }
}

main(process.argv.slice(2));
