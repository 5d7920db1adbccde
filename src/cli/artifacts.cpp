#include "cli/artifacts.h"

#include <algorithm>

#include <fmt/core.h>

#include "base/base64.h"
#include "base/decode.h"
#include "base/limits.h"
#include "base/text.h"
#include "cli/output_folder.h"
#include "http/url.h"

namespace tare::cli {
namespace {

Result<Artifact::Type> type_from(std::string_view text) {
  if (text == "file") return Artifact::Type::file;
  if (text == "directory") return Artifact::Type::directory;
  if (text == "symlink") return Artifact::Type::symlink;
  return Error{Errc::invalid, "neither file nor directory nor symlink"};
}

Result<Artifact> read_artifact(const Node& node) {
  Artifact artifact;
  std::string exact;
  Fields fields(node);
  fields.required("path", artifact.path, text(4 * kMaxPathBytes));
  fields.optional("path_base64", exact, parsed(base64url_decode));
  fields.required("type", artifact.type, parsed(type_from));
  fields.required("size", artifact.size, integer<std::uint64_t>());
  fields.required("mode", artifact.mode, integer<unsigned>(0, 07777));
  fields.optional("target", artifact.target, text(4 * kMaxPathBytes));
  TRY(fields.finish());
  if (!exact.empty()) artifact.path = exact;
  return artifact;
}

struct Page {
  std::vector<Artifact> artifacts;
  std::string next_cursor;
};

Result<Page> read_page(const Json& body) {
  Page page;
  const Node node(body, Unknown::ignore);
  Fields fields(node);
  fields.required("artifacts", page.artifacts, list_of(read_artifact, kMaxListedRuns));
  fields.optional("next_cursor", page.next_cursor, text(kMaxPathBytes * 4));
  TRY(fields.finish());
  return page;
}

// Errors that are about this machine (the disk is full) or the server; all others skip one
// artifact.
bool ends_all(const Error& error) {
  return error.code == Errc::exhausted || error.code == Errc::unavailable ||
         error.code == Errc::cancelled || error.code == Errc::internal || error.sys == EROFS;
}

Result<> fetch_file(App& app, const std::string& run_id, const Artifact& artifact,
                    OutputFolder& folder, const fiber::Context& ctx) {
  auto file = TRY(folder.create_file(artifact.path));
  std::uint64_t size = 0;
  TRY(app.client.receive(
      run_path(run_id, "/artifacts/content?path_base64=" + base64url_encode(artifact.path)),
      [&](std::string_view piece) {
        size += piece.size();
        return file.write(piece);
      },
      ctx));
  if (size != artifact.size) {
    return Error{Errc::internal, fmt::format("artifact {}: {} bytes came, {} were promised",
                                             quote(artifact.path), size, artifact.size)};
  }
  return file.commit(artifact.mode);
}

}  // namespace

Result<std::vector<Artifact>> list_artifacts(App& app, const std::string& run_id,
                                             const fiber::Context& ctx) {
  std::vector<Artifact> out;
  std::string cursor;
  do {
    std::string query = fmt::format("/artifacts?limit={}", kMaxListedRuns);
    if (!cursor.empty()) query += "&cursor=" + http::percent_encode(cursor);
    const auto answer = TRY(app.client.get(run_path(run_id, query), ctx));
    auto page = read_page(answer.body);
    if (!page) return Error{Errc::internal, "list of artifacts: " + page.error().message};
    std::move(page->artifacts.begin(), page->artifacts.end(), std::back_inserter(out));
    if (out.size() > kMaxOutputFiles) {
      return Error{Errc::exhausted,
                   fmt::format("the run left more than {} files", kMaxOutputFiles)};
    }
    if (page->artifacts.empty() && !page->next_cursor.empty()) {
      return Error{Errc::internal, "list of artifacts: an empty page that is not the last"};
    }
    cursor = page->next_cursor;
  } while (!cursor.empty());
  return out;
}

Result<Fetched> fetch_artifacts(App& app, const std::string& run_id, const std::string& folder,
                                const fiber::Context& ctx) {
  const auto artifacts = TRY(list_artifacts(app, run_id, ctx));
  auto output = TRY(OutputFolder::open(folder, app.random));
  Fetched fetched;
  for (const Artifact& artifact : artifacts) {
    Result<> made;
    switch (artifact.type) {
      case Artifact::Type::directory:
        made = output.make_folder(artifact.path, artifact.mode);
        break;
      case Artifact::Type::file: made = fetch_file(app, run_id, artifact, output, ctx); break;
      case Artifact::Type::symlink:
        made = output.make_symlink(artifact.path, artifact.target);
        break;
    }
    if (made) {
      fetched.files += artifact.type == Artifact::Type::directory ? 0 : 1;
    } else if (ends_all(made.error())) {
      return std::move(made).error();
    } else {
      app.note("skipped: " + made.error().message, ctx);
      ++fetched.skipped;
    }
  }
  return fetched;
}

}  // namespace tare::cli
