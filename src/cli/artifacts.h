// Fetching what a run left in /output into a folder. Names, types and links come from the server
// and are hostile: output_folder.h makes nothing outside the folder. What cannot be made here (a
// link that may lead outside, a name that is refused) is skipped with a note, never an error: one
// bad name must not hide the rest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/app.h"
#include "fiber/context.h"

namespace tare::cli {

struct Artifact {
  enum class Type : std::uint8_t { file, directory, symlink };
  std::string path;  // exact bytes
  Type type = Type::file;
  std::uint64_t size = 0;
  unsigned mode = 0;
  std::string target;  // of a symlink; "" when unknown
};

// All pages. Errors: Errc::conflict while the run has not ended.
Result<std::vector<Artifact>> list_artifacts(App& app, const std::string& run_id,
                                             const fiber::Context& ctx);

struct Fetched {
  std::size_t files = 0;    // made
  std::size_t skipped = 0;  // each with a note
};
Result<Fetched> fetch_artifacts(App& app, const std::string& run_id, const std::string& folder,
                                const fiber::Context& ctx);

}  // namespace tare::cli
