// tare env diff.
#include <fmt/core.h>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/render.h"
#include "http/url.h"

namespace tare::cli {
namespace {

constexpr std::size_t kMaxPathShown = 200, kMaxValueShown = 400;

char sign_of(bool before, bool after) { return before && after ? '~' : after ? '+' : '-'; }

bool has(const Json& value, std::string_view key) {
  return value.is_object() && value.get_object().contains(key);
}

// A version of a package, or a field of a configuration.
std::string value_text(const Json& change, std::string_view side) {
  const Json& value = change.get_object().at(side);
  if (value.is_array()) return command_text(value.get_array(), kMaxValueShown);
  return value.is_string() ? printable(std::string(value.get_string()), kMaxValueShown)
                           : to_text(value);
}

std::string changes_text(std::string_view what, const JsonArray& changes) {
  if (changes.empty()) return {};
  Table table({std::string(what)});
  for (const Json& change : changes) {
    const bool before = has(change, "before"), after = has(change, "after");
    if (!before && !after) continue;
    std::string values = value_text(change, before ? "before" : "after");
    if (before && after) values += " -> " + value_text(change, "after");
    table.add({fmt::format("  {} {}", sign_of(before, after), printable(text_at(change, {"name"}))),
               std::move(values)});
  }
  return table.text();
}

std::string size_text(const Json& change, std::string_view side) {
  const std::string type = text_at(change, {side, "type"});
  return type == "file" ? format_size_rounded(number_at(change, {side, "size"})) : type;
}

// Only the time of a folder: what is in it says more.
bool is_dull(const Json& change) {
  const JsonArray& aspects = array_at(change, "aspects");
  return text_at(change, {"after", "type"}) == "folder" && aspects.size() == 1 &&
         aspects[0].is_string() && aspects[0].get_string() == "time";
}

std::vector<std::string> change_row(const Json& change) {
  const bool before = has(change, "before"), after = has(change, "after");
  std::string size = size_text(change, before ? "before" : "after");
  std::string aspects;
  for (const Json& aspect : array_at(change, "aspects")) {
    if (!aspect.is_string()) continue;
    aspects += (aspects.empty() ? "" : ", ") + std::string(aspect.get_string());
  }
  if (before && after && size_text(change, "after") != size)
    size += " -> " + size_text(change, "after");
  return {fmt::format("  {} {}", sign_of(before, after),
                      printable(text_at(change, {"path"}), kMaxPathShown)),
          size, printable(aspects)};
}

std::string diff_text(const Json& diff) {
  std::string text = changes_text("Configuration", array_at(diff, "config")) +
                     changes_text("Debian packages", array_at(diff, "debian")) +
                     changes_text("Python packages", array_at(diff, "python"));
  const JsonArray& changes = array_at(diff, "changes");
  if (!changes.empty()) {
    Table rows({fmt::format("Files: {} added, {} removed, {} changed; {} -> {}",
                            number_at(diff, {"added"}), number_at(diff, {"removed"}),
                            number_at(diff, {"changed"}),
                            format_size_rounded(number_at(diff, {"bytes_before"})),
                            format_size_rounded(number_at(diff, {"bytes_after"})))});
    std::size_t dull = 0;
    for (const Json& change : changes) {
      if (is_dull(change)) ++dull;
      if (!is_dull(change)) rows.add(change_row(change));
    }
    text += rows.text();
    if (dull > 0)
      text += fmt::format("  ({} in {} time only)\n",
                          dull == 1 ? "1 folder differs" : fmt::format("{} folders differ", dull),
                          dull == 1 ? "its" : "their");
    if (flag_at(diff, {"cut"})) text += "  (there are more: the list is cut here)\n";
  }
  return text.empty() ? "no difference\n" : text;
}

}  // namespace

Result<int> run_command(const EnvDiffCommand& command, App& app, const fiber::Context& ctx) {
  const auto answer = TRY(app.client.get("/v1/environments/" + http::percent_encode(command.from) +
                                             "/diff?to=" + http::percent_encode(command.to),
                                         ctx));
  TRY(app.print(command.json ? pretty_text(answer.body) : diff_text(answer.body), ctx));
  if (!command.json) {
    for (const Json& note : array_at(answer.body, "notes"))
      if (note.is_string()) app.note(std::string(note.get_string()), ctx);
  }
  return kExitOk;
}

}  // namespace tare::cli
