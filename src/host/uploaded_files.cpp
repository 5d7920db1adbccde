#include "host/uploaded_files.h"

#include <algorithm>

#include "base/text.h"

namespace tare::host {

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
  return TRY(deps.store.import_files(of, items, fds, ctx)).layer.digest;
}

}  // namespace tare::host
