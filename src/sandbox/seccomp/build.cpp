#include "sandbox/seccomp/build.h"

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <cerrno>
#include <cstddef>
#include <map>
#include <optional>

#include "base/check.h"
#include "sandbox/seccomp/assembler.h"
#include "sandbox/seccomp/denied.h"

namespace tare::sandbox {

namespace {

using Label = Assembler::Label;

std::uint32_t answer_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::allowed: return SECCOMP_RET_ALLOW;
    case Verdict::refused: return SECCOMP_RET_USER_NOTIF;
    case Verdict::nothing: return SECCOMP_RET_ERRNO;
    case Verdict::absent: break;
  }
  return SECCOMP_RET_ERRNO | ENOSYS;
}

// From `first` to the next range's, all end at `leaf`.
struct Range {
  std::uint32_t first = 0;
  Label leaf = 0;
};

class Compiler {
 public:
  Result<std::string> compile(std::span<const SyscallRule> rules) {
    const Label x86_64 = code_.label();
    const Label other = code_.label();
    code_.load(offsetof(seccomp_data, arch));
    code_.jump_if(Assembler::Compare::equal, AUDIT_ARCH_X86_64, x86_64, other);
    code_.place(other);
    code_.jump_if(Assembler::Compare::equal, AUDIT_ARCH_I386, leaf(Verdict::refused),
                  leaf(Verdict::absent));
    code_.place(x86_64);
    code_.load(offsetof(seccomp_data, nr));
    find_ranges(rules);
    tree(ranges_);
    for (const auto& [label, rule] : decided_by_arguments_) arguments(label, *rule);
    for (const auto& [verdict, label] : leaves_) {
      code_.place(label);
      code_.answer(answer_of(verdict));
    }
    return code_.finish();
  }

 private:
  Label leaf(Verdict verdict) {
    const auto [found, fresh] = leaves_.try_emplace(verdict, 0);
    if (fresh) found->second = code_.label();
    return found->second;
  }

  void add_range(std::uint32_t first, Label leaf) {
    if (!ranges_.empty() && ranges_.back().leaf == leaf) return;
    if (!ranges_.empty() && ranges_.back().first == first) ranges_.pop_back();
    if (!ranges_.empty() && ranges_.back().leaf == leaf) return;
    ranges_.push_back({first, leaf});
  }

  void find_ranges(std::span<const SyscallRule> rules) {
    add_range(0, leaf(Verdict::refused));
    std::uint32_t least = 0;
    for (const SyscallRule& rule : rules) {
      CHECK(rule.number >= least && rule.number < kX32Bit);
      least = rule.number + 1;
      if (rule.cases.empty()) {
        add_range(rule.number, leaf(rule.otherwise));
      } else {
        decided_by_arguments_.emplace_back(code_.label(), &rule);
        add_range(rule.number, decided_by_arguments_.back().first);
      }
      add_range(rule.number + 1, leaf(Verdict::refused));
    }
  }

  void tree(std::span<const Range> ranges) {
    if (ranges.size() == 1) {  // a table that is all one verdict: any number is at least 0
      code_.jump_if(Assembler::Compare::at_least, 0, ranges[0].leaf, ranges[0].leaf);
      return;
    }
    const std::span<const Range> below = ranges.first(ranges.size() / 2);
    const std::span<const Range> above = ranges.subspan(ranges.size() / 2);
    const Label no = below.size() == 1 ? below[0].leaf : code_.label();
    const Label yes = above.size() == 1 ? above[0].leaf : code_.label();
    code_.jump_if(Assembler::Compare::at_least, above[0].first, yes, no);
    if (below.size() > 1) {
      code_.place(no);
      tree(below);
    }
    if (above.size() > 1) {
      code_.place(yes);
      tree(above);
    }
  }

  // One half of an argument.
  struct Word {
    std::uint32_t offset = 0, mask = 0, value = 0;
  };

  static std::vector<Word> words_of(const Case& one) {
    std::vector<Word> words;
    for (const ArgumentTest& test : one.tests) {
      CHECK(test.index < 6 && test.mask != 0 && (test.value & ~test.mask) == 0);
      const auto offset = static_cast<std::uint32_t>(offsetof(seccomp_data, args) +
                                                     sizeof(std::uint64_t) * test.index);
      for (const std::uint32_t half : {0U, 1U}) {  // little-endian
        const auto mask = static_cast<std::uint32_t>(test.mask >> (32 * half));
        const auto value = static_cast<std::uint32_t>(test.value >> (32 * half));
        if (mask != 0) words.push_back({offset + 4 * half, mask, value});
      }
    }
    return words;
  }

  void arguments(Label start, const SyscallRule& rule) {
    code_.place(start);
    std::optional<Word> held;  // what A is when a case begins
    for (std::size_t i = 0; i < rule.cases.size(); ++i) {
      const bool last = i + 1 == rule.cases.size();
      const Label next = last ? leaf(rule.otherwise) : code_.label();
      const std::vector<Word> words = words_of(rule.cases[i]);
      CHECK(!words.empty());
      for (std::size_t w = 0; w < words.size(); ++w) {
        const Word& word = words[w];
        const bool is_held = held && held->offset == word.offset && held->mask == word.mask;
        if (w > 0 || !is_held) {
          code_.load(word.offset);
          if (word.mask != ~0U) code_.mask(word.mask);
        }
        const bool decides = w + 1 == words.size();
        const Label yes = decides ? leaf(rule.cases[i].verdict) : code_.label();
        code_.jump_if(Assembler::Compare::equal, word.value, yes, next);
        if (!decides) code_.place(yes);
      }
      held = words.size() == 1 ? std::optional(words[0]) : std::nullopt;
      if (!last) code_.place(next);
    }
  }

  Assembler code_;
  std::map<Verdict, Label> leaves_;
  std::vector<Range> ranges_;
  std::vector<std::pair<Label, const SyscallRule*>> decided_by_arguments_;
};

}  // namespace

Result<std::string> compile_filter(std::span<const SyscallRule> rules) {
  return Compiler().compile(rules);
}

Result<std::string> build_filter(model::Profile profile) {
  const std::vector<SyscallRule> rules = rules_of(profile);
  return compile_filter(rules).context("system call filter");
}

}  // namespace tare::sandbox
