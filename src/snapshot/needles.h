// Secrets that must not be in a layer: their search in what is committed, as they are and in the
// forms in which programs write them down: hexadecimal, upper and lower case, and base64 (of either
// alphabet, at all three alignments, with line ends anywhere behind the first 16 characters).
//
// The search reads the last four bytes of a window of 16, and skips as far as the patterns allow
// (Wu and Manber, "A Fast Algorithm for Multi-Pattern Searching", 1994): about 9 bytes a step.
//
// Owner: one job. Errors: Errc::invalid naming the field, never a value. What never happens: a
// value in a message or a log. Threads: one; search is const. Not found: what is compressed,
// encrypted, split, or in an encoding of more than these.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"

namespace tare::snapshot {

inline constexpr std::size_t kMaxNeedles = 320;  // 64 canaries, 256 secrets of the vault
inline constexpr std::size_t kMinNeedleBytes = 16, kMaxNeedleBytes = 4096;
inline constexpr std::size_t kMaxNeedleNameBytes = 128;
inline constexpr std::size_t kMinNeedleVariety = 6;  // different bytes: "aaaa..." is everywhere
inline constexpr std::size_t kMaxNeedlesBytes = kMaxNeedles * (kMaxNeedleBytes + 256) + 64;

struct Needle {
  std::string name;  // said in a refusal
  std::string value;
  friend bool operator==(const Needle&, const Needle&) = default;
};
// Can it be searched for?
Result<> check_needle(const Needle& needle);

// Changes when the search finds more than it did: what was searched before is searched again.
inline constexpr std::uint8_t kNeedleSearchVersion = 1;

// All that is known, with a name for just these values: by it a layer is remembered as searched
// (layer_store.h). It tells nothing of them to who does not have the key.
struct NeedleSet {
  std::vector<Needle> needles = {};
  Sha256Digest id = {};  // zeros: none, and nothing is remembered
  friend bool operator==(const NeedleSet&, const NeedleSet&) = default;
};
// The same for the same values in any order, whatever their names.
Sha256Digest needle_set_id(const std::vector<Needle>& needles, std::string_view key);

// What comes beside requests, in a file of its own: secrets are in no message.
Result<std::string> encode_needles(const NeedleSet& set);
Result<NeedleSet> parse_needles(std::string_view bytes);

class NeedleSearch {
 public:
  explicit NeedleSearch(std::vector<Needle> needles);

  bool empty() const { return patterns_.empty(); }
  // The name of one that is in the bytes, or nullptr.
  const std::string* find(std::string_view bytes) const;
  // As long as any pattern, line ends included.
  std::size_t longest_bytes() const { return longest_; }

 private:
  struct Pattern {
    std::string bytes;
    std::size_t needle = 0;
    bool with_line_ends = false;
  };
  void add(std::string bytes, std::size_t needle, bool with_line_ends);
  void index(const Pattern& pattern, std::int32_t number);
  static bool starts_with(std::string_view bytes, const Pattern& pattern);

  std::vector<Needle> needles_;
  std::vector<Pattern> patterns_;
  std::size_t longest_ = 0;
  unsigned drop_ = 16;               // of a hash's 32 bits
  std::vector<std::uint8_t> shift_;  // by hash of four bytes
  std::vector<std::int32_t> first_;  // by the same: patterns whose window ends so; -1: none
  std::vector<std::int32_t> next_;   // by pattern
};

// A search, and what is said behind the place where one is found: what to do.
struct NeedleCheck {
  const NeedleSearch& search;
  Sha256Digest set = {};  // NeedleSet::id
  std::string fix;
};
// `where`: "\"etc/key\"".
Error has_secret(const NeedleCheck& check, const std::string& name, const std::string& where);

// One thing that comes in pieces: also what lies across them is found.
class NeedleStream {
 public:
  explicit NeedleStream(const NeedleSearch& search) : search_(search) {}
  // As find(), for all that has come so far.
  const std::string* add(std::string_view piece);

 private:
  const NeedleSearch& search_;
  std::string tail_;
};

}  // namespace tare::snapshot
