#include "api/uploaded_files.h"

#include "base/limits.h"

namespace tare::api {

Result<host::UploadedFile> read_uploaded_file(const Node& node) {
  constexpr std::uint32_t kPlain = 0644, kExecutable = 0755;
  host::UploadedFile file;
  Fields fields(node);
  fields.required("path", file.path, text(kMaxPathBytes, 1));
  fields.required("mode", file.mode, [](const Node& mode) -> Result<std::uint32_t> {
    const auto value = TRY(integer<std::uint32_t>()(mode));
    if (value == kPlain || value == kExecutable) return value;
    return mode.refuse("allowed are 420 (0644) and 493 (0755)");
  });
  fields.required("digest", file.digest, read_digest);
  TRY(fields.finish());
  return file;
}

}  // namespace tare::api
