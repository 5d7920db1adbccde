#include "base/toml.h"

#include <memory>

#include <fmt/core.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/toml_scanner.h"

namespace tare {

namespace {

// How a table came to be decides who may add to it later.
enum class Made : std::uint8_t {
  in_passing,  // by a header that goes through it: [a.b] makes a; [a] may still come
  by_header,   // [a], [[a]]: once
  by_dots,     // a.b = 1: further dotted keys in the same table may add
  closed,      // { } and values: nobody
};

struct Entry {
  std::uint32_t line = 0;
  Made made = Made::closed;
  bool is_table = false;
  bool is_table_array = false;  // made by [[a]]
  Json scalar;                  // when neither table nor array
  bool is_array = false;
  std::map<std::string, std::unique_ptr<Entry>, std::less<>> members;
  std::vector<std::unique_ptr<Entry>> items;
};

std::unique_ptr<Entry> new_table(std::uint32_t line, Made made) {
  auto table = std::make_unique<Entry>();
  table->line = line;
  table->made = made;
  table->is_table = true;
  return table;
}

using Key = std::vector<std::string>;

class Parser {
 public:
  Parser(std::string_view text, std::string_view file) : in_(text, file) {}

  Result<std::unique_ptr<Entry>> document() {
    auto root = new_table(0, Made::by_header);
    Entry* table = root.get();
    std::size_t depth = 0;
    for (TRY(in_.skip_lines()); !in_.at_end(); TRY(in_.skip_lines())) {
      if (in_.sees("[")) {
        depth = 0;
        table = TRY(header(*root, depth));
      } else {
        TRY(assignment(*table, depth));
      }
      TRY(in_.end_line());
    }
    return root;
  }

 private:
  Result<Key> key() {
    Key parts;
    do {
      in_.skip_blanks();
      if (parts.size() == kMaxTomlDepth) return too_deep();
      parts.push_back(TRY(in_.key_part()));
      in_.skip_blanks();
    } while (in_.take("."));
    return parts;
  }

  // [a.b] or [[a.b]]: the table that the lines below belong to. `depth` becomes its depth.
  Result<Entry*> header(Entry& root, std::size_t& depth) {
    in_.take("[");
    const bool append = in_.take("[");
    const std::uint32_t line = in_.line();
    const Key name = TRY(key());
    if (!in_.take(append ? "]]" : "]")) return in_.refuse(append ? "expected ]]" : "expected ]");
    Entry* table = &root;
    for (std::size_t i = 0; i + 1 < name.size(); ++i) {
      table = TRY(pass_through(*table, name[i], line, depth));
    }
    Entry* found = TRY(append ? append_table(*table, name.back(), line, depth)
                              : define_table(*table, name.back(), line, depth));
    if (depth > kMaxTomlDepth) return too_deep();
    return found;
  }

  Result<Entry*> pass_through(Entry& table, const std::string& name, std::uint32_t line,
                              std::size_t& depth) {
    ++depth;
    auto& slot = table.members[name];
    if (!slot) slot = new_table(line, Made::in_passing);
    if (slot->is_table_array) {
      ++depth;
      return slot->items.back().get();
    }
    if (slot->is_table && slot->made != Made::closed) return slot.get();
    return in_.refuse(fmt::format("{} is no table that could be added to", quote(name)));
  }

  Result<Entry*> define_table(Entry& table, const std::string& name, std::uint32_t line,
                              std::size_t& depth) {
    ++depth;
    auto& slot = table.members[name];
    if (!slot) {
      slot = new_table(line, Made::by_header);
    } else if (slot->is_table && slot->made == Made::in_passing) {
      slot->made = Made::by_header;
      slot->line = line;
    } else {
      return twice(name, *slot);
    }
    return slot.get();
  }

  Result<Entry*> append_table(Entry& table, const std::string& name, std::uint32_t line,
                              std::size_t& depth) {
    depth += 2;
    auto& slot = table.members[name];
    if (!slot) {
      slot = std::make_unique<Entry>();
      slot->line = line;
      slot->is_array = slot->is_table_array = true;
    } else if (!slot->is_table_array) {
      return twice(name, *slot);
    }
    slot->items.push_back(new_table(line, Made::by_header));
    return slot->items.back().get();
  }

  // a.b = value, below a table at `depth`.
  Result<> assignment(Entry& into, std::size_t depth) {
    const std::uint32_t line = in_.line();
    const Key name = TRY(key());
    Entry* table = &into;
    for (std::size_t i = 0; i + 1 < name.size(); ++i) {
      auto& slot = table->members[name[i]];
      if (!slot) slot = new_table(line, Made::by_dots);
      if (!slot->is_table || slot->made != Made::by_dots) return twice(name[i], *slot);
      table = slot.get();
    }
    if (const auto found = table->members.find(name.back()); found != table->members.end()) {
      return twice(name.back(), *found->second);
    }
    if (!in_.take("=")) return in_.refuse("expected =");
    in_.skip_blanks();
    auto entry = TRY(value(depth + name.size()));
    entry->line = line;
    table->members.emplace(name.back(), std::move(entry));
    return ok();
  }

  Result<std::unique_ptr<Entry>> value(std::size_t depth) {
    if (depth > kMaxTomlDepth) return too_deep();
    if (in_.sees("[")) return array(depth);
    if (in_.sees("{")) return inline_table(depth);
    auto entry = std::make_unique<Entry>();
    entry->line = in_.line();
    entry->scalar = TRY(in_.scalar());
    return entry;
  }

  Result<std::unique_ptr<Entry>> array(std::size_t depth) {
    auto entry = std::make_unique<Entry>();
    entry->line = in_.line();
    entry->is_array = true;
    in_.take("[");
    for (TRY(in_.skip_lines()); !in_.take("]"); TRY(in_.skip_lines())) {
      entry->items.push_back(TRY(value(depth + 1)));
      TRY(in_.skip_lines());
      if (!in_.take(",") && !in_.sees("]")) return in_.refuse("expected , or ]");
    }
    return entry;
  }

  Result<std::unique_ptr<Entry>> inline_table(std::size_t depth) {
    auto entry = new_table(in_.line(), Made::closed);
    in_.take("{");
    in_.skip_blanks();
    if (in_.take("}")) return entry;
    do {
      TRY(assignment(*entry, depth));
      in_.skip_blanks();
    } while (in_.take(","));
    if (!in_.take("}")) return in_.refuse("expected , or }");
    return entry;
  }

  Error too_deep() const {
    return in_.refuse(fmt::format("nested more than {} levels deep", kMaxTomlDepth));
  }
  Error twice(std::string_view name, const Entry& first) const {
    return in_.refuse(fmt::format("{} is defined already, in line {}", quote(name), first.line));
  }

  TomlScanner in_;
};

// Splits the tree into the values and their lines. Not deeper than kMaxTomlDepth.
Json take_values(Entry& entry, TomlPlace& place) {
  place.line = entry.line;
  if (entry.is_table) {
    JsonObject object;
    for (auto& [key, member] : entry.members) {
      object.emplace(key, take_values(*member, place.members[key]));
    }
    return object;
  }
  if (!entry.is_array) return std::move(entry.scalar);
  JsonArray array;
  place.items.resize(entry.items.size());
  for (std::size_t i = 0; i < entry.items.size(); ++i) {
    array.push_back(take_values(*entry.items[i], place.items[i]));
  }
  return array;
}

}  // namespace

Result<TomlDocument> TomlDocument::parse(std::string_view text, std::string file_name) {
  if (text.size() > kMaxTomlBytes) {
    return Error{Errc::exhausted, fmt::format("{}: {} bytes long, at most {} are allowed",
                                              file_name, text.size(), kMaxTomlBytes)};
  }
  if (!is_utf8(text)) return Error{Errc::invalid, file_name + ": not valid UTF-8"};
  const std::unique_ptr<Entry> root = TRY(Parser(text, file_name).document());
  TomlPlace places;
  Json value = take_values(*root, places);
  return TomlDocument(std::move(value), std::move(places), std::move(file_name));
}

std::string TomlDocument::locate(const std::vector<PathPart>& path) const {
  const TomlPlace* place = &places_;
  for (const PathPart& part : path) {
    if (part.is_key) {
      const auto found = place->members.find(part.key);
      if (found == place->members.end()) break;
      place = &found->second;
    } else {
      if (part.index >= place->items.size()) break;
      place = &place->items[part.index];
    }
  }
  if (place->line == 0) return file_name_;
  return fmt::format("{}:{}", file_name_, place->line);
}

}  // namespace tare
