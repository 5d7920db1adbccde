// What a target's seeds must reach. A target whose parsers refuse every seed tries noise alone, and
// nobody sees it: driver.cpp fails when one of these was not reached by a seed as it is.
//
//   tare::fuzz::Reach g_manifest("a manifest that parses");
//   if (parse_manifest(text)) g_manifest.reached();
//
// Owner: the target, as globals of its file. Single-threaded.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tare::fuzz {

class Reach {
 public:
  explicit Reach(std::string what) : what_(std::move(what)) { all().push_back(this); }
  Reach(const Reach&) = delete;
  Reach& operator=(const Reach&) = delete;

  void reached() { reached_ = true; }
  bool was_reached() const { return reached_; }
  const std::string& what() const { return what_; }

  static std::vector<const Reach*>& all() {
    static std::vector<const Reach*> every;
    return every;
  }

 private:
  std::string what_;
  bool reached_ = false;
};

}  // namespace tare::fuzz
