// An OCI layout as a folder, which goes over the wire as a tar of it (an `oci-archive`): a folder
// read as such a stream, and such a stream written into a folder.
//
// The stream comes from tared; its names are checked all the same, and nothing is written outside
// the folder (output_folder.h). index.json comes last: a layout that is there is a whole one, the
// old or the new. Errors: Errc::invalid naming the file. Owner: one command.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/tar_header.h"
#include "cli/output_folder.h"
#include "cli/uploads.h"
#include "sys/fd.h"

namespace tare::cli {

class FolderReader {
 public:
  static Result<FolderReader> open(const std::string& folder);
  // The next bytes of the stream; 0 at its end.
  Result<std::size_t> read(std::span<char> buffer);

 private:
  FolderReader() = default;
  Result<bool> begin_next();

  std::string folder_;
  sys::UniqueFd directory_;
  std::vector<LocalFile> files_;
  std::size_t next_ = 0;
  std::string pending_;  // heads, padding, the end
  sys::UniqueFd file_;   // whose content comes next
  std::uint64_t offset_ = 0, size_ = 0;
  bool ended_ = false;
};

class FolderWriter {
 public:
  explicit FolderWriter(OutputFolder& folder) : folder_(folder) {}
  Result<> write(std::string_view bytes);
  // Now it is a layout. Refuses a stream that was cut short.
  Result<> finish();

 private:
  Result<> begin(const TarHeader& header);
  Result<> end_file();

  OutputFolder& folder_;
  std::string block_;  // the part of a block of a head that has come
  PlainTarHeads heads_;
  std::optional<NewFile> file_;
  std::optional<NewFile> index_;             // whole, without its name yet
  std::uint64_t content_ = 0, padding_ = 0;  // still to come
  bool ended_ = false;
};

}  // namespace tare::cli
