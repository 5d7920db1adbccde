// An image's archive as a folder: of the documents in the input, divided by NUL, the first is
// index.json and manifest.json, and all are blobs. Whatever they say, what is chosen keeps its
// bounds. And the same input as a stream into a person's folder (tare env export --format oci):
// nothing is made outside it.
#include <fcntl.h>
#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/hash.h"
#include "base/random.h"
#include "cli/image_folder.h"
#include "reach.h"
#include "snapshot/image/choose.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace {

using namespace tare;
using namespace tare::snapshot;

constexpr int kFolder = O_RDONLY | O_DIRECTORY;

tare::fuzz::Reach g_oci("an image chosen by index.json"), g_saved("one by manifest.json"),
    g_written("a stream that becomes a folder");

struct Folders {
  Folders() {
    char name[] = "/dev/shm/tare_fuzz_XXXXXX";  // what is written is synced
    CHECK(::mkdtemp(name) != nullptr);
    path = name;
    top = sys::open_at(sys::kCwd, path, kFolder).value();
    for (const char* one : {"in", "out"}) CHECK(sys::make_dir_at(top.get(), one, 0755).ok());
  }
  ~Folders() { (void)sys::remove_tree_at(sys::kCwd, path); }
  std::string path;
  sys::UniqueFd top;
};

void put(int folder, const std::string& name, std::string_view text) {
  const auto file = sys::open_at(folder, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file) CHECK(sys::write_all(file->get(), text).ok());
}

void choose(const Folders& folders, std::string_view text) {
  const std::string_view begin = text.substr(0, text.find('\0'));
  if (!parse_image_index(begin) && !parse_saved_images(begin)) return;  // a folder costs much
  CHECK(sys::remove_tree_at(folders.top.get(), "in").ok());
  for (const char* name : {"in", "in/blobs", "in/blobs/sha256"})
    CHECK(sys::make_dir_at(folders.top.get(), name, 0755).ok());
  const sys::UniqueFd in = sys::open_at(folders.top.get(), "in", kFolder).value();
  put(in.get(), "oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  put(in.get(), "index.json", begin);
  put(in.get(), "manifest.json", begin);
  for (int i = 0; i < 16 && !text.empty(); ++i) {
    const std::string_view one = text.substr(0, text.find('\0'));
    text.remove_prefix(std::min(one.size() + 1, text.size()));
    const std::string digest = sha256_text(one);
    put(in.get(), "blobs/sha256/" + digest.substr(digest.find(':') + 1), one);
    put(in.get(), std::to_string(i) + ".json", one);
  }
  const ImageLayout layout(in.get());
  const auto oci = choose_oci(layout, {}), saved = choose_saved(layout, {});
  for (const auto& [one, reach] : {std::pair(&oci, &g_oci), std::pair(&saved, &g_saved)}) {
    const auto& chosen = *one;
    if (!chosen) continue;
    if (!chosen->layers.empty()) reach->reached();
    CHECK(chosen->layers.size() <= kMaxImageLayers);
    CHECK(chosen->layers.size() == chosen->document.diff_ids.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const Folders folders;
  static SystemRandom random;
  choose(folders, text);
  if (text.starts_with('{') || text.starts_with('[')) return 0;
  auto out = cli::OutputFolder::open(folders.path + "/out", random).value();
  cli::FolderWriter writer(out);
  if (writer.write(text) && writer.finish()) g_written.reached();
  CHECK(sys::list_dir(folders.top.get(), ".").value().size() == 2);
  return 0;
}
