// Tare's SDK for agents in JavaScript.
//
//   const tare = require("tare");        // or: import tare from "tare"
//   tare.progress(0.5, "half of it");
//   tare.log("42 rows read");
//   tare.artifact("report.txt", "all is well\n");
//
// What is reported goes to Tare line by line; `tare inspect RUN` shows the last progress, the
// result and the error. Where nobody listens (an exec of a session) a result is printed on stdout
// instead, and the rest is dropped.
"use strict";

const fs = require("fs");
const path = require("path");

// What tared takes of one line (src/model/run_report.h).
const MAX_LINE_BYTES = 256 * 1024;
const MAX_MESSAGE_CHARACTERS = 1024;
const MAX_TRACEBACK_CHARACTERS = 16 * 1024;
const OUTPUT = "/output";

// The descriptor that tared reads the other end of.
const report = /^[0-9]+$/.test(process.env.TARE_REPORT_FD ?? "") ? Number(process.env.TARE_REPORT_FD) : null;
delete process.env.TARE_REPORT_FD;

function send(line) {
  let data = Buffer.from(JSON.stringify(line) + "\n");
  if (data.length > MAX_LINE_BYTES) {
    throw new RangeError(
      `${data.length} bytes are too much for a report (at most ${MAX_LINE_BYTES}): ` +
        "leave it in /output with tare.artifact()",
    );
  }
  if (report === null) return false;
  while (data.length > 0) data = data.subarray(fs.writeSync(report, data));
  return true;
}

// How far it is: a number from 0 to 1, and a line for people.
function progress(fraction, message = "") {
  const bounded = Math.min(1, Math.max(0, Number(fraction) || 0));
  send({ type: "progress", fraction: bounded, message: String(message).slice(0, MAX_MESSAGE_CHARACTERS) });
}

// What the run is worth: anything that is JSON. The last one counts.
function result(value) {
  if (JSON.stringify(value) === undefined) throw new TypeError("the result is no JSON");
  if (!send({ type: "result", value })) fs.writeSync(1, JSON.stringify(value) + "\n");
}

// A line in the run's log, on stderr.
function log(message, level = "info") {
  fs.writeSync(2, `${level}: ${message}\n`);
}

// Names a file in /output, and writes it there when there is `data` (text or bytes).
function artifact(name, data = null, mediaType = "") {
  const file = path.resolve(OUTPUT, name);
  if (!file.startsWith(OUTPUT + "/")) throw new RangeError(`artifact ${name} would not be in ${OUTPUT}`);
  if (data !== null) {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, data);
  } else if (!fs.statSync(file).isFile()) {
    throw new Error(`artifact ${name}: ${file} is no file`);
  }
  send({ type: "artifact", name: path.relative(OUTPUT, file), media_type: mediaType });
  return file;
}

// For the runner: why the agent failed.
function reportError(kind, message, trace = "") {
  const line = {
    type: "error",
    kind: String(kind).slice(0, 64),
    message: String(message).slice(0, MAX_MESSAGE_CHARACTERS),
  };
  if (trace) line.traceback = trace.slice(-MAX_TRACEBACK_CHARACTERS);
  try {
    send(line);
  } catch {
    // it is on stderr, too
  }
}

module.exports = {
  runId: process.env.TARE_RUN ?? "",
  runner: process.env.TARE_RUNNER ?? "",
  // Where the bridge listens, if this run has one.
  bridge: process.env.TARE_BRIDGE || null,
  progress,
  result,
  log,
  artifact,
  reportError,
};
