// The manifest: what is in a layer, as canonical text. The same tree gives the same bytes, so the
// SHA-256 of the manifest is the layer's digest. The format is documented in docs/store_format.md:
//
//   tare-manifest 1
//   d 755 0 0 1700000000 .
//   f 644 0 0 1700000000 6 <64 hex> hello.txt user.note=6869
//   h again.txt hello.txt
//   l 0 0 1700000000 link hello.txt
//   w gone.txt
//   end 5 6
//
// Pure: text in, values out and back; no I/O. Units: mtime in seconds since the epoch, sizes in
// bytes. Errors: Errc::invalid with the line's number. Never happens: two texts for one tree, or a
// text that parses but would be written differently (non-canonical text is refused).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "snapshot/paths.h"

namespace tare::snapshot {

// A whiteout hides what lower layers have at its path, with all that is below it.
enum class EntryType : std::uint8_t { directory, file, symlink, hardlink, whiteout };

struct ManifestXattr {
  std::string name, value;
  friend bool operator==(const ManifestXattr&, const ManifestXattr&) = default;
};

struct ManifestEntry {
  EntryType type = EntryType::file;
  std::string path;
  // Not for hard links, which have the metadata of the file they name, nor for whiteouts.
  std::uint32_t mode = 0;  // permission bits with setuid, setgid, sticky; not for symlinks
  std::uint32_t uid = 0, gid = 0;
  std::int64_t mtime_s = 0;
  std::uint64_t size = 0;   // files
  Sha256Digest content{};   // files
  std::string target = {};  // symlinks: any bytes; hard links: path of an earlier file
  std::vector<ManifestXattr> xattrs = {};  // folders and files; sorted by name

  friend bool operator==(const ManifestEntry&, const ManifestEntry&) = default;
};

struct ManifestSummary {
  Sha256Digest digest{};
  std::uint64_t entries = 0;  // the root not counted
  std::uint64_t bytes = 0;    // of the files' content, hard links once

  friend bool operator==(const ManifestSummary&, const ManifestSummary&) = default;
};

// Any bytes as a manifest has them: printable ASCII without a space.
std::string manifest_text(std::string_view bytes);

// One entry's line, with its newline.
std::string manifest_line(const ManifestEntry& entry);

// Writes a manifest piece by piece. The entries must come in the manifest's order (CHECK).
class ManifestWriter {
 public:
  using Sink = std::function<Result<>(std::string_view)>;
  explicit ManifestWriter(Sink sink);

  Result<> add(const ManifestEntry& entry);
  Result<ManifestSummary> finish();

 private:
  Result<> put(std::string_view text);
  Result<> flush();

  Sink sink_;
  Sha256 hash_;
  std::string buffer_;
  std::string last_path_;
  ManifestSummary summary_;
};

struct Manifest {
  std::vector<ManifestEntry> entries;
  ManifestSummary summary;
};
Result<Manifest> parse_manifest(std::string_view text);

// Entries and bytes from the last line, given the manifest's last bytes (at least
// kManifestTailBytes of them, or all). The digest is left zero.
inline constexpr std::size_t kManifestTailBytes = 64;
Result<ManifestSummary> parse_manifest_tail(std::string_view tail);

}  // namespace tare::snapshot
