#include "snapshot/tree_manifest.h"

#include <fcntl.h>

#include <map>
#include <optional>

#include "base/text.h"
#include "snapshot/tree_walk.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::snapshot {

bool is_kept_xattr(std::string_view name) {
  return name.starts_with(kXattrPrefix) && !name.starts_with(kOverlayXattrPrefix);
}

Result<std::vector<sys::Xattr>> kept_xattrs(int fd) {
  auto all = TRY(sys::xattrs_fd(fd, kXattrPrefix));
  std::erase_if(all, [](const sys::Xattr& xattr) { return !is_kept_xattr(xattr.name); });
  return all;
}

namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::uint64_t kProgressEveryEntries = 512;
constexpr std::uint64_t kProgressEveryBytes = std::uint64_t{8} << 20;

class TreeManifest {
 public:
  TreeManifest(const ManifestWriter::Sink& sink, const OnProgress& progress,
               const NeedleCheck* secrets, const KnownContents* known)
      : writer_(sink), progress_(progress), secrets_(secrets), known_(known) {}

  Result<> add(const WalkStep& step);
  Result<ManifestSummary> finish() { return writer_.finish(); }

 private:
  Result<> add_leaf(const WalkStep& step, ManifestEntry entry);
  Result<> add_file(const WalkStep& step, ManifestEntry entry);
  Result<Sha256Digest> hash(const std::string& path, int fd, std::uint64_t size);
  Result<> refuse_secrets(const ManifestEntry& entry) const;
  Result<> put(const ManifestEntry& entry);
  Result<> tell();

  ManifestWriter writer_;
  const OnProgress& progress_;
  const NeedleCheck* secrets_;  // may be null
  const KnownContents* known_;  // may be null
  std::map<std::pair<dev_t, ino_t>, std::string>
      linked_;  // files with several names: the first of them
  std::vector<std::byte> buffer_ = std::vector<std::byte>(kReadBytes);
  const std::vector<std::byte> zeros_ = std::vector<std::byte>(kReadBytes);
  std::uint64_t entries_ = 0, bytes_ = 0;
  std::uint64_t told_entries_ = 0, told_bytes_ = 0;
};

Result<std::vector<ManifestXattr>> attributes_of(int fd) {
  std::vector<ManifestXattr> out;
  for (sys::Xattr& xattr : TRY(kept_xattrs(fd)))
    out.push_back({std::move(xattr.name), std::move(xattr.value)});
  return out;
}

Error refused(const WalkStep& step, std::string_view why) {
  return Error{Errc::invalid, "entry " + quote(step.path) + ": " + std::string(why)};
}

void set_metadata(ManifestEntry& entry, const struct stat& status) {
  entry.mode = status.st_mode & 07777;
  entry.uid = status.st_uid;
  entry.gid = status.st_gid;
  entry.mtime_s = status.st_mtim.tv_sec;
}

Result<> TreeManifest::add(const WalkStep& step) {
  if (step.kind == WalkStep::Kind::leave) return ok();
  if (step.kind == WalkStep::Kind::unentered) return refused(step, step.trouble);
  ++entries_;
  TRY(tell());
  ManifestEntry entry;
  entry.path = step.path;
  set_metadata(entry, step.status);
  if (step.kind == WalkStep::Kind::leaf) return add_leaf(step, std::move(entry));
  entry.type = EntryType::directory;
  entry.xattrs = TRY(attributes_of(step.folder));
  return put(entry);
}

Result<> TreeManifest::add_leaf(const WalkStep& step, ManifestEntry entry) {
  if (S_ISREG(step.status.st_mode)) return add_file(step, std::move(entry));
  if (sys::is_whiteout(step.status)) {
    ManifestEntry whiteout;
    whiteout.type = EntryType::whiteout;
    whiteout.path = step.path;
    return put(whiteout);
  }
  if (!S_ISLNK(step.status.st_mode)) return refused(step, "is a device, FIFO or socket");
  entry.type = EntryType::symlink;
  entry.mode = 0;
  entry.target = TRY(sys::read_link_at(step.parent, step.name));
  return put(entry);
}

Result<> TreeManifest::add_file(const WalkStep& step, ManifestEntry entry) {
  if (step.status.st_nlink > 1) {
    const auto [first, is_new] = linked_.try_emplace({step.status.st_dev, step.status.st_ino},
                                                     step.path);
    if (!is_new) {
      ManifestEntry link;
      link.type = EntryType::hardlink;
      link.path = step.path;
      link.target = first->second;
      return put(link);
    }
  }
  const sys::UniqueFd fd = TRY(
      sys::open_at(step.parent, step.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  const struct stat status = TRY(sys::stat_fd(fd.get()));
  if (!S_ISREG(status.st_mode)) return refused(step, "changed while it was read");
  set_metadata(entry, status);
  entry.type = EntryType::file;
  entry.size = static_cast<std::uint64_t>(status.st_size);
  entry.xattrs = TRY(attributes_of(fd.get()));
  TRY(refuse_secrets(entry));  // the names first: they are in what else is said
  entry.content = TRY(hash(step.path, fd.get(), entry.size));
  return writer_.add(entry);
}

// The folder that an entry is in, as far as that has no secret itself.
std::string place_of(std::string path, const NeedleSearch& secrets) {
  while (path != kRootPath && secrets.find(path) != nullptr) path = split_entry_path(path).first;
  return path == kRootPath ? "/" : quote(path);
}

Result<> TreeManifest::refuse_secrets(const ManifestEntry& entry) const {
  if (secrets_ == nullptr) return ok();
  if (const std::string* name = secrets_->search.find(entry.path))
    return has_secret(*secrets_, *name, "a name in " + place_of(entry.path, secrets_->search));
  if (entry.type == EntryType::symlink) {
    if (const std::string* name = secrets_->search.find(entry.target))
      return has_secret(*secrets_, *name, "the target of the link " + quote(entry.path));
  }
  for (const ManifestXattr& xattr : entry.xattrs) {
    for (const std::string* text : {&xattr.name, &xattr.value})
      if (const std::string* name = secrets_->search.find(*text))
        return has_secret(*secrets_, *name, "an attribute of " + quote(entry.path));
  }
  return ok();
}

Result<> TreeManifest::put(const ManifestEntry& entry) {
  TRY(refuse_secrets(entry));
  return writer_.add(entry);
}

Result<Sha256Digest> TreeManifest::hash(const std::string& path, int fd, std::uint64_t size) {
  if (known_ != nullptr && (secrets_ == nullptr || known_->searched)) {
    const auto known = known_->files.find(path);
    if (known != known_->files.end()) return known->second;
  }
  Sha256 hash;
  std::optional<NeedleStream> stream;
  if (secrets_ != nullptr) stream.emplace(secrets_->search);
  sys::Stretch data;  // the one that begins or goes on at `offset`, or comes next
  bool in_zeros = false;
  for (std::uint64_t offset = 0; offset < size;) {
    if (offset >= data.end)
      data = TRY(sys::next_data(fd, offset).context(quote(path)))
                 .value_or(sys::Stretch{size, size});
    // A hole is not read: that would fill the kernel's memory with its zeros.
    const bool hole = offset < data.begin;
    const std::uint64_t until = hole ? std::min(data.begin, size) : data.end;
    std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(kReadBytes, until - offset));
    if (!hole) n = TRY(sys::read_at(fd, std::span(buffer_).first(n), offset).context(quote(path)));
    if (n == 0)
      return Error{Errc::conflict, quote(path) + ": file became shorter while it was read"};
    const auto piece = std::span(hole ? zeros_ : buffer_).first(n);
    hash.update(piece);
    const std::string_view text(reinterpret_cast<const char*>(piece.data()), n);
    // What lies between pieces of nothing but zeros was searched with the first of them.
    const bool search = stream && !(hole && in_zeros);
    if (const std::string* name = search ? stream->add(text) : nullptr)
      return has_secret(*secrets_, *name, quote(path));
    in_zeros = hole && n == kReadBytes;
    offset += n;
    bytes_ += n;
    TRY(tell());
  }
  return hash.finish();
}

Result<> TreeManifest::tell() {
  if (entries_ < told_entries_ + kProgressEveryEntries &&
      bytes_ < told_bytes_ + kProgressEveryBytes)
    return ok();
  told_entries_ = entries_;
  told_bytes_ = bytes_;
  return progress_ ? progress_(entries_, bytes_) : ok();
}

}  // namespace

Result<ManifestSummary> write_manifest_of(int root, const ManifestWriter::Sink& sink,
                                          const OnProgress& progress, const NeedleCheck* secrets,
                                          const KnownContents* known) {
  TreeWalk walk = TRY(TreeWalk::start(root));
  TreeManifest manifest(sink, progress, secrets, known);
  for (;;) {
    const auto step = TRY(walk.next());
    if (!step) return manifest.finish();
    TRY(manifest.add(*step));
  }
}

}  // namespace tare::snapshot
