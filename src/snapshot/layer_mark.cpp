#include "snapshot/layer_mark.h"

#include <fcntl.h>

#include "sys/entries.h"
#include "sys/files.h"

namespace tare::snapshot {

namespace {

std::string mark_text(const std::string& digest, const Sha256Digest& set) {
  const std::string_view key(reinterpret_cast<const char*>(set.data()), set.size());
  return to_hex(hmac_sha256(key, "tare searched 1 " + digest)) + "\n";
}

}  // namespace

bool is_marked(int layer, const std::string& digest, const Sha256Digest& set) {
  if (set == Sha256Digest{}) return false;
  const auto found = sys::open_beneath(layer, kMarkFile, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!found) return false;
  const auto text = sys::read_all(found->get(), kMarkBytes);
  return text && *text == mark_text(digest, set);
}

void mark(int layer, const std::string& digest, const Sha256Digest& set) {
  if (set == Sha256Digest{} || is_marked(layer, digest, set)) return;
  const auto file = sys::open_beneath(layer, kMarkFile, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
  if (!file) return;
  const std::string text = mark_text(digest, set);
  (void)sys::write_at(file->get(), std::as_bytes(std::span(text)), 0);
  (void)sys::truncate_fd(file->get(), text.size());
}

}  // namespace tare::snapshot
