// tare-files in a TestSession, told what to do as tared tells it.
//
// Process: the test's. The session must outlive it. Source: sandbox/files/protocol.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sandbox/files/protocol.h"
#include "support/session.h"

namespace tare::testing {

struct Listed {
  sandbox::FileEntry entry;
  std::string name, target;
};

// One operation, from its start to the end of its stdout.
struct Operation {
  std::uint32_t number = 0;
  sys::UniqueFd in, out;
};

class Files {
 public:
  explicit Files(TestSession& session);

  Operation start(std::vector<std::string> arguments);
  // Reads what it says to the end of its stdout: its error; nothing when it said none. What follows
  // is in `head` and `body`.
  std::optional<std::uint32_t> answer(const Operation& operation);
  // A whole operation; 9999 when it gave no answer.
  std::uint32_t run(std::vector<std::string> arguments, const std::string& input = "");
  // Of the body of a list: whole when the last one has no name.
  std::vector<Listed> entries() const;

  sandbox::FileHead head;
  std::string body;
  model::Outcome outcome;

 private:
  TestSession& session_;
  sys::UniqueFd program_;
};

// The input of a write: in one piece.
std::string pieces(const std::string& text, bool commit = true);
// Of the body of a watch, up to the last that is whole.
std::vector<sandbox::WatchKind> watched(const std::string& body);

}  // namespace tare::testing
