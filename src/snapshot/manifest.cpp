#include "snapshot/manifest.h"

#include <fmt/format.h>

#include <charconv>
#include <set>

namespace tare::snapshot {

namespace {

constexpr std::string_view kHeader = "tare-manifest 1\n";
constexpr std::size_t kFlushBytes = 64 * 1024;

bool is_plain(unsigned char c) { return c > 0x20 && c < 0x7f && c != '\\' && c != '='; }

void append_escaped(std::string& out, std::string_view text) {
  constexpr char digits[] = "0123456789abcdef";
  for (const char raw : text) {
    const auto c = static_cast<unsigned char>(raw);
    if (is_plain(c)) {
      out += raw;
    } else {
      out += {'\\', 'x', digits[c >> 4], digits[c & 15]};
    }
  }
}

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

std::string manifest_text(std::string_view bytes) {
  std::string out;
  append_escaped(out, bytes);
  return out;
}

std::string manifest_line(const ManifestEntry& e) {
  std::string line;
  switch (e.type) {
    case EntryType::directory:
      line = fmt::format("d {:o} {} {} {} ", e.mode, e.uid, e.gid, e.mtime_s);
      break;
    case EntryType::file:
      line = fmt::format("f {:o} {} {} {} {} {} ", e.mode, e.uid, e.gid, e.mtime_s, e.size,
                         to_hex(e.content));
      break;
    case EntryType::symlink: line = fmt::format("l {} {} {} ", e.uid, e.gid, e.mtime_s); break;
    case EntryType::hardlink: line = "h "; break;
    case EntryType::whiteout: line = "w "; break;
  }
  append_escaped(line, e.path);
  if (e.type == EntryType::symlink || e.type == EntryType::hardlink) {
    line += ' ';
    append_escaped(line, e.target);
  }
  for (const ManifestXattr& xattr : e.xattrs) {
    line += ' ';
    append_escaped(line, xattr.name);
    line += '=';
    line += to_hex(bytes_of(xattr.value));
  }
  line += '\n';
  return line;
}

ManifestWriter::ManifestWriter(Sink sink) : sink_(std::move(sink)), buffer_(kHeader) {}

Result<> ManifestWriter::put(std::string_view text) {
  buffer_ += text;
  return buffer_.size() < kFlushBytes ? ok() : flush();
}

Result<> ManifestWriter::flush() {
  hash_.update(buffer_);
  TRY(sink_(buffer_));
  buffer_.clear();
  return ok();
}

Result<> ManifestWriter::add(const ManifestEntry& entry) {
  CHECK(last_path_.empty() ? entry.path == kRootPath
                           : compare_entry_paths(last_path_, entry.path) < 0);
  last_path_ = entry.path;
  if (entry.path != kRootPath) ++summary_.entries;
  if (entry.type == EntryType::file) summary_.bytes += entry.size;
  return put(manifest_line(entry));
}

Result<ManifestSummary> ManifestWriter::finish() {
  TRY(put(fmt::format("end {} {}\n", summary_.entries, summary_.bytes)));
  TRY(flush());
  summary_.digest = hash_.finish();
  return summary_;
}

// ---- Parsing ----

namespace {

// Takes the fields of one line, separated by single spaces.
class Fields {
 public:
  explicit Fields(std::string_view line) : rest_(line) {}

  bool empty() const { return done_; }

  Result<std::string_view> next() {
    if (done_) return Error{Errc::invalid, "a field is missing"};
    const std::size_t space = rest_.find(' ');
    const std::string_view field = rest_.substr(0, space);
    done_ = space == std::string_view::npos;
    if (!done_) rest_.remove_prefix(space + 1);
    return field;
  }

  template <class T>
  Result<T> number(int base = 10) {
    const std::string_view field = TRY(next());
    T value = 0;
    const auto parsed = std::from_chars(field.data(), field.data() + field.size(), value, base);
    if (parsed.ec != std::errc() || parsed.ptr != field.data() + field.size()) {
      return Error{Errc::invalid, "a number is expected"};
    }
    return value;
  }

 private:
  std::string_view rest_;
  bool done_ = false;
};

Result<std::uint8_t> hex_byte(std::string_view two) {
  unsigned value = 0;
  if (two.size() == 2) {
    const auto parsed = std::from_chars(two.data(), two.data() + 2, value, 16);
    if (parsed.ec == std::errc() && parsed.ptr == two.data() + 2)
      return static_cast<std::uint8_t>(value);
  }
  return Error{Errc::invalid, "two hexadecimal digits are expected"};
}

Result<std::string> unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    if (text.substr(i, 2) != "\\x") return Error{Errc::invalid, "unknown escape"};
    out += static_cast<char>(TRY(hex_byte(text.substr(i + 2, 2))));
    i += 3;
  }
  return out;
}

Result<ManifestXattr> parse_xattr(std::string_view field) {
  const std::size_t equals = field.find('=');
  if (equals == std::string_view::npos) return Error{Errc::invalid, "an attribute is name=hex"};
  ManifestXattr xattr;
  xattr.name = TRY(unescape(field.substr(0, equals)));
  const std::string_view hex = field.substr(equals + 1);
  for (std::size_t i = 0; i < hex.size(); i += 2)
    xattr.value += static_cast<char>(TRY(hex_byte(hex.substr(i, 2))));
  return xattr;
}

Result<EntryType> parse_type(std::string_view text) {
  if (text == "d") return EntryType::directory;
  if (text == "f") return EntryType::file;
  if (text == "l") return EntryType::symlink;
  if (text == "h") return EntryType::hardlink;
  if (text == "w") return EntryType::whiteout;
  return Error{Errc::invalid, "unknown kind of entry"};
}

Result<> check_entry(const ManifestEntry& entry) {
  TRY(check_entry_path(entry.path));
  if (entry.mode > 07777) return Error{Errc::invalid, "mode is above 7777"};
  if (entry.type == EntryType::symlink) {
    if (entry.target.empty() || entry.target.size() > kMaxLinkTargetBytes ||
        entry.target.find('\0') != std::string::npos) {
      return Error{Errc::invalid, "a link's target has 1 to 4095 bytes"};
    }
  }
  for (std::size_t i = 1; i < entry.xattrs.size(); ++i) {
    if (entry.xattrs[i - 1].name >= entry.xattrs[i].name)
      return Error{Errc::invalid, "attributes are not sorted"};
  }
  return ok();
}

Result<ManifestEntry> parse_line(std::string_view line) {
  Fields fields(line);
  ManifestEntry entry;
  entry.type = TRY(parse_type(TRY(fields.next())));
  const bool has_mode = entry.type == EntryType::directory || entry.type == EntryType::file;
  if (has_mode) entry.mode = TRY(fields.number<std::uint32_t>(8));
  const bool is_link = entry.type == EntryType::symlink || entry.type == EntryType::hardlink;
  if (has_mode || entry.type == EntryType::symlink) {
    entry.uid = TRY(fields.number<std::uint32_t>());
    entry.gid = TRY(fields.number<std::uint32_t>());
    entry.mtime_s = TRY(fields.number<std::int64_t>());
  }
  if (entry.type == EntryType::file) {
    entry.size = TRY(fields.number<std::uint64_t>());
    entry.content = TRY(parse_digest("sha256:" + std::string(TRY(fields.next()))));
  }
  entry.path = TRY(unescape(TRY(fields.next())));
  if (is_link) entry.target = TRY(unescape(TRY(fields.next())));
  while (has_mode && !fields.empty()) entry.xattrs.push_back(TRY(parse_xattr(TRY(fields.next()))));
  if (!fields.empty()) return Error{Errc::invalid, "too many fields"};
  TRY(check_entry(entry));
  return entry;
}

// What must hold between an entry and those before it.
class Sequence {
 public:
  Result<> accept(const ManifestEntry& entry) {
    const bool is_root = entry.path == kRootPath;
    if (last_.empty() != is_root)
      return Error{Errc::invalid, "the first entry, and only it, is the root"};
    if (is_root) {
      if (entry.type != EntryType::directory) return Error{Errc::invalid, "the root is a folder"};
    } else {
      if (compare_entry_paths(last_, entry.path) >= 0)
        return Error{Errc::invalid, "entries are not in order"};
      const std::string parent = split_entry_path(entry.path).first;
      if (!folders_.contains(parent))
        return Error{Errc::invalid, "the entry's folder is not in the manifest"};
    }
    if (entry.type == EntryType::directory) folders_.insert(entry.path);
    if (entry.type == EntryType::file) files_.insert(entry.path);
    if (entry.type == EntryType::hardlink && !files_.contains(entry.target)) {
      return Error{Errc::invalid, "a hard link names no earlier file"};
    }
    last_ = entry.path;
    return ok();
  }

 private:
  std::string last_;
  std::set<std::string> folders_, files_;
};

Error at_line(std::size_t number, Error error) {
  return std::move(error).context(fmt::format("manifest line {}", number));
}

}  // namespace

Result<Manifest> parse_manifest(std::string_view text) {
  const Sha256Digest digest = sha256(text);
  if (!text.starts_with(kHeader)) return Error{Errc::invalid, "manifest: unknown first line"};
  text.remove_prefix(kHeader.size());
  Manifest manifest;
  Sequence sequence;
  for (std::size_t number = 2;; ++number) {
    const std::size_t newline = text.find('\n');
    if (newline == std::string_view::npos)
      return Error{Errc::invalid, "manifest: its last line is missing"};
    const std::string_view line = text.substr(0, newline + 1);
    text.remove_prefix(newline + 1);
    if (line.starts_with("end ")) {
      const auto& s = manifest.summary;
      if (line != fmt::format("end {} {}\n", s.entries, s.bytes) || !text.empty() ||
          manifest.entries.empty()) {
        return at_line(number,
                       Error{Errc::invalid, "the closing line does not fit what is above it"});
      }
      manifest.summary.digest = digest;
      return manifest;
    }
    auto entry = parse_line(line.substr(0, newline));
    if (!entry) return at_line(number, std::move(entry).error());
    if (manifest_line(*entry) != line)
      return at_line(number, Error{Errc::invalid, "not in its canonical form"});
    auto accepted = sequence.accept(*entry);
    if (!accepted) return at_line(number, std::move(accepted).error());
    if (entry->path != kRootPath) ++manifest.summary.entries;
    if (entry->type == EntryType::file) manifest.summary.bytes += entry->size;
    manifest.entries.push_back(std::move(entry).value());
  }
}

Result<ManifestSummary> parse_manifest_tail(std::string_view tail) {
  const Error damaged{Errc::invalid, "manifest: its closing line is damaged"};
  if (!tail.ends_with('\n')) return damaged;
  tail.remove_suffix(1);
  const std::size_t newline = tail.rfind('\n');
  if (newline == std::string_view::npos) return damaged;
  Fields fields(tail.substr(newline + 1));
  if (TRY(fields.next()) != "end") return damaged;
  ManifestSummary summary;
  summary.entries = TRY(fields.number<std::uint64_t>());
  summary.bytes = TRY(fields.number<std::uint64_t>());
  if (!fields.empty()) return damaged;
  return summary;
}

}  // namespace tare::snapshot
