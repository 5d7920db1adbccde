// A folder for one test, removed with all in it by the destructor. For tests only (also of modules
// above sql).
#pragma once

#include <stdlib.h>

#include <string>

#include "base/check.h"
#include "sys/files.h"

namespace tare::sql {

class TestFolder {
 public:
  TestFolder() {
    char path[] = "/tmp/tare_test_XXXXXX";
    CHECK(::mkdtemp(path) != nullptr);
    path_ = path;
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() { static_cast<void>(sys::remove_tree_at(sys::kCwd, path_)); }

  const std::string& path() const { return path_; }
  std::string path(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

}  // namespace tare::sql
