#include "cli/args_refusal.h"

#include <algorithm>

#include <fmt/core.h>

#include "base/text.h"

namespace tare::cli {
namespace {

bool is_group(const CLI::App& command) {
  return !command.get_subcommands([](const CLI::App*) { return true; }).empty();
}

// `word`: that no command has taken, "" when there are options alone. Empty: the fix is not known.
std::string fix_for(const std::string& path, const std::string& word, const Raw& raw) {
  if (path == "session exec" && !word.empty()) {
    return fmt::format("put `--` before the command: tare session exec {} -- {} ...", raw.id, word);
  }
  if (path == "run" && raw.environment && !raw.agent.empty()) {
    return fmt::format("put `--` before the command: tare run --env {} -- {} ...", *raw.environment,
                       raw.agent);
  }
  if (path == "run" && !word.empty()) {
    return fmt::format("put `--` before the command, or before what an agent is given: {}",
                       quote(word));
  }
  const bool has_path = raw.from.find(':') != std::string::npos;
  if (word.empty() || has_path) return {};
  if (path == "session mv")
    return fmt::format("write SESSION:PATH: mv {}:{} {}", raw.from, raw.to, word);
  if (path == "session ls" || path == "session rm")
    return fmt::format("write SESSION:PATH: {} {}:{}", path.substr(8), raw.from, word);
  return {};
}

}  // namespace

std::string refusal_text(const CLI::App& app, const CLI::ParseError& error, const Raw& raw) {
  const CLI::App* at = &app;
  std::string path;
  for (auto given = at->get_subcommands(); !given.empty(); given = at->get_subcommands()) {
    at = given.front();
    path += (path.empty() ? "" : " ") + at->get_name();
  }
  const auto left = app.remaining(true);
  const auto word = std::ranges::find_if(left,
                                         [](const auto& one) { return !one.starts_with('-'); });
  if (is_group(*at)) {
    if (word != left.end() && word == left.begin()) {
      return fmt::format("there is no command {}",
                         quote(path.empty() ? *word : path + " " + *word));
    }
    if (left.empty() && !path.empty())
      return fmt::format("{} needs a command: `tare help {}` lists them", path, path);
    if (!left.empty()) return fmt::format("there is no option {}", quote(left.front()));
  } else if (!left.empty()) {
    std::string fix = fix_for(path, word == left.end() ? "" : *word, raw);
    if (!fix.empty()) return fix;
  }
  return error.what();
}

}  // namespace tare::cli
