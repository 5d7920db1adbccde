#include "host/handshake.h"

#include <fmt/core.h>

#include <span>
#include <string>

#include "model/runner.h"

namespace tare::host {

namespace {

// One byte more than a handshake may have, so that a longer one is seen.
std::string said(const runs::OutputLog& log) {
  std::string text(model::kMaxHandshakeBytes + 1, '\0');
  const auto bytes = std::as_writable_bytes(std::span(text));
  text.resize(log.read_at(runs::Stream::out, 0, bytes).value_or(0));
  return text;
}

}  // namespace

std::string handshake_folder(const model::RunnerManifest& manifest) {
  return manifest.isolated_handshake ? "/" : "";
}

Result<> judge_handshake(const std::optional<model::Outcome>& outcome, const runs::OutputLog& log) {
  if (!outcome)
    return Error{Errc::timeout,
                 "the handshake does not end: try it by hand (`tare run --env ENV --runner "
                 "NAME@VERSION`), or give it more handshake_time in runner.toml"};
  if (outcome->reason != model::EndReason::exited || outcome->exit_code != 0) {
    const std::string how = outcome->message.empty()
                                ? fmt::format("with status {}", outcome->exit_code)
                                : outcome->message;
    return Error{Errc::conflict, "the handshake failed: " + how};
  }
  return model::read_handshake(said(log));
}

}  // namespace tare::host
