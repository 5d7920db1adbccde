// The heads of tar entries, written: ustar, with a pax header in front where ustar has no room. The
// same entry gives the same bytes. Reading is libarchive's, in a process of its own
// (snapshot/tar_import.h); only of plain files, as our own archives have them, here too.
//
// Pure. Units: bytes, seconds since the epoch. Errors: PlainTarHeads refuses (Errc::invalid) what
// is no regular file or folder with a short name. Source: POSIX pax.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tare {

inline constexpr std::size_t kTarBlockBytes = 512;
inline constexpr std::size_t kTarEndBytes = 2 * kTarBlockBytes;  // zeros, at the end of an archive

enum class TarType : char {
  file = '0',
  hardlink = '1',
  symlink = '2',
  folder = '5',
};

struct TarHeader {
  std::string name;  // bytes; of a folder with a slash at its end
  TarType type = TarType::file;
  std::uint32_t mode = 0644;
  std::uint32_t uid = 0, gid = 0;                                // below 2^21
  std::uint64_t size = 0;                                        // of a file
  std::uint64_t mtime_s = 0;                                     // below 2^33
  std::string link = {};                                         // of links
  std::vector<std::pair<std::string, std::string>> xattrs = {};  // name, value
};

// All blocks in front of the content.
std::string tar_header(const TarHeader& header);
// What fills the last block of a content of that size.
std::string tar_padding(std::uint64_t size);

// The heads of plain files and folders, block by block as they come. Of a pax header in front of
// one only the size is understood, which ustar has no room for from 8 GiB on.
class PlainTarHeads {
 public:
  enum class Read : std::uint8_t {
    more,   // the block was a part of the head
    entry,  // header() is whole; content and padding follow
    end     // a block of zeros, which begins the end of the archive
  };
  Result<Read> take(std::string_view block);
  const TarHeader& header() const { return header_; }

 private:
  Result<Read> take_first(std::string_view block);
  Result<Read> take_records(std::string_view block);

  TarHeader header_;
  std::string records_;                // of a pax header, so far
  std::size_t pax_bytes_ = 0;          // of them, in all
  std::optional<std::uint64_t> size_;  // that they say
};

}  // namespace tare
