// Local files as inputs of a run or files of an agent: found, and uploaded as blobs where the
// server does not have them yet. Symlinks that a person names are followed; inside folders, and for
// all that an agent.toml names, they are refused, as are FIFOs and devices: an agent that somebody
// else wrote must not take files from outside its folder. Errors name the file. Bounds:
// base/limits.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/app.h"
#include "fiber/context.h"

namespace tare::cli {

struct LocalFile {
  std::string name;  // relative, with slashes: below /input, or in the agent
  std::string path;  // here; below `folder` when that is not empty
  bool executable = false;
  std::string digest;  // set by upload
  std::string folder;  // not left, and no symlink in it followed; "": path is as a person gave it
};

// A file, or everything in a folder (names then start with the folder's), sorted by name.
Result<std::vector<LocalFile>> find_files(const std::string& path, const std::string& name,
                                          std::size_t max_files, const std::string& folder = {});

// The last component of a path as a name: "data/x.csv" -> "x.csv", "data/" -> "data".
Result<std::string> name_of_path(const std::string& path);

// Sets the digest.
Result<> upload(App& app, LocalFile& file, const fiber::Context& ctx);

}  // namespace tare::cli
