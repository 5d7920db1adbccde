#include "base/toml.h"

// toml++ 3.3 asserts what hostile text can break ("[}", "a = [}"): it would abort in debug builds, and in release
// it turns the same assertions into promises to the optimiser. The code behind them refuses such text properly, so
// they are switched off in both. tests/fuzz/agent_toml_fuzz.cpp holds this to be so.
#undef NDEBUG
#define TOML_ASSERT(expr) static_cast<void>(0)
#define TOML_EXCEPTIONS 0
#define TOML_UNRELEASED_FEATURES 0
#define TOML_MAX_NESTED_VALUES 16
#include <toml++/toml.h>

#include <cmath>

#include <fmt/core.h>

#include "base/limits.h"
#include "base/text.h"

namespace tare {

namespace {

static_assert(TOML_MAX_NESTED_VALUES == kMaxTomlDepth);

using Lines = std::map<std::string, std::uint32_t, std::less<>>;

Error refused(std::string_view file, const toml::source_position& at, std::string_view why) {
  return Error{Errc::invalid, fmt::format("{}:{}:{}: {}", file, at.line, at.column, why)};
}

// Walks the text ahead of toml++ as a lexer does, knowing only strings, comments and dots, and refuses two things
// that valid files never hold but that toml++ 3.3 does not survive: a dotted key of any length ("a.a.a..."), built
// into tables as deep that then recurse to their end; and, outside of strings and comments, a character that is
// not ASCII, which takes it to a place its authors held to be unreachable.
class Precheck {
 public:
  Precheck(std::string_view text, std::string_view file) : rest_(text), file_(file) {}

  Result<> run() {
    if (!is_utf8(rest_)) return Error{Errc::invalid, fmt::format("{}: not valid UTF-8", file_)};
    while (!rest_.empty()) {
      const char c = rest_.front();
      if (c == '"' || c == '\'') {
        skip_string(c);
        continue;
      }
      if (c == '#') {
        skip_comment();
        continue;
      }
      if (static_cast<unsigned char>(c) >= 0x80) return refuse("a character that needs quotes");
      if (std::string_view("\n,={}[]").find(c) != std::string_view::npos) dots_ = 0;
      if (c == '.' && ++dots_ >= kMaxTomlDepth) {
        return refuse(fmt::format("a key with more than {} parts", kMaxTomlDepth));
      }
      skip(1);
    }
    return ok();
  }

 private:
  Error refuse(std::string_view why) const {
    return Error{Errc::invalid, fmt::format("{}:{}: {}", file_, line_, why)};
  }

  void skip(std::size_t n) {
    for (; n > 0 && !rest_.empty(); --n, rest_.remove_prefix(1)) line_ += rest_.front() == '\n' ? 1 : 0;
  }

  void skip_comment() {
    while (!rest_.empty() && rest_.front() != '\n') skip(1);
  }

  void skip_string(char quote_mark) {
    const std::string triple(3, quote_mark);
    const bool multi_line = rest_.starts_with(triple);
    skip(multi_line ? 3 : 1);
    while (!rest_.empty()) {
      if (quote_mark == '"' && rest_.front() == '\\') {
        skip(2);
      } else if (multi_line && rest_.starts_with(triple)) {
        skip(3);
        // Two quotes may stand in front of the closing three: """a""""" holds a"".
        for (int i = 0; i < 2 && rest_.starts_with(quote_mark); ++i) skip(1);
        return;
      } else if (!multi_line && (rest_.front() == quote_mark || rest_.front() == '\n')) {
        if (rest_.front() == quote_mark) skip(1);
        return;
      } else {
        skip(1);
      }
    }
  }

  std::string_view rest_;
  std::string_view file_;
  std::uint32_t line_ = 1;
  std::size_t dots_ = 0;
};

// Turns the tree of toml++ into JSON and notes the line of each path.
class Converter {
 public:
  explicit Converter(std::string_view file) : file_(file) {}
  Lines take_lines() { return std::move(lines_); }

  Result<Json> value(const toml::node& node, const std::string& path, std::size_t depth) {
    if (depth > kMaxTomlDepth) {
      return refused(file_, node.source().begin,
                     fmt::format("nested more than {} levels deep", kMaxTomlDepth));
    }
    switch (node.type()) {
      case toml::node_type::table: return table(*node.as_table(), path, depth);
      case toml::node_type::array: return array(*node.as_array(), path, depth);
      case toml::node_type::string: return Json(std::string_view(node.as_string()->get()));
      case toml::node_type::integer: return Json(node.as_integer()->get());
      case toml::node_type::boolean: return Json(node.as_boolean()->get());
      case toml::node_type::floating_point: return number(*node.as_floating_point());
      default:
        return refused(file_, node.source().begin, "dates and times are not used here; write text");
    }
  }

 private:
  Result<Json> number(const toml::value<double>& node) {
    if (std::isfinite(node.get())) return Json(node.get());
    return refused(file_, node.source().begin, "inf and nan are not allowed");
  }

  Result<Json> table(const toml::table& table, const std::string& path, std::size_t depth) {
    JsonObject object;
    for (const auto& [key, node] : table) {
      std::string below = path;
      append_path_key(below, key.str());
      lines_.try_emplace(below, key.source().begin.line);
      object.emplace(std::string_view(key.str()), TRY(value(node, below, depth + 1)));
    }
    return Json(std::move(object));
  }

  Result<Json> array(const toml::array& items, const std::string& path, std::size_t depth) {
    JsonArray array;
    array.reserve(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
      std::string below = path;
      append_path_index(below, i);
      lines_.try_emplace(below, items[i].source().begin.line);
      array.push_back(TRY(value(items[i], below, depth + 1)));
    }
    return Json(std::move(array));
  }

  std::string_view file_;
  Lines lines_;
};

}  // namespace

Result<TomlDocument> TomlDocument::parse(std::string_view text, std::string file_name) {
  if (text.size() > kMaxTomlBytes) {
    return Error{Errc::exhausted, fmt::format("{}: {} bytes long, at most {} are allowed", file_name,
                                              text.size(), kMaxTomlBytes)};
  }
  TRY(Precheck(text, file_name).run());
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    // The description may quote the input: made printable, without the quotes around it.
    const std::string why = quote(error.description());
    return refused(file_name, error.source().begin, std::string_view(why).substr(1, why.size() - 2));
  }
  Converter converter(file_name);
  Json value = TRY(converter.value(parsed.table(), "", 0));
  return TomlDocument(std::move(value), std::move(file_name), converter.take_lines());
}

std::string TomlDocument::locate(std::string_view path) const {
  while (!path.empty()) {
    if (const auto found = lines_.find(path); found != lines_.end()) {
      return fmt::format("{}:{}", file_name_, found->second);
    }
    const std::size_t cut = path.find_last_of(".[");
    path = path.substr(0, cut == std::string_view::npos ? 0 : cut);
  }
  return file_name_;
}

}  // namespace tare
