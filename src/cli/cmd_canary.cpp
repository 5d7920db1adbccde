// tare canary add, list, rm. A value is never in argv, where every user of the host could read it.
#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "base/base64.h"
#include "base/text.h"
#include "base/time_text.h"
#include "cli/commands.h"
#include "cli/each.h"
#include "cli/exit_status.h"
#include "cli/render.h"
#include "http/url.h"
#include "sys/files.h"

namespace tare::cli {

namespace {

constexpr std::size_t kMaxValueBytes = 4096;
constexpr std::size_t kMaxReadBytes = kMaxValueBytes + 2;  // with a line end

Error too_long() {
  return Error{Errc::invalid, "a canary has 16 to 4096 bytes; this is longer", 0, "value"};
}

Result<std::string> value_from_stdin(const fiber::Context& ctx) {
  StdInput input(STDIN_FILENO);
  std::string value;
  std::array<char, 1024> buffer{};
  for (;;) {
    const std::size_t n = TRY(input.read_some(buffer, ctx));
    if (n == 0) break;
    value.append(buffer.data(), n);
    if (value.size() > kMaxReadBytes) return too_long();
  }
  return value;
}

Result<std::string> value_from_file(const std::string& path) {
  auto value = sys::read_file_at(sys::kCwd, path, kMaxReadBytes);
  if (!value && value.error().code == Errc::exhausted) return too_long();
  return value;
}

// A line end at the end is the editor's or echo's, not the secret's: what holds the secret in the
// midst of a line would not match.
std::string without_line_end(std::string value) {
  if (!value.ends_with('\n')) return value;
  value.pop_back();
  if (value.ends_with('\r')) value.pop_back();
  return value;
}

}  // namespace

Result<int> run_command(const CanaryAddCommand& command, App& app, const fiber::Context& ctx) {
  const std::string value = without_line_end(
      command.file.empty() ? TRY(value_from_stdin(ctx)) : TRY(value_from_file(command.file)));
  const auto answer = TRY(app.client.post(
      "/v1/canaries", JsonObject{{"name", command.name}, {"value_base64", base64_encode(value)}},
      ctx));
  TRY(app.print(command.json ? pretty_text(answer.body) : printable(command.name) + "\n", ctx));
  return kExitOk;
}

Result<int> run_command(const CanaryListCommand& command, App& app, const fiber::Context& ctx) {
  const auto answer = TRY(app.client.get("/v1/canaries", ctx));
  if (command.json) {
    TRY(app.print(pretty_text(answer.body), ctx));
    return kExitOk;
  }
  Table table({"NAME", "BYTES", "CREATED"});
  for (const Json& one : array_at(answer.body, "canaries")) {
    table.add({printable(text_at(one, {"name"})), std::to_string(number_at(one, {"bytes"})),
               format_utc(number_at(one, {"created_ms"}))});
  }
  TRY(app.print(table.text(), ctx));
  return kExitOk;
}

Result<int> run_command(const CanaryRemoveCommand& command, App& app, const fiber::Context& ctx) {
  return for_each_name(command.names, command.json, app, ctx,
                       [&](const std::string& name) -> Result<std::string> {
                         TRY(app.client.remove("/v1/canaries/" + http::percent_encode(name), ctx));
                         return name;
                       });
}

}  // namespace tare::cli
