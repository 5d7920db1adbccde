#include "snapshot/files_import.h"

#include "base/text.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::snapshot {

namespace {

constexpr std::size_t kCopyBytes = 256 * 1024;
constexpr std::uint32_t kFolderMode = 0755;

EntryMetadata agents(std::uint32_t mode) {
  return EntryMetadata{mode, kAgentId, kAgentId, kImplicitMtime, {}};
}

// Folders between home/agent and the file: the agent's, not root's as the writer would make them by
// itself.
Result<> add_folders_to(TreeWriter& writer, std::string_view path) {
  for (std::size_t slash = path.find('/', kAgentHome.size() + 1); slash != std::string_view::npos;
       slash = path.find('/', slash + 1)) {
    TRY(writer.add_folder(path.substr(0, slash), agents(kFolderMode)));
  }
  return ok();
}

Result<> add_file(TreeWriter& writer, const FileItem& item, int from) {
  const std::string path = std::string(kAgentHome) + "/" + TRY(clean_entry_path(item.path));
  if (!S_ISREG(TRY(sys::stat_fd(from)).st_mode)) {
    Error error{Errc::invalid, "file " + quote(item.path) + ": a regular file is expected"};
    return error;
  }
  TRY(add_folders_to(writer, path));
  TreeWriter::File file = TRY(writer.begin_file(path));
  std::vector<std::byte> buffer(kCopyBytes);
  std::uint64_t offset = 0;
  while (const std::size_t n = TRY(sys::read_at(from, buffer, offset))) {
    TRY(writer.write(file, std::span(buffer).first(n), offset));
    offset += n;
  }
  return writer.finish_file(file, offset, agents(item.mode));
}

}  // namespace

Result<> add_agent_home(TreeWriter& writer) {
  EntryMetadata roots;
  roots.mtime_s = kImplicitMtime;
  TRY(writer.add_folder(kRootPath, roots));
  TRY(writer.add_folder("home", roots));
  return writer.add_folder(kAgentHome, agents(kFolderMode));
}

Result<> add_agent_files(TreeWriter& writer, const std::vector<FileItem>& files,
                         const std::vector<sys::UniqueFd>& fds) {
  CHECK(files.size() == fds.size());
  for (std::size_t i = 0; i < files.size(); ++i) TRY(add_file(writer, files[i], fds[i].get()));
  return ok();
}

}  // namespace tare::snapshot
