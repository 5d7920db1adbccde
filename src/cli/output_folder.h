// OutputFolder: the folder named by --out, filled with files whose names come from a server and,
// before that, from the program in the sandbox: hostile. Nothing is ever made, changed or read
// outside the folder.
//
// A name is resolved component by component below the folder's descriptor, through real folders
// only: a symlink on the way (also one that was there before) is refused. Files appear by rename,
// whole or not at all, and replace a file or link that had the name; a FIFO, a device or a socket
// is never replaced. A symlink is made only when following it can not leave the folder. setuid,
// setgid and sticky bits are dropped. Errors: Errc::denied for a name or link that would lead
// outside. Owner: one command; threads: one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"
#include "cli/new_file.h"
#include "sys/fd.h"

namespace tare::cli {

// A relative path of one to kMaxPathComponents names, none of them "." or "..", no NUL.
Result<> check_artifact_path(std::string_view path);

// May a symlink at `path` point to `target`? Only `../` at the front, no more of them than folders
// above the link, then plain names: those can only lead through links that passed the same test.
bool link_stays_inside(std::string_view path, std::string_view target);

class OutputFolder {
 public:
  // Makes the folder (not its parents) when it is not there.
  static Result<OutputFolder> open(const std::string& path, Random& random);

  Result<> make_folder(std::string_view path, unsigned mode);  // fine when it is there
  Result<NewFile> create_file(std::string_view path);
  Result<> make_symlink(std::string_view path, const std::string& target);

 private:
  OutputFolder(sys::UniqueFd root, Random& random) : root_(std::move(root)), random_(&random) {}
  // The folder that holds the last component, and that component.
  struct Place {
    sys::UniqueFd parent;
    std::string name;
  };
  Result<Place> place_of(std::string_view path) const;
  // For something that will be renamed to it.
  Result<Place> free_place(std::string_view path) const;

  sys::UniqueFd root_;
  Random* random_;
};

}  // namespace tare::cli
