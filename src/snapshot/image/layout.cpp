#include "snapshot/image/layout.h"

#include <fcntl.h>

#include <cerrno>
#include <vector>

#include "base/hash.h"
#include "base/text.h"
#include "snapshot/paths.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::snapshot {

namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::size_t kHexBytes = 64;

Error bad_blob(const std::string& digest, std::string_view why) {
  return Error{Errc::invalid, "blob " + digest + ": " + std::string(why)};
}

bool is_file(int folder, const std::string& name) {
  const auto status = sys::stat_at(folder, name);
  return status && S_ISREG(status->st_mode);
}

Result<std::string> digest_of(int file) {
  Sha256 hash;
  std::vector<std::byte> buffer(kReadBytes);
  for (std::uint64_t offset = 0;;) {
    const std::size_t n = TRY(sys::read_at(file, buffer, offset));
    if (n == 0) return digest_text(hash.finish());
    hash.update(std::span(buffer).first(n));
    offset += n;
  }
}

Result<std::uint64_t> size_of(int file) {
  return static_cast<std::uint64_t>(TRY(sys::stat_fd(file)).st_size);
}

Result<std::string> read_text_file(int file, const std::string& name) {
  const std::uint64_t size = TRY(size_of(file));
  if (size > kMaxImageDocumentBytes) {
    return Error{Errc::exhausted, name + ": " + std::to_string(size) + " bytes, at most " +
                                      std::to_string(kMaxImageDocumentBytes) + " are read"};
  }
  std::string text(size, '\0');
  if (TRY(sys::read_at(file, std::as_writable_bytes(std::span(text)), 0)) != size)
    return Error{Errc::internal, name + ": short read"};
  return text;
}

// "a/b" and "../c/d": "c/d". Only what stays within: else empty.
std::string resolved(const std::string& path, std::string_view target) {
  std::string at = split_entry_path(path).first;
  while (target.starts_with("../")) {
    if (at == kRootPath) return {};
    at = split_entry_path(at).first;
    target.remove_prefix(3);
  }
  const std::string joined = join_entry_path(at, target);
  return check_entry_path(joined) ? joined : std::string();
}

}  // namespace

std::string_view to_string(ImageKind kind) {
  switch (kind) {
    case ImageKind::tree: return "tar";
    case ImageKind::oci: return "oci";
    case ImageKind::docker: return "docker";
  }
  return "tar";
}

ImageKind ImageLayout::kind() const {
  if (is_file(folder_, "oci-layout") && is_file(folder_, "index.json")) return ImageKind::oci;
  return is_file(folder_, "manifest.json") ? ImageKind::docker : ImageKind::tree;
}

Result<sys::UniqueFd> ImageLayout::open_file(const std::string& path) const {
  auto file = sys::open_beneath(folder_, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file && file.error().sys == ENOENT)
    return Error{Errc::invalid,
                 "file " + quote(path) +
                     " of the image is not in the archive: it is incomplete, save it again"};
  if (!file) return Error{Errc::invalid, "file " + quote(path) + " of the image cannot be read"};
  if (!S_ISREG(TRY(sys::stat_fd(file->get())).st_mode))
    return Error{Errc::invalid, "file " + quote(path) + " of the image is no file"};
  return file;
}

Result<std::string> ImageLayout::read_top(const std::string& name) const {
  const sys::UniqueFd file = TRY(open_file(name));
  return read_text_file(file.get(), name);
}

Result<sys::UniqueFd> ImageLayout::open_blob(const Descriptor& descriptor) const {
  const std::string hex = descriptor.digest.substr(descriptor.digest.size() - kHexBytes);
  sys::UniqueFd file = TRY(open_file("blobs/sha256/" + hex));
  const std::uint64_t size = TRY(size_of(file.get()));
  if (size != descriptor.size) {
    return bad_blob(descriptor.digest, "it has " + std::to_string(size) + " bytes, not the " +
                                           std::to_string(descriptor.size) +
                                           " that its descriptor says");
  }
  return file;
}

Result<std::string> ImageLayout::read_document(const Descriptor& descriptor) const {
  const sys::UniqueFd file = TRY(open_blob(descriptor));
  std::string text = TRY(read_text_file(file.get(), "blob " + descriptor.digest));
  if (sha256_text(text) != descriptor.digest)
    return bad_blob(descriptor.digest, "its content has another digest");
  return text;
}

Result<sys::UniqueFd> ImageLayout::open_layer(const Descriptor& descriptor) const {
  sys::UniqueFd file = TRY(open_blob(descriptor));
  if (verified_.contains(descriptor.digest)) return file;
  if (TRY(digest_of(file.get())) != descriptor.digest)
    return bad_blob(descriptor.digest, "its content has another digest");
  verified_.insert(descriptor.digest);
  return file;
}

Result<sys::UniqueFd> ImageLayout::open_saved(const std::string& name) const {
  TRY(check_entry_path(name).context("manifest.json"));
  const auto [parent, last] = split_entry_path(name);
  const auto folder = sys::open_beneath(folder_, parent, O_RDONLY | O_DIRECTORY);
  if (folder) {
    const auto target = sys::read_link_at(folder->get(), last);
    if (const std::string other = target ? resolved(name, *target) : ""; !other.empty())
      return open_file(other);
  }
  return open_file(name);
}

Result<std::string> ImageLayout::read_saved(const std::string& name) const {
  const sys::UniqueFd file = TRY(open_saved(name));
  std::string text = TRY(read_text_file(file.get(), name));
  const std::string last = split_entry_path(name).second;
  const std::string digest = "sha256:" + last.substr(0, last.find('.'));
  if (is_digest(digest) && sha256_text(text) != digest)
    return bad_blob(digest, "its content has another digest");
  return text;
}

}  // namespace tare::snapshot
