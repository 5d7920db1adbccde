// A layer's tar stream, from anybody, unpacked above another layer: nothing is made outside its
// folder, and what is made has a manifest. (The walls around it, Landlock and limits, are not up
// here.)
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/hash.h"
#include "reach.h"
#include "snapshot/image/layer_apply.h"
#include "snapshot/tar_stream.h"
#include "snapshot/tree_manifest.h"
#include "sys/files.h"
#include "sys/memfd.h"

namespace {

using namespace tare;
using namespace tare::snapshot;

constexpr int kFolder = O_RDONLY | O_DIRECTORY;
constexpr TreeLimits kLimits = {
    .max_entries = 200, .max_bytes = 1 << 20, .max_file_bytes = 1 << 20};

tare::fuzz::Reach g_applied("a layer that is applied"), g_packed("a packed one"),
    g_whiteouts("one with whiteouts that hide something");

// What the configuration of an image says of it: of what comes out of the archive.
std::string diff_id_of(int blob) {
  Sha256 hash;
  if (auto stream = TarStream::open(blob, stream_limit(kLimits), Compression::any, &hash))
    (void)stream->drain();
  CHECK(::lseek(blob, 0, SEEK_SET) == 0);
  return digest_text(hash.finish());
}

struct Folders {
  Folders() {
    // The buffers of each input are large: pages that come and go would take most of the time.
    ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
    ::mallopt(M_TRIM_THRESHOLD, 64 << 20);
    char name[] = "/dev/shm/tare_fuzz_XXXXXX";
    CHECK(::mkdtemp(name) != nullptr);
    path = name;
    top = sys::open_at(sys::kCwd, path, kFolder).value();
    for (const char* one : {"lower", "lower/a", "lower/a/b"})
      CHECK(sys::make_dir_at(top.get(), one, 0755).ok());
    CHECK(::symlinkat("/", top.get(), "lower/link") == 0);
    CHECK(::symlinkat("x", top.get(), "lower/a/b/file") == 0);
  }
  ~Folders() { (void)sys::remove_tree_at(sys::kCwd, path); }
  sys::UniqueFd open(const char* name) const {
    return sys::open_at(top.get(), name, kFolder).value();
  }
  std::string path;
  sys::UniqueFd top;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static const Folders folders;
  (void)sys::ensure_dir_at(folders.top.get(), "upper", 0755);
  if (!sys::list_dir(folders.top.get(), "upper").value().empty()) {
    CHECK(sys::remove_tree_at(folders.top.get(), "upper").ok());
    CHECK(sys::make_dir_at(folders.top.get(), "upper", 0755).ok());
  }
  const sys::UniqueFd blob = sys::sealed_memfd("layer", bytes, false).value();
  CHECK(::lseek(blob.get(), 0, SEEK_SET) == 0);
  std::vector<sys::UniqueFd> lower;
  lower.push_back(folders.open("lower"));
  const LowerView below(std::move(lower));
  const sys::UniqueFd upper = folders.open("upper");
  const LayerBlob layer{.fd = blob.get(),
                        .compression = Compression::any,
                        .diff_id = diff_id_of(blob.get()),
                        .max_stream_bytes = stream_limit(kLimits)};
  const auto applied = apply_layer(layer, upper.get(), below, kLimits, nullptr);
  CHECK(sys::list_dir(folders.top.get(), ".").value().size() == 2);
  CHECK(sys::list_dir(folders.top.get(), "lower").value().size() == 2);
  if (!applied) return 0;
  std::string manifest;
  const auto sink = [&](std::string_view part) {
    manifest += part;
    return ok();
  };
  CHECK(write_manifest_of(upper.get(), sink, nullptr).ok());
  g_applied.reached();
  if (layer.diff_id != sha256_text(bytes)) g_packed.reached();
  if (manifest.find("\nw ") != std::string::npos) g_whiteouts.reached();
  return 0;
}
