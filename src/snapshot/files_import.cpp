#include "snapshot/files_import.h"

#include "base/hash.h"
#include "base/text.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::snapshot {

namespace {

constexpr std::size_t kCopyBytes = 256 * 1024;
constexpr std::uint32_t kFolderMode = 0755;
// From kImplicitMtime on, and before 2106.
constexpr std::uint64_t kContentTimes = 3'900'000'000;

EntryMetadata metadata(FilesOf of, std::uint32_t mode) {
  const std::uint32_t id = of == FilesOf::agent ? kAgentId : 0;
  return EntryMetadata{mode, id, id, kImplicitMtime, {}};
}

std::int64_t time_of(const Sha256Digest& content) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < sizeof number; ++i) number = number << 8 | content[i];
  return kImplicitMtime + static_cast<std::int64_t>(number % kContentTimes);
}

// Folders on the way to the file: the agent's, not root's as the writer would make them by itself.
Result<> add_folders_to(TreeWriter& writer, FilesOf of, std::string_view path) {
  const std::size_t from = of == FilesOf::agent ? kAgentHome.size() + 1 : 0;
  for (std::size_t slash = path.find('/', from); slash != std::string_view::npos;
       slash = path.find('/', slash + 1)) {
    TRY(writer.add_folder(path.substr(0, slash), metadata(of, kFolderMode)));
  }
  return ok();
}

Result<> add_file(TreeWriter& writer, FilesOf of, const FileItem& item, int from) {
  const std::string name = TRY(clean_entry_path(item.path));
  const std::string path = of == FilesOf::agent ? std::string(kAgentHome) + "/" + name : name;
  if (!S_ISREG(TRY(sys::stat_fd(from)).st_mode)) {
    Error error{Errc::invalid, "file " + quote(item.path) + ": a regular file is expected"};
    return error;
  }
  TRY(add_folders_to(writer, of, path));
  TreeWriter::File file = TRY(writer.begin_file(path));
  std::vector<std::byte> buffer(kCopyBytes);
  std::uint64_t offset = 0;
  Sha256 content;
  while (const std::size_t n = TRY(sys::read_at(from, buffer, offset))) {
    const auto bytes = std::span<const std::byte>(buffer).first(n);
    if (of == FilesOf::runner) content.update(bytes);
    TRY(writer.write(file, bytes, offset));
    offset += n;
  }
  EntryMetadata all = metadata(of, item.mode);
  if (of == FilesOf::runner) all.mtime_s = time_of(content.finish());
  return writer.finish_file(file, offset, all);
}

}  // namespace

Result<> add_base_folders(TreeWriter& writer, FilesOf of) {
  EntryMetadata roots;
  roots.mtime_s = kImplicitMtime;
  TRY(writer.add_folder(kRootPath, roots));
  if (of == FilesOf::runner) return ok();
  TRY(writer.add_folder("home", roots));
  return writer.add_folder(kAgentHome, metadata(of, kFolderMode));
}

Result<> add_files(TreeWriter& writer, FilesOf of, const std::vector<FileItem>& files,
                   const std::vector<sys::UniqueFd>& fds) {
  CHECK(files.size() == fds.size());
  for (std::size_t i = 0; i < files.size(); ++i) TRY(add_file(writer, of, files[i], fds[i].get()));
  return ok();
}

}  // namespace tare::snapshot
