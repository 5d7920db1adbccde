#include "snapshot/tar_import.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/text.h"
#include "snapshot/tar_stream.h"

namespace tare::snapshot {

namespace {

constexpr std::int64_t kMaxId = 65'535;  // a sandbox has 65,536 ids
constexpr std::uint64_t kHeaderBytesPerEntry = 4096;
constexpr std::uint64_t kSpareBytes = std::uint64_t{64} << 20;
// OCI image-spec, layer.md: ".wh.NAME" hides NAME; names of the second kind mean something else.
constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kWhiteoutsOwn = ".wh..wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::size_t kHoleBytes = 4096;  // at a multiple of it
constexpr std::uint64_t kProgressEveryEntries = 256;
constexpr std::uint64_t kProgressEveryBytes = std::uint64_t{1} << 20;

std::uint64_t saturating_sum(std::uint64_t a, std::uint64_t b) {
  return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

// What libarchive's read callback needs: it can only say "failed", so the reason is kept here.
struct Source {
  TarStream* stream = nullptr;
  std::optional<Error> failure;
};

la_ssize_t pull(archive* reader, void* data, const void** bytes) {
  auto* source = static_cast<Source*>(data);
  auto next = source->stream->next();
  if (!next) {
    source->failure = std::move(next).error();
    archive_set_error(reader, EIO, "%s", source->failure->message.c_str());
    return -1;
  }
  *bytes = next->data();
  return static_cast<la_ssize_t>(next->size());
}

// In the C locale libarchive warns of every pax name that is not ASCII, and hands out its bytes
// unchanged: that is what we want of it. (In a UTF-8 locale it would normalise them.) Any other
// warning is a refusal.
bool is_harmless_warning(archive* reader) {
  const char* text = archive_error_string(reader);
  if (text == nullptr) return false;
  return std::string_view(text).ends_with("can't be converted from UTF-8 to current locale.");
}

class TarImport {
 public:
  TarImport(TreeWriter& writer, const TreeLimits& limits, const TarRules& rules,
            const OnProgress& progress)
      : writer_(writer), limits_(limits), rules_(rules), progress_(progress) {}

  Result<TarCounts> run(TarStream& stream);

 private:
  Result<> add(archive* reader, archive_entry* entry);
  Result<> add_special(archive_entry* entry);
  Result<> add_whiteout(archive_entry* entry, const std::string& path);
  Result<std::uint32_t> owner(std::int64_t id, std::string_view path);
  Result<> refuse_as_tree(Error fault);
  Result<> check_size(std::uint64_t size, std::string_view path);
  std::optional<Error> fault_of_size(std::uint64_t size, std::string_view path,
                                     const TreeLimits& limits) const;
  Result<> add_file(archive* reader, archive_entry* entry, const EntryMetadata& metadata);
  Result<> write_data(TreeWriter::File& file, std::span<const std::byte> data,
                      std::uint64_t offset);
  Result<EntryMetadata> metadata_of(archive_entry* entry, std::string_view path);
  Result<std::vector<sys::Xattr>> xattrs_of(archive_entry* entry, std::string_view path);
  Result<> tell();

  TreeWriter& writer_;
  const TreeLimits& limits_;
  const TarRules& rules_;
  const OnProgress& progress_;
  TarCounts counts_;
  std::uint64_t headers_ = 0;
  std::uint64_t told_headers_ = 0, told_bytes_ = 0;
};

Error refused(std::string_view path, std::string_view why) {
  return Error{Errc::invalid, "entry " + quote(path) + ": " + std::string(why)};
}

Result<std::uint32_t> TarImport::owner(std::int64_t id, std::string_view path) {
  if (id >= 0 && id <= kMaxId) return static_cast<std::uint32_t>(id);
  TRY(refuse_as_tree(refused(path, "its owner is not within 0..65535")));
  return std::uint32_t{0};
}

Result<> TarImport::refuse_as_tree(Error fault) {
  if (rules_.tree == nullptr) return fault;
  if (!rules_.tree->fault) rules_.tree->fault = std::move(fault);
  return ok();
}

Result<> TarImport::check_size(std::uint64_t size, std::string_view path) {
  if (const auto fault = fault_of_size(size, path, limits_)) return *fault;
  if (rules_.tree == nullptr) return ok();
  auto fault = fault_of_size(size, path, rules_.tree->limits);
  return fault ? refuse_as_tree(std::move(*fault)) : ok();
}

std::optional<Error> TarImport::fault_of_size(std::uint64_t size, std::string_view path,
                                              const TreeLimits& limits) const {
  const std::uint64_t left = limits.max_bytes - std::min(writer_.length(), limits.max_bytes);
  if (size <= limits.max_file_bytes && size <= left) return std::nullopt;
  const bool one = size > limits.max_file_bytes;
  return Error{Errc::exhausted,
               "entry " + quote(path) +
                   (one ? ": the file is too long" : ": too many bytes in all, with their holes") +
                   ", the limit is " +
                   std::to_string(one ? limits.max_file_bytes : limits.max_bytes)};
}

Result<TarCounts> TarImport::run(TarStream& stream) {
  const ArchiveReader reader(archive_read_new());
  CHECK(reader != nullptr);
  CHECK(archive_read_support_format_tar(reader.get()) == ARCHIVE_OK);
  Source source{&stream, std::nullopt};
  const auto failed = [&] {
    return source.failure ? std::move(*source.failure) : archive_error(reader.get(), "archive");
  };
  if (archive_read_open(reader.get(), &source, nullptr, pull, nullptr) != ARCHIVE_OK)
    return failed();
  for (;;) {
    archive_entry* entry = nullptr;
    const int found = archive_read_next_header(reader.get(), &entry);
    if (found == ARCHIVE_EOF) break;
    const bool harmless = found == ARCHIVE_WARN && is_harmless_warning(reader.get());
    if (found != ARCHIVE_OK && !harmless) return failed();
    auto added = add(reader.get(), entry);
    if (source.failure) return std::move(*source.failure);
    if (!added) return std::move(added).error();
  }
  TRY(stream.drain());
  if (rules_.marks != nullptr) rules_.marks->headers = headers_;
  if (headers_ == 0 && rules_.marks == nullptr)
    return Error{Errc::invalid, "archive: it holds no entry"};
  return counts_;
}

Result<> TarImport::add(archive* reader, archive_entry* entry) {
  // Counts what is dropped as well: the stream's length alone would allow a great many.
  if (++headers_ > limits_.max_entries) {
    return Error{Errc::exhausted,
                 "archive: more than " + std::to_string(limits_.max_entries) + " entries"};
  }
  TRY(tell());
  const char* raw = archive_entry_pathname(entry);
  if (raw == nullptr) return Error{Errc::invalid, "archive: an entry without a name"};
  const std::string path = TRY(clean_entry_path(raw));
  const std::size_t slash = path.rfind('/');
  if (std::string_view(path).substr(slash + 1).starts_with(kWhiteout))
    return add_whiteout(entry, path);
  if (const char* target = archive_entry_hardlink(entry)) {
    if (archive_entry_size_is_set(entry) != 0 && archive_entry_size(entry) > 0) {
      return refused(path, "is a hard link with content");
    }
    return writer_.add_hardlink(path, target);
  }
  const auto type = archive_entry_filetype(entry);
  if (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK) return add_special(entry);
  const EntryMetadata metadata = TRY(metadata_of(entry, path));
  if (type == AE_IFDIR) return writer_.add_folder(path, metadata);
  if (type == AE_IFREG) return add_file(reader, entry, metadata);
  const char* target = archive_entry_symlink(entry);
  return writer_.add_symlink(path, target != nullptr ? target : "", metadata);
}

Result<> TarImport::add_whiteout(archive_entry* entry, const std::string& path) {
  if (rules_.marks == nullptr) {
    return refused(path,
                   "is an OCI whiteout; give the whole root file system, not a layer of an image");
  }
  if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != nullptr)
    return refused(path, "is a whiteout and no file");
  const auto [parent, name] = split_entry_path(path);
  if (name == kOpaque) {
    rules_.marks->opaque.insert(parent);
    return ok();
  }
  if (name.starts_with(kWhiteoutsOwn)) {
    ++counts_.specials;  // what a union file system of old has left there
    return ok();
  }
  const std::string hidden = name.substr(kWhiteout.size());
  if (hidden.empty() || hidden == "." || hidden == "..")
    return refused(path, "is a whiteout of no name");
  rules_.marks->hidden.insert(join_entry_path(parent, hidden));
  return ok();
}

Result<> TarImport::add_special(archive_entry* entry) {
  const auto type = archive_entry_filetype(entry);
  if (type == AE_IFCHR || type == AE_IFBLK) {
    ++counts_.devices;
  } else {
    ++counts_.specials;
  }
  return ok();
}

Result<EntryMetadata> TarImport::metadata_of(archive_entry* entry, std::string_view path) {
  EntryMetadata metadata;
  metadata.mode = archive_entry_perm(entry) & 07777;
  metadata.uid = TRY(owner(archive_entry_uid(entry), path));
  metadata.gid = TRY(owner(archive_entry_gid(entry), path));
  metadata.mtime_s = archive_entry_mtime_is_set(entry) != 0 ? archive_entry_mtime(entry)
                                                            : kImplicitMtime;
  metadata.xattrs = TRY(xattrs_of(entry, path));
  return metadata;
}

Result<std::vector<sys::Xattr>> TarImport::xattrs_of(archive_entry* entry, std::string_view path) {
  std::vector<sys::Xattr> kept;
  if (archive_entry_xattr_reset(entry) == 0) return kept;
  const bool can_have = archive_entry_filetype(entry) != AE_IFLNK;
  std::uint64_t total = 0;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    if (!can_have || name == nullptr || !is_kept_xattr(name)) {
      ++counts_.xattrs;
      continue;
    }
    total += xattr_cost(name, size);
    if (total > kMaxXattrCost) {
      return refused(path, "its extended attributes take more than the " +
                               std::to_string(kMaxXattrCost) + " bytes that are kept of one file");
    }
    kept.push_back({name, std::string(static_cast<const char*>(value), size)});
  }
  return kept;
}

bool all_zeros(std::span<const std::byte> bytes) {
  return bytes.front() == std::byte{0} &&
         std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

// Zeros are not written: what an archive spells out becomes a hole again. No digest covers where
// those are.
Result<> TarImport::write_data(TreeWriter::File& file, std::span<const std::byte> data,
                               std::uint64_t offset) {
  std::size_t begin = 0, end = 0;  // of what is to be written
  const auto write = [&]() -> Result<> {
    return begin == end ? ok()
                        : writer_.write(file, data.subspan(begin, end - begin), offset + begin);
  };
  while (end < data.size()) {
    const std::size_t to_border = kHoleBytes - (offset + end) % kHoleBytes;
    const std::size_t piece = std::min(to_border, data.size() - end);
    if (all_zeros(data.subspan(end, piece))) {
      TRY(write());
      begin = end + piece;
    }
    end += piece;
  }
  return write();
}

Result<> TarImport::add_file(archive* reader, archive_entry* entry, const EntryMetadata& metadata) {
  const std::string_view raw = archive_entry_pathname(entry);
  if (raw.ends_with('/')) return refused(raw, "is a file whose name ends with a slash");
  if (archive_entry_size_is_set(entry) == 0 || archive_entry_size(entry) < 0)
    return refused(raw, "has no size");
  const auto size = static_cast<std::uint64_t>(archive_entry_size(entry));
  TRY(check_size(size, raw));
  TreeWriter::File file = TRY(writer_.begin_file(raw));
  for (;;) {
    const void* bytes = nullptr;
    std::size_t count = 0;
    la_int64_t offset = 0;
    const int got = archive_read_data_block(reader, &bytes, &count, &offset);
    if (got == ARCHIVE_EOF) break;
    if (got != ARCHIVE_OK) return archive_error(reader, "entry " + quote(raw));
    if (offset < 0 || static_cast<std::uint64_t>(offset) > size ||
        count > size - static_cast<std::uint64_t>(offset)) {
      return refused(raw, "has data beyond its end");
    }
    const std::span data(static_cast<const std::byte*>(bytes), count);
    TRY(write_data(file, data, static_cast<std::uint64_t>(offset)));
    TRY(tell());
  }
  return writer_.finish_file(file, size, metadata);
}

Result<> TarImport::tell() {
  if (headers_ < told_headers_ + kProgressEveryEntries &&
      writer_.bytes() < told_bytes_ + kProgressEveryBytes) {
    return ok();
  }
  told_headers_ = headers_;
  told_bytes_ = writer_.bytes();
  return progress_ ? progress_(writer_.entries(), writer_.bytes()) : ok();
}

}  // namespace

std::uint64_t stream_limit(const TreeLimits& limits) {
  const std::uint64_t headers = limits.max_entries > UINT64_MAX / kHeaderBytesPerEntry
                                    ? UINT64_MAX
                                    : limits.max_entries * kHeaderBytesPerEntry;
  return saturating_sum(saturating_sum(limits.max_bytes, headers), kSpareBytes);
}

Result<TarCounts> import_tar(TarStream& stream, TreeWriter& writer, const TreeLimits& limits,
                             const TarRules& rules, const OnProgress& progress) {
  TarImport import(writer, limits, rules, progress);
  return import.run(stream);
}

Result<TarCounts> import_tar(int archive, TreeWriter& writer, const TreeLimits& limits,
                             const OnProgress& progress) {
  TarStream stream = TRY(TarStream::open(archive, stream_limit(limits)));
  return import_tar(stream, writer, limits, {}, progress);
}

}  // namespace tare::snapshot
