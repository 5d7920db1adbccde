// Tare's SDK for agents in JavaScript.
//
//   const tare = require("tare");        // or: import tare from "tare"
//   tare.progress(0.5, "half of it");
//   tare.log("42 rows read");
//   tare.artifact("report.txt", "all is well\n");
//
// What is reported goes to Tare line by line; `tare inspect RUN` shows the last progress, the
// result and the error. What Tare would not take is a ReportError. Where nobody listens (an exec of
// a session, a child process, a worker) a result is printed on stdout instead, and the rest is
// dropped.
"use strict";

const fs = require("fs");
const path = require("path");
const { types } = require("util");

// What tared takes (src/model/run_report.h); docs/runners.md has them for people.
const MAX_LINE_BYTES = 256 * 1024;
const MAX_DEPTH = 23; // arrays and objects within each other, of a result; the line is one more
const MAX_KIND_BYTES = 256;
const MAX_MESSAGE_BYTES = 4096;
const MAX_ARTIFACTS = 256;
const MAX_NAME_BYTES = 1024;
const MAX_NAME_PARTS = 32;
const MAX_MEDIA_TYPE_BYTES = 126;
// Half of what it takes: fits into a line even if each of its bytes is escaped as six.
const MAX_TRACEBACK_BYTES = 32 * 1024;
const OUTPUT = "/output";
const LONE_SURROGATE = /\p{Surrogate}/u;

class ReportError extends Error {
  name = "ReportError";
}

// ---- The pipe

// The descriptor that tared reads the other end of.
const told = process.env.TARE_REPORT_FD ?? "";
const report = /^[0-9]+$/.test(told) ? Number(told) : null;
delete process.env.TARE_REPORT_FD;

const NOTHING = Buffer.alloc(0);
const PAUSE = new Int32Array(new SharedArrayBuffer(4));
let unsent = NOTHING; // of a line whose write was interrupted by an error

// Somebody may have made the descriptor non-blocking: then this waits all the same.
function writeSome(fd, data) {
  for (;;) {
    try {
      return fs.writeSync(fd, data);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(PAUSE, 0, 0, 1);
    }
  }
}

function send(line) {
  const data = Buffer.from(line + "\n");
  if (data.length > MAX_LINE_BYTES) {
    throw new ReportError(
      `${data.length} bytes are too much for a report (at most ${MAX_LINE_BYTES} bytes): ` +
        "leave it in /output with tare.artifact()",
    );
  }
  if (report === null) return false;
  unsent = Buffer.concat([unsent, data]);
  while (unsent.length > 0) unsent = unsent.subarray(writeSome(report, unsent));
  return true;
}

// ---- What Tare would not take

// What people read is made to fit; so they read most of it.
function cut(text, most) {
  const data = Buffer.from(String(text).replace(/\0/g, "\uFFFD"));
  let end = Math.min(most, data.length);
  while (end < data.length && (data[end] & 0xc0) === 0x80) --end;
  return data.toString("utf8", 0, end);
}

// What JSON.stringify would turn into nothing or into something else. What it leaves out of objects
// (undefined, functions) is left out.
function fault(holder, value, isRoot) {
  const isMember = !Array.isArray(holder) && !isRoot;
  switch (typeof value) {
    case "number":
      return Number.isFinite(value) ? null : `is ${value}: JSON has no such number`;
    case "bigint":
      return "is a BigInt: report it as text";
    case "string":
      return LONE_SURROGATE.test(value) ? "holds a lone surrogate: that is no Unicode text" : null;
    case "undefined":
      return isRoot ? "is no JSON: it is undefined" : null;
    case "function":
    case "symbol":
      return isMember ? null : `is no JSON: it is of type ${typeof value}`;
    default:
      return isEmptied(value) ? `is no JSON: it is of type ${nameOf(value)}` : null;
  }
}

// Of these JSON.stringify makes {}.
function isEmptied(value) {
  return (
    types.isMap(value) || types.isSet(value) || types.isWeakMap(value) || types.isWeakSet(value) ||
    types.isPromise(value) || types.isGeneratorObject(value) || types.isNativeError(value) ||
    types.isRegExp(value) || types.isAnyArrayBuffer(value)
  );
}

function nameOf(value) {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

function jsonOf(result) {
  let isRoot = true;
  const check = function (key, value) {
    const where = isRoot ? "the result" : `in the result, member ${JSON.stringify(key).slice(0, 80)}`;
    const why = LONE_SURROGATE.test(key) ? "has a name that is no Unicode text"
      : fault(this, value, isRoot);
    isRoot = false;
    if (why) throw new ReportError(`${where} ${why}`);
    return value;
  };
  let text;
  try {
    text = JSON.stringify(result, check);
  } catch (error) {
    if (error instanceof ReportError) throw error;
    const why = String(error?.message ?? error).split("\n")[0]; // circular, or its own toJSON()
    throw new ReportError(`the result is no JSON: ${why}`, { cause: error });
  }
  if (text.length <= MAX_LINE_BYTES && depthOf(text) > MAX_DEPTH) {
    throw new ReportError(
      `the result is more than ${MAX_DEPTH} levels deep: leave it in /output with tare.artifact()`,
    );
  }
  return text;
}

function depthOf(json) {
  let depth = 0;
  let most = 0;
  for (let i = 0; i < json.length; ++i) {
    const c = json[i];
    if (c === '"') {
      while (json[++i] !== '"') if (json[i] === "\\") ++i;
    } else if (c === "[" || c === "{") {
      most = Math.max(most, ++depth);
    } else if (c === "]" || c === "}") {
      --depth;
    }
  }
  return most;
}

const artifacts = new Set();

function checkArtifact(name, mediaType) {
  const quoted = JSON.stringify(name.slice(0, 80));
  if (LONE_SURROGATE.test(name) || /[\u0000-\u001f\u007f]/.test(name)) {
    throw new ReportError(`artifact ${quoted}: its name holds what is no text`);
  }
  if (Buffer.byteLength(name) > MAX_NAME_BYTES || name.split("/").length > MAX_NAME_PARTS) {
    throw new ReportError(
      `artifact ${quoted}: a name has at most ${MAX_NAME_BYTES} bytes and ${MAX_NAME_PARTS} parts`,
    );
  }
  const isText = typeof mediaType === "string" && !/\p{Surrogate}|\0/u.test(mediaType);
  if (!isText || Buffer.byteLength(mediaType) > MAX_MEDIA_TYPE_BYTES) {
    throw new ReportError(
      `artifact ${quoted}: its media type is a text of at most ${MAX_MEDIA_TYPE_BYTES} bytes`,
    );
  }
  if (!artifacts.has(name) && artifacts.size >= MAX_ARTIFACTS) {
    throw new ReportError(
      `artifact ${quoted}: a report names at most ${MAX_ARTIFACTS}; what is in /output is kept ` +
        "without that",
    );
  }
}

// ---- For agents

// How far it is: a number from 0 to 1, and a line for people.
function progress(fraction, message = "") {
  const bounded = Math.min(1, Math.max(0, Number(fraction) || 0));
  const line = { type: "progress", fraction: bounded, message: cut(message, MAX_MESSAGE_BYTES) };
  send(JSON.stringify(line));
}

// What the run is worth: anything that is JSON. The last one counts.
function result(value) {
  const text = jsonOf(value);
  if (!send(`{"type":"result","value":${text}}`)) process.stdout.write(text + "\n");
}

// A line in the run's log, on stderr.
function log(message, level = "info") {
  process.stderr.write(`${level}: ${message}\n`);
}

// Names a file in /output, and writes it there when there is `data` (text or bytes).
function artifact(name, data = null, mediaType = "") {
  const file = path.resolve(OUTPUT, name);
  const inside = path.relative(OUTPUT, file);
  if (!file.startsWith(OUTPUT + "/")) {
    throw new ReportError(`artifact ${JSON.stringify(name)} would not be in ${OUTPUT}`);
  }
  checkArtifact(inside, mediaType);
  if (data !== null) {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, data);
  } else if (!fs.statSync(file).isFile()) {
    throw new Error(`artifact ${name}: ${file} is no file`);
  }
  artifacts.add(inside);
  send(JSON.stringify({ type: "artifact", name: inside, media_type: mediaType }));
  return file;
}

// For the runner: why the agent failed.
function reportError(kind, message, trace = "") {
  const line = {
    type: "error",
    kind: cut(kind, MAX_KIND_BYTES),
    message: cut(message, MAX_MESSAGE_BYTES),
  };
  if (trace) line.traceback = cut(trace, MAX_TRACEBACK_BYTES); // its beginning says where it was
  try {
    send(JSON.stringify(line));
  } catch {
    // it is on stderr, too
  }
}

module.exports = {
  runId: process.env.TARE_RUN ?? "",
  runner: process.env.TARE_RUNNER ?? "",
  // Where the bridge listens, if this run has one.
  bridge: process.env.TARE_BRIDGE || null,
  ReportError,
  progress,
  result,
  log,
  artifact,
  reportError,
};
