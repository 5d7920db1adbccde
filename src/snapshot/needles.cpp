#include "snapshot/needles.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/text.h"
#include "base/wire.h"

namespace tare::snapshot {

namespace {

constexpr std::size_t kWindow = kMinNeedleBytes;  // no pattern is shorter
constexpr std::size_t kBlock = 4;
constexpr std::uint8_t kFarthest = kWindow - kBlock + 1;
constexpr std::size_t kManyPatterns = 1024;

// The first 32 - `drop` bits of Knuth's multiplicative hash.
std::size_t hash_of(const char* block, unsigned drop) {
  std::uint32_t value = 0;
  std::memcpy(&value, block, kBlock);
  return (value * 2'654'435'761U) >> drop;
}

bool is_line_end(char c) { return c == '\n' || c == '\r'; }

// The characters of base64 that a value alone decides, when it begins `skew` bytes behind a group
// of three.
std::string base64_inside(std::string_view value, std::size_t skew, std::string_view alphabet) {
  const std::string bytes = std::string(skew, '\0') + std::string(value);
  const auto bits_at = [&bytes](std::size_t bit) {
    unsigned found = 0;
    for (std::size_t i = bit; i < bit + 6; ++i) {
      const auto byte = static_cast<unsigned char>(bytes[i / 8]);
      found = (found << 1U) | ((byte >> (7 - i % 8)) & 1U);
    }
    return found;
  };
  std::string text;
  for (std::size_t bit = (skew * 8 + 5) / 6 * 6; bit + 6 <= bytes.size() * 8; bit += 6)
    text += alphabet[bits_at(bit)];
  return text;
}

std::string upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

}  // namespace

Result<> check_needle(const Needle& needle) {
  if (needle.name.empty() || needle.name.size() > kMaxNeedleNameBytes)
    return Error{Errc::invalid, "needle: its name has 1 to 128 bytes", 0, "name"};
  if (needle.value.size() < kMinNeedleBytes || needle.value.size() > kMaxNeedleBytes)
    return Error{Errc::invalid, "a secret that is searched for has 16 to 4096 bytes", 0, "value"};
  if (std::set<char>(needle.value.begin(), needle.value.end()).size() < kMinNeedleVariety) {
    return Error{Errc::invalid,
                 "a secret that is searched for has at least 6 different bytes: this one would be "
                 "found where it is not",
                 0, "value"};
  }
  return ok();
}

Sha256Digest needle_set_id(const std::vector<Needle>& needles, std::string_view key) {
  std::vector<Sha256Digest> each;  // under the key, too: they lie in memory that is not wiped
  for (const Needle& needle : needles) each.push_back(hmac_sha256(key, needle.value));
  std::ranges::sort(each);
  std::string text("tare needles ");
  text += static_cast<char>(kNeedleSearchVersion);
  for (const Sha256Digest& one : each) text.append(one.begin(), one.end());
  return hmac_sha256(key, text);
}

Result<std::string> encode_needles(const NeedleSet& set) {
  WireWriter w;
  std::size_t bytes = 8 + set.id.size();
  for (const Needle& needle : set.needles) bytes += 8 + needle.name.size() + needle.value.size();
  w.reserve(bytes);  // no part of a value stays in memory that was given back
  w.bytes("id", {reinterpret_cast<const char*>(set.id.data()), set.id.size()}, set.id.size());
  w.count("needles", set.needles.size(), kMaxNeedles);
  for (const Needle& needle : set.needles) {
    w.text("name", needle.name, kMaxNeedleNameBytes);
    w.bytes("value", needle.value, kMaxNeedleBytes);
  }
  return w.finish();
}

Result<NeedleSet> parse_needles(std::string_view bytes) {
  WireReader r(bytes);
  NeedleSet set;
  const std::string id = TRY(r.bytes("id", set.id.size()));
  if (id.size() != set.id.size()) return Error{Errc::invalid, "needles: an id has 32 bytes"};
  std::ranges::copy(id, set.id.begin());
  const std::size_t count = TRY(r.count("needles", kMaxNeedles, 8 + kMinNeedleBytes));
  set.needles.resize(count);
  for (Needle& needle : set.needles) {
    needle.name = TRY(r.text("name", kMaxNeedleNameBytes));
    needle.value = TRY(r.bytes("value", kMaxNeedleBytes));
    TRY(check_needle(needle));
  }
  TRY(r.finish());
  return set;
}

Error has_secret(const NeedleCheck& check, const std::string& name, const std::string& where) {
  return Error{Errc::conflict, "the secret " + quote(name) + " is in " + where + check.fix};
}

NeedleSearch::NeedleSearch(std::vector<Needle> needles) : needles_(std::move(needles)) {
  constexpr std::string_view
      kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  const std::string alphabets[] = {std::string(kLetters) + "+/", std::string(kLetters) + "-_"};
  for (std::size_t i = 0; i < needles_.size(); ++i) {
    const std::string& value = needles_[i].value;
    CHECK(value.size() >= kWindow);
    add(value, i, false);
    std::set<std::string> encoded;
    const std::string hex = to_hex(
        std::span(reinterpret_cast<const std::uint8_t*>(value.data()), value.size()));
    encoded.insert({hex, upper(hex)});
    for (const std::string& alphabet : alphabets)
      for (std::size_t skew = 0; skew < 3; ++skew)
        encoded.insert(base64_inside(value, skew, alphabet));
    for (const std::string& text : encoded) add(text, i, true);
  }
  // So large that most of what is hashed is in no pattern: that is what can be skipped.
  if (patterns_.size() > kManyPatterns) drop_ -= 2;
  const std::size_t table = std::size_t{1} << (32 - drop_);
  shift_.assign(table, kFarthest);
  first_.assign(table, -1);
  next_.assign(patterns_.size(), -1);
  for (std::size_t i = 0; i < patterns_.size(); ++i)
    index(patterns_[i], static_cast<std::int32_t>(i));
}

void NeedleSearch::add(std::string bytes, std::size_t needle, bool with_line_ends) {
  longest_ = std::max(longest_, bytes.size() * (with_line_ends ? 2 : 1));
  patterns_.push_back({std::move(bytes), needle, with_line_ends});
}

void NeedleSearch::index(const Pattern& pattern, std::int32_t number) {
  for (std::size_t at = 0; at + kBlock <= kWindow; ++at) {
    std::uint8_t& shift = shift_[hash_of(pattern.bytes.data() + at, drop_)];
    shift = std::min(shift, static_cast<std::uint8_t>(kWindow - kBlock - at));
  }
  std::int32_t& first = first_[hash_of(pattern.bytes.data() + kWindow - kBlock, drop_)];
  next_[static_cast<std::size_t>(number)] = first;
  first = number;
}

bool NeedleSearch::starts_with(std::string_view bytes, const Pattern& pattern) {
  if (!bytes.starts_with(std::string_view(pattern.bytes).substr(0, kWindow))) return false;
  std::size_t at = kWindow;
  for (const char c : std::string_view(pattern.bytes).substr(kWindow)) {
    while (pattern.with_line_ends && at < bytes.size() && is_line_end(bytes[at])) ++at;
    if (at >= bytes.size() || bytes[at++] != c) return false;
  }
  return true;
}

const std::string* NeedleSearch::find(std::string_view bytes) const {
  if (patterns_.empty()) return nullptr;
  for (std::size_t at = kWindow - kBlock; at + kBlock <= bytes.size();) {
    const std::size_t hash = hash_of(bytes.data() + at, drop_);
    const std::uint8_t shift = shift_[hash];
    if (shift != 0) {
      at += shift;
      continue;
    }
    const std::string_view here = bytes.substr(at + kBlock - kWindow);
    for (std::int32_t i = first_[hash]; i >= 0; i = next_[static_cast<std::size_t>(i)]) {
      const Pattern& pattern = patterns_[static_cast<std::size_t>(i)];
      if (starts_with(here, pattern)) return &needles_[pattern.needle].name;
    }
    ++at;
  }
  return nullptr;
}

const std::string* NeedleStream::add(std::string_view piece) {
  const std::size_t overlap = search_.longest_bytes();
  if (overlap == 0) return nullptr;
  if (!tail_.empty()) {
    tail_ += piece.substr(0, overlap);
    if (const std::string* found = search_.find(tail_)) return found;
  }
  if (const std::string* found = search_.find(piece)) return found;
  if (piece.size() >= overlap) {
    tail_ = piece.substr(piece.size() - overlap);
  } else {
    if (tail_.empty()) tail_ = piece;  // else it has been added above
    if (tail_.size() > overlap) tail_.erase(0, tail_.size() - overlap);
  }
  return nullptr;
}

}  // namespace tare::snapshot
