// WarmPool: which empty sandboxes wait for a run, and how many of which kind are wanted. A policy:
// it makes and ends nothing itself, and its clock is passed in.
//
// A kind (base.h, key_of) that is used gets two sandboxes ahead; each launch that found none
// doubles the number wanted; what was never needed within a minute is halved; a kind that nobody
// used for ten minutes gets none. While half of a kind are there, new ones are made only when
// nothing was launched for some ms: making takes processor time from the run that has just begun.
// No more than `at_once` are made at a time, and half as many until it is quiet for some ms, so
// that processors are left for the launches. All kinds together stay within `most`: the kind that
// was used longest ago gives way.
//
// Owner: Launcher. Single thread. Times: CLOCK_MONOTONIC us. What never happens: a number is given
// out twice; a sandbox with the host's network, or with a disk image, is kept waiting.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/launch/base.h"
#include "sys/fd.h"

namespace tare::sandbox {

class WarmPool {
 public:
  WarmPool(std::size_t most, std::size_t at_once) : most_(most), at_once_(at_once) {}

  static bool poolable(const SandboxBase& base);

  // A launch: the sandbox that waited longest, or nothing. Either way the kind is remembered.
  std::optional<std::uint32_t> take(const SandboxBase& base, std::uint64_t now_us);
  // Launches of this kind are to come: as if there had been one. False: it cannot wait, or there is
  // no room for another kind.
  bool expect(const SandboxBase& base, std::uint64_t now_us);
  // Whether one of this kind waits. Nothing: not yet, but it is to come.
  std::optional<bool> has_one(const std::string& key, std::uint64_t now_us) const;
  // A sandbox of this kind is being made; is ready; will not come (any more).
  void making(const std::string& key);
  [[nodiscard]] bool ready(const std::string& key,
                           std::uint32_t number);  // false: of no kind any more
  void not_made(const std::string& key, std::uint64_t now_us);
  // An idle one has ended by itself, or was ended.
  void gone(const std::string& key, std::uint32_t number);

  // What to make now, one at a time: what the kind's last launch was made from.
  std::optional<SandboxBase> wanted(std::uint64_t now_us) const;
  // The base plan of a kind, given once: kept as long as the kind is.
  void keep_plan(const std::string& key, sys::UniqueFd plan);
  int plan(const std::string& key) const;  // -1: none
  // Which idle ones are too many. Takes them out.
  std::vector<std::uint32_t> surplus(std::uint64_t now_us);
  // When wanted() and surplus() may say something new without any other call; 0: never.
  std::uint64_t next_change_us(std::uint64_t now_us) const;

  std::size_t idle() const;
  std::size_t being_made() const;

 private:
  struct Kind {
    SandboxBase base;
    sys::UniqueFd plan;
    std::deque<std::uint32_t> idle;
    std::size_t making = 0;
    std::size_t target = 0;
    std::size_t least_idle = 0;  // since the last review
    std::uint64_t used_us = 0, reviewed_us = 0, retry_us = 0;
  };
  Kind* kind_of(const SandboxBase& base, std::uint64_t now_us);
  bool may_make(const Kind& kind, std::uint64_t now_us) const;
  void review(Kind& kind, std::uint64_t now_us) const;
  bool make_room(const std::string& but);

  std::size_t most_, at_once_;
  std::uint64_t last_launch_us_ = 0;
  std::map<std::string, Kind> kinds_;
};

}  // namespace tare::sandbox
