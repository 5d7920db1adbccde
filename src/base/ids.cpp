#include "base/ids.h"

#include <algorithm>
#include <span>

#include <fmt/core.h>

#include "base/check.h"
#include "base/text.h"

namespace tare {

namespace {

// Crockford's base32: no i, l, o, u.
constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::size_t kUlidChars = 26;
constexpr std::size_t kTimeChars = 10;
constexpr std::uint64_t kMaxMs = (std::uint64_t{1} << 48) - 1;  // the year 10889

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_name_char(char c) { return is_name_start(c) || c == '.' || c == '_' || c == '-'; }

// 128 bits as 26 digits of 5 bits; the first digit holds only the top 3 bits.
std::string encode(unsigned __int128 value) {
  std::string out(kUlidChars, '0');
  for (std::size_t i = kUlidChars; i-- > 0; value >>= 5U) {
    out[i] = kAlphabet[static_cast<std::size_t>(value & 31U)];
  }
  return out;
}

}  // namespace

void RunIdGenerator::draw() { random_.fill(std::as_writable_bytes(std::span(tail_))); }

void RunIdGenerator::count_up() {
  for (std::size_t i = tail_.size(); i-- > 0;) {
    if (++tail_[i] != 0) return;
  }
  // All 80 bits were used up within one millisecond: borrow the next one.
  ++last_ms_;
  draw();
}

std::string RunIdGenerator::next() {
  const std::uint64_t now_ms = std::min(clock_.wall_ms(), kMaxMs);
  if (now_ms > last_ms_) {
    last_ms_ = now_ms;
    draw();
  } else {
    count_up();
  }
  unsigned __int128 value = last_ms_;
  for (const std::uint8_t byte : tail_) value = value << 8U | byte;
  return std::string(kRunIdPrefix) + encode(value);
}

bool is_run_id(std::string_view text) {
  if (text.size() != kRunIdBytes || !text.starts_with(kRunIdPrefix)) return false;
  const std::string_view ulid = text.substr(kRunIdPrefix.size());
  if (ulid.front() > '7') return false;  // would be more than 128 bits
  return ulid.find_first_not_of(kAlphabet) == std::string_view::npos;
}

std::uint64_t run_id_ms(std::string_view run_id) {
  CHECK(is_run_id(run_id));
  std::uint64_t ms = 0;
  for (const char c : run_id.substr(kRunIdPrefix.size(), kTimeChars)) {
    ms = ms << 5U | kAlphabet.find(c);
  }
  return ms;
}

bool is_name(std::string_view text) {
  if (text.empty() || text.size() > kMaxNameBytes || !is_name_start(text.front())) return false;
  return std::all_of(text.begin(), text.end(), is_name_char);
}

Result<> check_name(std::string_view field, std::string_view text) {
  if (is_name(text)) return ok();
  return field_error(field,
                     fmt::format("{} is not a name: use 1 to {} of a-z, 0-9, '.', '_' and '-', "
                                 "starting with a letter or digit",
                                 quote(text), kMaxNameBytes));
}

}  // namespace tare
