#include "cli/render.h"

#include <algorithm>

#include <fmt/core.h>

#include "base/text.h"

namespace tare::cli {
namespace {

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !continues(c); }));
}

const Json* find(const Json& value, std::initializer_list<std::string_view> path) {
  const Json* at = &value;
  for (const std::string_view key : path) {
    const JsonObject* object = at->if_object();
    if (object == nullptr) return nullptr;
    at = object->if_contains(key);
    if (at == nullptr) return nullptr;
  }
  return at;
}

}  // namespace

std::string Table::text() const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    if (widths.size() < row.size()) widths.resize(row.size());
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - width_of(row[i]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string printable(std::string_view text, std::size_t most) {
  const std::string safe = is_utf8(text) ? std::string(text) : [&] {
    std::string out;
    for (const char c : text)
      out += static_cast<unsigned char>(c) < 0x80 ? std::string(1, c) : "\xef\xbf\xbd";
    return out;
  }();
  std::string out;
  std::size_t width = 0;
  for (std::size_t i = 0; i < safe.size(); ++i) {
    const auto c = static_cast<unsigned char>(safe[i]);
    if (!continues(safe[i]) && ++width > most) return out + "...";
    // C1 controls are the two bytes C2 80 to C2 9F.
    if (c == 0xc2 && i + 1 < safe.size() && static_cast<unsigned char>(safe[i + 1]) < 0xa0) {
      out += '?';
      ++i;
    } else {
      out += c < 0x20 || c == 0x7f ? '?' : safe[i];
    }
  }
  return out;
}

std::string age_text(std::uint64_t then_ms, std::uint64_t now_ms) {
  const std::uint64_t seconds = now_ms > then_ms ? (now_ms - then_ms) / 1000 : 0;
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m", seconds / 60);
  if (seconds < 48 * 3600) return fmt::format("{}h", seconds / 3600);
  return fmt::format("{}d", seconds / 86'400);
}

std::string text_at(const Json& value, std::initializer_list<std::string_view> path) {
  const Json* at = find(value, path);
  return at != nullptr && at->is_string() ? std::string(at->get_string()) : "";
}

std::uint64_t number_at(const Json& value, std::initializer_list<std::string_view> path) {
  const Json* at = find(value, path);
  if (at == nullptr) return 0;
  if (at->is_uint64()) return at->get_uint64();
  return at->is_int64() && at->get_int64() > 0 ? static_cast<std::uint64_t>(at->get_int64()) : 0;
}

bool flag_at(const Json& value, std::initializer_list<std::string_view> path) {
  const Json* at = find(value, path);
  return at != nullptr && at->is_bool() && at->get_bool();
}

const JsonArray& array_at(const Json& value, std::string_view key) {
  static const JsonArray kNone;
  const Json* at = find(value, {key});
  return at != nullptr && at->is_array() ? at->get_array() : kNone;
}

std::string command_text(const JsonArray& argv, std::size_t most) {
  std::string out;
  for (const Json& word : argv) {
    const std::string text = word.is_string() ? std::string(word.get_string()) : "?";
    if (!out.empty()) out += ' ';
    const bool plain = !text.empty() &&
                       text.find_first_of(" \t\n'\"\\$`&|;<>()*?#") == std::string::npos;
    if (plain) {
      out += text;
      continue;
    }
    out += '\'';
    for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    out += '\'';
  }
  return printable(out, most);
}

std::string error_text(const Error& error) {
  static constexpr std::pair<std::string_view, std::string_view> kTyped[] = {
      {"argv: is needed", "a command after `--` is needed"},
      {"user: ", "--user: "},
      {"profile: ", "--profile: "},
      {"cwd: ", "--cwd: "},
      {"idempotency_key: ", "--idempotency-key: "}};
  const std::string& text = error.message;
  for (const auto& [field, typed] : kTyped) {
    if (text.starts_with(field)) return std::string(typed) + text.substr(field.size());
  }
  // There is one name on the line, and the message has it; but for "expected ...".
  for (const std::string_view field : {"name", "ref"}) {
    if (error.field != field) continue;
    if (!text.starts_with(std::string(field) + ": ")) return text;
    const std::string rest = text.substr(field.size() + 2);
    return rest.starts_with("expected") ? text : rest;
  }
  const bool named = error.field.empty() || text.find(error.field) != std::string::npos;
  return named ? text : error.field + ": " + text;
}

}  // namespace tare::cli
