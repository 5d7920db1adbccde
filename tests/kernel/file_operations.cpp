#include "file_operations.h"

#include <cstring>

#include "sys/files.h"
#include "sys/memfd.h"

namespace tare::testing {

using sandbox::FileEntry;

Files::Files(TestSession& session) : session_(session) {
  const std::string program = sys::read_file_at(sys::kCwd, bin_dir() + "/tare-files", 8 << 20)
                                  .value();
  program_ = sys::sealed_memfd("tare-files", program, true).value();
}

Operation Files::start(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "tare-files");
  model::ExecSpec exec;
  exec.argv = std::move(arguments);
  exec.cwd = "/";
  exec.handed_in = true;
  sandbox::ExecMessage message{session_.id(), session_.next_number(), false, true, false, true};
  auto in = sys::make_pipe().value();
  auto out = sys::make_pipe().value();
  session_.send(message, exec, {program_.get(), in.read.get(), out.write.get()});
  return {message.exec, std::move(in.write), std::move(out.read)};
}

std::optional<std::uint32_t> Files::answer(const Operation& operation) {
  body = read_to_end(operation.out.get());
  if (body.size() < sizeof head) return std::nullopt;
  std::memcpy(&head, body.data(), sizeof head);
  body.erase(0, sizeof head);
  return head.error;
}

std::uint32_t Files::run(std::vector<std::string> arguments, const std::string& input) {
  Operation operation = start(std::move(arguments));
  if (!input.empty()) sys::write_all(operation.in.get(), input).value();
  operation.in.reset();
  const auto error = answer(operation);
  outcome = session_.ended(operation.number).outcome;
  return error.value_or(9999);
}

std::vector<Listed> Files::entries() const {
  std::vector<Listed> out;
  for (std::string_view rest = body; rest.size() >= sizeof(FileEntry);) {
    Listed one;
    std::memcpy(&one.entry, rest.data(), sizeof one.entry);
    rest.remove_prefix(sizeof one.entry);
    one.name = rest.substr(0, one.entry.name_bytes);
    rest.remove_prefix(one.name.size());
    one.target = rest.substr(0, one.entry.target_bytes);
    rest.remove_prefix(one.target.size());
    out.push_back(std::move(one));
  }
  return out;
}

std::string pieces(const std::string& text, bool commit) {
  const auto size = static_cast<std::uint32_t>(text.size());
  std::string out(reinterpret_cast<const char*>(&size), 4);
  out += text;
  if (commit) out += std::string(4, '\0');
  return out;
}

std::vector<sandbox::WatchKind> watched(const std::string& body) {
  std::vector<sandbox::WatchKind> kinds;
  for (std::size_t at = 0; at + sizeof(sandbox::WatchEvent) <= body.size();) {
    sandbox::WatchEvent event;
    std::memcpy(&event, body.data() + at, sizeof event);
    at += sizeof event + event.name_bytes;
    if (at <= body.size()) kinds.push_back(event.kind);
  }
  return kinds;
}

}  // namespace tare::testing
