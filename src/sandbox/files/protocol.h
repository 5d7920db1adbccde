// What tare-files, which works on files inside a sandbox, and tared say to each other: over its
// arguments, its stdin and its stdout.
//
//   tare-files read PATH OFFSET LENGTH      FileHead (size: bytes to come), then so many bytes.
//                                           LENGTH "-": to the end
//   tare-files write PATH MODE              stdin: pieces, each u32 length and so many bytes; a
//                                           length of 0: all has come. Then FileHead
//   tare-files list PATH MOST               FileHead, then entries, then one without a name
//   tare-files stat PATH                    FileHead, then one entry
//   tare-files move PATH TO REPLACE         FileHead. REPLACE: 0 or 1
//   tare-files remove PATH RECURSIVE        FileHead
//   tare-files mkdir PATH MODE PARENTS      FileHead
//   tare-files watch PATH                   FileHead when it watches, then events
//
// A FileHead with an error is the last that is said. An end of stdin before the piece of length 0
// gives a write up: the file stays as it was. Everything that tare-files says is hostile input to
// tared: it runs as the sandbox's user, beside hostile code that can reach its memory.
//
// Shared with tare-files: no allocation, plain values. Little-endian, as this machine is. Units:
// bytes, ns since the epoch.
#pragma once

#include <cstdint>

namespace tare::sandbox {

inline constexpr std::uint32_t kFileMagic = 0x4C494654;  // "TFIL"

// Errors that are no errno.
inline constexpr std::uint32_t kFileErrorNotRegular = 1001;  // a FIFO, device or socket
inline constexpr std::uint32_t kFileErrorTooDeep = 1002;     // more than kMaxTreeDepth
inline constexpr std::uint32_t kFileErrorTooLarge = 1003;    // no size, and longer than kMaxUnsized
inline constexpr std::uint32_t kFileErrorOffset = 1004;      // beyond the end

struct FileHead {
  std::uint32_t magic = kFileMagic;
  std::uint32_t error = 0;     // errno, or one of ours
  std::uint32_t argument = 0;  // which path it is about: 0 the first, 1 the second
  std::uint32_t spare = 0;
  std::uint64_t size = 0;
};
static_assert(sizeof(FileHead) == 24);

enum class FileType : std::uint32_t { file = 1, directory, symlink, fifo, socket, device };

struct FileEntry {
  std::uint32_t name_bytes = 0;  // 0: the end of a list; then `size` is 1 if there was more
  FileType type = FileType::file;
  std::uint32_t mode = 0;  // permission bits
  std::uint32_t uid = 0, gid = 0;
  std::uint32_t target_bytes = 0;  // of a symlink
  std::uint64_t size = 0;
  std::uint64_t modified_ns = 0;
  // then the name, then the target
};
static_assert(sizeof(FileEntry) == 40);

enum class WatchKind : std::uint32_t {
  created = 1,
  removed,
  modified,
  written,     // closed after having been open for writing
  moved_from,  // with the cookie of its moved_to
  moved_to,
  attributes,
  gone,      // what is watched was removed or moved: the last event
  overflow,  // events were lost
};
inline constexpr std::uint32_t kLastWatchKind = 9;

struct WatchEvent {
  WatchKind kind = WatchKind::created;
  std::uint32_t cookie = 0;
  std::uint32_t name_bytes = 0;  // 0: what is watched itself
  std::uint32_t directory = 0;   // 1: it is about a folder
  // then the name
};
static_assert(sizeof(WatchEvent) == 16);

inline constexpr std::uint32_t kMaxFileNameBytes = 255, kMaxFileTargetBytes = 4095;
inline constexpr std::uint32_t kMaxPieceBytes = 1U << 20;    // of a write
inline constexpr std::uint64_t kMaxUnsizedBytes = 1U << 20;  // of a file in /proc
inline constexpr int kMaxTreeDepth = 128;                    // of a removal

}  // namespace tare::sandbox
