#include "host/uploaded_files.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "model/relative_path.h"

namespace tare::host {

Result<> check_upload_paths(const std::vector<UploadedFile>& files) {
  std::vector<std::string_view> paths;
  for (const UploadedFile& file : files) {
    TRY(model::check_relative_path(fmt::format("files[{}].path", paths.size()), file.path));
    paths.push_back(file.path);
  }
  const auto clash = model::find_path_clash(paths);
  if (!clash) return ok();
  return field_error(
      fmt::format("files[{}].path", clash->second),
      quote(paths[clash->second]) + " is there twice, or is a folder of another file");
}

Result<std::string> import_uploads(const RunDeps& deps, snapshot::FilesOf of,
                                   std::vector<UploadedFile> files, const fiber::Context& ctx) {
  std::ranges::sort(files, {}, &UploadedFile::path);
  std::vector<snapshot::FileItem> items;
  std::vector<sys::UniqueFd> owned;
  std::vector<int> fds;
  for (const UploadedFile& file : files) {
    auto content = deps.blobs.read(file.digest);
    if (!content)
      return std::move(content).error().context("files: " + quote(file.path) + ": upload it first");
    items.push_back({file.path, file.mode});
    fds.push_back(content->get());
    owned.push_back(std::move(*content));
  }
  const sys::UniqueFd secrets = TRY(deps.secrets.file());
  return TRY(deps.store.import_files(of, items, fds, secrets.get(), ctx)).layer.digest;
}

}  // namespace tare::host
