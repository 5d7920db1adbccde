// OutputFile: one file that a person named for output: of `tare env export` and `tare session cp`.
//
// A regular file appears by rename, whole or not at all; at the end of a symlink it is what the
// link leads to. What is there and is no regular file (a FIFO, a device) is written through, never
// replaced. Nothing but the file itself is made: its folder must be there. Errors name the file and
// the fix: Errc::conflict for one that is there and must not be replaced, Errc::not_found for a
// missing folder; a reader that has gone is no EPIPE (that means our own stdout). open() and
// write() block as long as the reader of a FIFO does. Owner: one command; threads: one.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"
#include "cli/new_file.h"
#include "sys/fd.h"

namespace tare::cli {

// Is it what our stdout is open on, such as /dev/stdout?
bool is_our_stdout(const std::string& path);

class OutputFile {
 public:
  using Existing = NewFile::Existing;  // a regular file of that name

  static Result<OutputFile> open(const std::string& path, Existing existing, Random& random);
  Result<> write(std::string_view bytes);
  // It has its name from now on. `mode` is for one that was made here.
  Result<> commit(unsigned mode);

 private:
  OutputFile(std::string path, Existing existing) : path_(std::move(path)), existing_(existing) {}
  Result<> begin_file(const std::string& target, Random& random);

  std::string path_;  // as it was named
  Existing existing_;
  sys::UniqueFd through_;        // what is no regular file
  std::optional<NewFile> file_;  // else
};

}  // namespace tare::cli
