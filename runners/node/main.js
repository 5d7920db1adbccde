// Tare's runner for Node: loads the agent's entry function, gives it its input, reports.
//
//   main.js FILE:FUNCTION [ARGS...]     FILE is relative to the working directory
//   main.js --handshake
//
// The function is called with the input: /input/input.json if there is one, else what is on stdin,
// as JSON, else null. What it returns, or resolves to, is the run's result. FILE is a CommonJS
// module or (.mjs, or "type": "module") an ECMAScript one. Exit status: 0; 1 when the function
// failed; 2 when it could not be called at all. See docs/runners.md. Node 16 and later.
"use strict";

const fs = require("fs");
const Module = require("module");
const path = require("path");
const { pathToFileURL } = require("url");

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

async function load(entry) {
  const colon = entry.lastIndexOf(":");
  if (colon <= 0 || colon === entry.length - 1) {
    throw new EntryError(`entry ${JSON.stringify(entry)}: write FILE:FUNCTION, such as main.js:handler`);
  }
  const file = path.resolve(entry.slice(0, colon));
  if (!fs.existsSync(file)) {
    throw new EntryError(`entry ${JSON.stringify(entry)}: there is no file ${file}`);
  }
  // import "tare" in an ECMAScript module: NODE_PATH means nothing there.
  if (Module.register) Module.register("./hooks.mjs", pathToFileURL(__filename));
  const loaded = await import(pathToFileURL(file).href);
  const names = entry.slice(colon + 1).split(".");
  for (const from of [loaded, loaded.default]) {
    const found = names.reduce((value, name) => value?.[name], from);
    if (typeof found === "function") return found;
  }
  throw new EntryError(`entry ${JSON.stringify(entry)}: ${file} exports no function ${names.join(".")}`);
}

function readInput() {
  if (fs.existsSync(INPUT)) return parse(fs.readFileSync(INPUT, "utf8"), INPUT);
  if (fs.fstatSync(0).isCharacterDevice()) return null; // a terminal is a person, not an input
  const text = fs.readFileSync(0, "utf8");
  return text.trim() === "" ? null : parse(text, "stdin");
}

function parse(text, where) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InputError(`${where} is no JSON: ${error.message}`);
  }
}

// Without our own frames, and those of Node below them.
function stackOf(error) {
  const lines = String(error?.stack ?? error).split("\n");
  const ours = lines.findIndex((line) => line.includes(__filename));
  return (ours < 0 ? lines : lines.slice(0, ours)).join("\n") + "\n";
}

function fail(error, status) {
  const kind = error?.name ?? typeof error;
  const message = error instanceof Error ? error.message : String(error);
  const stack = stackOf(error);
  fs.writeSync(2, stack);
  tare.reportError(kind, message, status === FAILED ? stack : "");
  process.exit(status);
}

async function main(args) {
  if (args.length === 1 && args[0] === "--handshake") {
    const said = { tare_runner: PROTOCOL, language: "javascript", runtime: process.versions.node };
    fs.writeSync(1, JSON.stringify(said) + "\n");
    return;
  }
  let status = NOT_CALLED;
  // What nobody waits for fails the run as well.
  for (const event of ["uncaughtException", "unhandledRejection"]) {
    process.on(event, (error) => fail(error, status));
  }
  try {
    if (args.length === 0) throw new EntryError("no entry: write FILE:FUNCTION, such as main.js:handler");
    process.argv = [process.argv[0], args[0].slice(0, args[0].lastIndexOf(":")), ...args.slice(1)];
    const handler = await load(args[0]);
    const input = readInput();
    status = FAILED;
    const result = await handler(input);
    if (result !== undefined && result !== null) tare.result(result);
  } catch (error) {
    fail(error, status);
  }
}

main(process.argv.slice(2));
