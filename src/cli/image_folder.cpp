#include "cli/image_folder.h"

#include <fcntl.h>

#include <algorithm>

#include "base/text.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::cli {

namespace {

constexpr std::size_t kMaxLayoutFiles = 100'000;
constexpr std::string_view kIndexName = "index.json";
// It holds what nobody but root may read in the environment.
constexpr unsigned kFileMode = 0600, kFolderMode = 0700;

}  // namespace

// ---- a folder as a stream

Result<FolderReader> FolderReader::open(const std::string& folder) {
  FolderReader reader;
  reader.folder_ = folder;
  reader.directory_ = TRY(sys::open_directory(folder));
  reader.files_ = TRY(find_files(".", ".", kMaxLayoutFiles, folder));
  const bool layout = std::ranges::any_of(
      reader.files_, [](const LocalFile& file) { return file.name == "./index.json"; });
  if (!layout) {
    return Error{Errc::invalid, quote(folder) +
                                    " is no OCI layout: index.json is not in it. A root file "
                                    "system goes as a tar: tar -C DIR -c . | tare env import -"};
  }
  return reader;
}

// False: there is none.
Result<bool> FolderReader::begin_next() {
  if (next_ == files_.size()) return false;
  const LocalFile& local = files_[next_++];
  file_ = TRY(sys::open_beneath(directory_.get(), local.path, O_RDONLY | O_NOFOLLOW));
  size_ = static_cast<std::uint64_t>(TRY(sys::stat_fd(file_.get())).st_size);
  offset_ = 0;
  TarHeader header;
  header.name = local.name;
  header.size = size_;
  pending_ = tar_header(header);
  return true;
}

Result<std::size_t> FolderReader::read(std::span<char> buffer) {
  for (;;) {
    if (!pending_.empty()) {
      const std::size_t n = std::min(buffer.size(), pending_.size());
      std::copy_n(pending_.begin(), n, buffer.begin());
      pending_.erase(0, n);
      return n;
    }
    if (file_.valid() && offset_ < size_) {
      const auto into = buffer.first(std::min<std::uint64_t>(buffer.size(), size_ - offset_));
      const std::size_t n = TRY(sys::read_at(file_.get(), std::as_writable_bytes(into), offset_));
      if (n == 0) return Error{Errc::conflict, quote(folder_) + " changed while it was read"};
      offset_ += n;
      return n;
    }
    if (file_.valid()) {
      pending_ = tar_padding(size_);
      file_.reset();
      continue;
    }
    if (ended_) return std::size_t{0};
    if (TRY(begin_next())) continue;
    pending_.assign(kTarEndBytes, '\0');
    ended_ = true;
  }
}

// ---- a stream into a folder

Result<> FolderWriter::begin(const TarHeader& header) {
  std::string name = header.name;
  if (name.ends_with('/')) name.pop_back();
  TRY(check_artifact_path(name));
  if (header.type == TarType::folder) return folder_.make_folder(name, kFolderMode);
  file_.emplace(TRY(folder_.create_file(name)));
  content_ = header.size;
  padding_ = tar_padding(header.size).size();
  return content_ == 0 ? end_file() : ok();
}

Result<> FolderWriter::end_file() {
  if (heads_.header().name == kIndexName) {
    index_.emplace(std::move(*file_));
  } else {
    TRY(file_->commit(kFileMode));
  }
  file_.reset();
  return ok();
}

Result<> FolderWriter::write(std::string_view bytes) {
  while (!bytes.empty() && !ended_) {
    if (content_ > 0) {
      const std::string_view piece = bytes.substr(0,
                                                  std::min<std::uint64_t>(bytes.size(), content_));
      TRY(file_->write(piece));
      content_ -= piece.size();
      bytes.remove_prefix(piece.size());
      if (content_ == 0) TRY(end_file());
      continue;
    }
    if (padding_ > 0) {
      const std::size_t n = std::min<std::uint64_t>(bytes.size(), padding_);
      padding_ -= n;
      bytes.remove_prefix(n);
      continue;
    }
    const std::size_t n = std::min(bytes.size(), kTarBlockBytes - block_.size());
    block_.append(bytes.substr(0, n));
    bytes.remove_prefix(n);
    if (block_.size() < kTarBlockBytes) continue;
    const auto read = TRY(heads_.take(block_));
    block_.clear();
    if (read == PlainTarHeads::Read::entry) TRY(begin(heads_.header()));
    ended_ = read == PlainTarHeads::Read::end;
  }
  return ok();
}

Result<> FolderWriter::finish() {
  if (ended_) return index_ ? index_->commit(kFileMode) : ok();
  return Error{Errc::unavailable, "the archive was cut short: try again"};
}

}  // namespace tare::cli
