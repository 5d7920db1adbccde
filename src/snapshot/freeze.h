// What a sandbox has changed, as a layer: the upper of its overlay becomes a tree that hides and
// adds the same to the layers below it. Cost follows the change, but for folders that hide all of
// theirs.
//
// In the layer nothing but whiteouts hides (docs/store_format.md): a folder that the kernel marked
// opaque is written with a whiteout for each name that the layers below show in it, so a layer
// needs no attribute that only the host's root may set. A whiteout that hides nothing is left out:
// the same change gives the same digest.
//
// The upper is hostile: no symlink is followed, nothing opened but regular files, nothing outside
// it read. Devices, FIFOs and sockets are dropped and counted. Errors: Errc::invalid naming the
// path (an owner that is not the sandbox's), Errc::conflict naming the file (longer, or with more
// attributes, than can be kept), Errc::exhausted. Threads: one; runs in a job of its own.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "snapshot/known_files.h"
#include "snapshot/layer_store.h"
#include "snapshot/protocol.h"
#include "snapshot/tree_writer.h"

namespace tare::snapshot {

using PathSet = std::set<std::string, std::less<>>;

// Paths, each with a NUL behind it: what beside Freeze comes from the launcher.
Result<PathSet> parse_opaque(std::string_view text);

// How many folders may still be gone through; one who asks for more is refused (Errc::exhausted).
struct LookupBudget {
  std::uint64_t steps = 0;
};

// Layers as one tree, for the questions that a freeze has. Only folders' and files' kinds matter.
class LowerView {
 public:
  // The layers' roots, highest first.
  // `budget`: nullptr for none.
  explicit LowerView(std::vector<sys::UniqueFd> roots, LookupBudget* budget = nullptr)
      : roots_(std::move(roots)), budget_(budget) {}

  // What is seen at the path; of a folder, its descriptor in the highest layer that has it.
  struct Seen {
    enum class Kind : std::uint8_t { nothing, folder, other };
    Kind kind = Kind::nothing;
    sys::UniqueFd folder = {};
  };
  Result<Seen> seen(const std::string& path) const;
  // The content of a regular file; "" when none is seen there.
  Result<std::string> read_file(const std::string& path, std::size_t max_bytes) const;
  Result<bool> shows(const std::string& path) const;
  // Empty where no folder is.
  Result<PathSet> names_in(const std::string& path) const;

 private:
  std::vector<sys::UniqueFd> roots_;
  LookupBudget* budget_ = nullptr;
};

// How long the files may be in all, their holes included: those take no disk, but each byte of one
// is hashed while the sandbox stands still. So the holes are at most as long as the data may be, or
// as kFreeHoleBytes.
inline constexpr std::uint64_t kFreeHoleBytes = std::uint64_t{8} << 30;
std::uint64_t max_length(const TreeLimits& limits);

struct CopiedUpper {
  KnownContents known;  // files that were linked
  TarCounts dropped;
  std::vector<std::string> cut;  // as in Imported
};
// `opaque`: folders of the upper that hide what is below them. `known`: files that are linked and
// not copied; nullptr for none.
Result<CopiedUpper> copy_upper(int upper, const PathSet& opaque, const LowerView& lower,
                               const Freeze& request, TreeWriter& writer,
                               const OnProgress& progress, KnownFiles* known = nullptr);

}  // namespace tare::snapshot
