// Unpacks a tar stream (plain, gzip, zstd or xz; ustar, pax and GNU) through a TreeWriter. The
// stream is hostile: this runs in a process of its own (jobs.h) that can write nowhere else.
//
// A file counts with its whole length, its holes too: each byte of them is read and hashed. Blocks
// of zeros become holes, whether the archive has them as such or spells them out.
//
// Kept: names and link targets byte by byte, owner (0..65535), mode with setuid bits, mtime in
// whole seconds, user.* attributes, hard links, holes. Dropped and counted: devices, FIFOs,
// sockets, other attributes. Refused (Errc::invalid): what TreeWriter refuses; a file or link that
// appears twice; an OCI whiteout; an archive that does not end with its end marker (two zero
// blocks): half an archive is never taken for a whole one. Never happens: a program is run to
// decompress, the process's locale is used for names (it must stay "C"). Sources: POSIX pax,
// libarchive-formats(5), tar(5).
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "base/result.h"
#include "snapshot/tar_stream.h"
#include "snapshot/tree_manifest.h"
#include "snapshot/tree_writer.h"

namespace tare::snapshot {

struct TarCounts {
  std::uint64_t devices = 0;   // character and block devices dropped
  std::uint64_t specials = 0;  // FIFOs and sockets dropped
  std::uint64_t xattrs = 0;    // attributes dropped

  friend bool operator==(const TarCounts&, const TarCounts&) = default;
};

// Of a layer of an image: what its whiteouts say, as paths of this layer. `headers` counts entries
// of any kind; a layer may have none.
struct LayerMarks {
  std::set<std::string> hidden, opaque;
  std::uint64_t headers = 0;
};

// Of an archive of which it is known only afterwards whether it is a plain tree or an image, whose
// files may have any owner, and be as long as a layer may be.
struct TreeRules {
  TreeLimits limits;           // of a plain tree
  std::optional<Error> fault;  // the first that it would have as one
};

struct TarRules {
  LayerMarks* marks = nullptr;  // nullptr: no layer, whiteouts are refused
  TreeRules* tree = nullptr;    // nullptr: faults are refused at once
};

// How long an archive of files within these limits may be, unpacked.
std::uint64_t stream_limit(const TreeLimits& limits);

// Reads the stream to its end.
Result<TarCounts> import_tar(TarStream& stream, TreeWriter& writer, const TreeLimits& limits,
                             const TarRules& rules, const OnProgress& progress);

// Reads `archive` to its end: a pipe's writer never meets a closed pipe. `limits` are the writer's,
// from which a bound on the length of the stream itself follows.
Result<TarCounts> import_tar(int archive, TreeWriter& writer, const TreeLimits& limits,
                             const OnProgress& progress);

}  // namespace tare::snapshot
