// /v1/runs/{id}/artifacts: what a run left in /output. Names and links are the program's: hostile.
// Every open is below the run's own folder and follows no link.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "api/answers.h"
#include "api/handlers.h"
#include "base/base64.h"
#include "base/text.h"
#include "model/run.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::api {

namespace {

constexpr std::size_t kMaxListed = 65'536;  // more than the store keeps of one run
constexpr std::size_t kMaxDepth = 128;
constexpr std::size_t kReadBytes = std::size_t{256} << 10;

struct Artifact {
  std::string path;
  std::string_view type;
  std::uint64_t size = 0;
  unsigned mode = 0;
  std::string target;  // of a symlink
};

Result<> list_below(int root, const std::string& folder, std::size_t depth,
                    std::vector<Artifact>& out) {
  if (depth > kMaxDepth) return ok();
  const auto dir = TRY(
      sys::open_beneath(root, folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY));
  for (const std::string& name : TRY(sys::list_dir(dir.get(), "."))) {
    if (out.size() >= kMaxListed) return ok();
    const auto status = TRY(sys::stat_at(dir.get(), name));
    Artifact one{.path = folder.empty() ? name : folder + "/" + name,
                 .type = "file",
                 .mode = status.st_mode & 0777U,
                 .target = {}};
    if (S_ISDIR(status.st_mode)) {
      one.type = "directory";
    } else if (S_ISLNK(status.st_mode)) {
      one.type = "symlink";
      one.target = TRY(sys::read_link_at(dir.get(), name));
    } else if (S_ISREG(status.st_mode)) {
      one.size = static_cast<std::uint64_t>(status.st_size);
    } else {
      continue;
    }
    const std::string path = one.path;
    out.push_back(std::move(one));
    if (S_ISDIR(status.st_mode)) TRY(list_below(root, path, depth + 1, out));
  }
  return ok();
}

// The run's output folder; invalid when the run left nothing.
Result<sys::UniqueFd> output_folder(Services& services, const std::string& id) {
  const model::Run run = TRY(services.runs.get(id));
  if (!model::is_terminal(run.state)) return Error{Errc::conflict, "run " + id + " has not ended"};
  auto folder = sys::open_beneath(services.deps.runs_dir, id + "/output", O_RDONLY | O_DIRECTORY);
  if (!folder && folder.error().code == Errc::not_found) return sys::UniqueFd();
  return folder;
}

Json to_json(const Artifact& artifact) {
  JsonObject out{{"path", artifact.path},
                 {"type", artifact.type},
                 {"size", artifact.size},
                 {"mode", artifact.mode}};
  if (!is_utf8(artifact.path)) out["path_base64"] = base64url_encode(artifact.path);
  if (artifact.type == "symlink" && is_utf8(artifact.target)) out["target"] = artifact.target;
  return out;
}

Result<std::string> wanted_path(const http::Query& query) {
  const auto path = query.get("path");
  const auto encoded = query.get("path_base64");
  if (path.has_value() == encoded.has_value()) {
    return field_error("path", "give exactly one of path and path_base64");
  }
  std::string out = path ? std::string(*path) : std::string();
  if (encoded) {
    auto decoded = base64url_decode(*encoded);
    if (!decoded) return field_error("path_base64", decoded.error().message);
    out = std::move(*decoded);
  }
  if (out.empty() || out.front() == '/' || out.find('\0') != std::string::npos) {
    return field_error("path", "is not a relative path");
  }
  return out;
}

Result<> send_file(Services& services, Exchange& exchange, const sys::UniqueFd& file,
                   std::uint64_t size) {
  TRY(exchange.start(200, {{"Content-Type", "application/octet-stream"}}, size));
  std::string buffer(std::min<std::uint64_t>(size, kReadBytes), '\0');
  for (std::uint64_t at = 0; at < size;) {
    const auto into = std::as_writable_bytes(std::span(buffer))
                          .first(std::min<std::uint64_t>(buffer.size(), size - at));
    const std::size_t n = TRY(services.deps.offload.run(
        [&] { return sys::read_at(file.get(), into, at); }, exchange.context()));
    if (n == 0) return Error{Errc::internal, "the file became shorter"};
    TRY(exchange.write(std::string_view(buffer).substr(0, n)));
    at += n;
  }
  return ok();
}

}  // namespace

Result<> list_run_artifacts(Services& services, Exchange& exchange) {
  const http::Query& query = exchange.query();
  TRY(query.allow_only({"limit", "cursor"}));
  const std::string id = TRY(run_id_of(exchange));
  const std::size_t limit = TRY(page_limit(query));
  auto after = base64url_decode(text_or_empty(query, "cursor"));
  if (!after) return field_error("cursor", "is not a cursor of this list");
  const sys::UniqueFd folder = TRY(output_folder(services, id));
  std::vector<Artifact> all;
  if (folder.valid()) {
    TRY(services.deps.offload.run([&] { return list_below(folder.get(), "", 0, all); },
                                  exchange.context()));
  }
  std::sort(all.begin(), all.end(),
            [](const Artifact& a, const Artifact& b) { return a.path < b.path; });
  auto first = std::find_if(all.begin(), all.end(),
                            [&](const Artifact& one) { return one.path > *after; });
  JsonArray list;
  std::string last;
  for (; first != all.end() && list.size() < limit; ++first) {
    list.push_back(to_json(*first));
    last = first->path;
  }
  JsonObject out{{"artifacts", std::move(list)}};
  if (first != all.end()) out["next_cursor"] = base64url_encode(last);
  return reply_json(exchange, 200, out);
}

Result<> get_run_artifact(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"path", "path_base64"}));
  const std::string id = TRY(run_id_of(exchange));
  const std::string path = TRY(wanted_path(exchange.query()));
  const sys::UniqueFd folder = TRY(output_folder(services, id));
  const Error absent{Errc::not_found, "the run left no file " + quote(path)};
  if (!folder.valid()) return absent;
  // O_NONBLOCK: a FIFO, if there could be one, must not hold us up.
  auto file = sys::open_beneath(folder.get(), path, O_RDONLY | O_NONBLOCK);
  if (!file) return absent;
  const auto status = TRY(sys::stat_fd(file->get()));
  if (!S_ISREG(status.st_mode)) return field_error("path", quote(path) + " is not a regular file");
  return send_file(services, exchange, *file, static_cast<std::uint64_t>(status.st_size));
}

}  // namespace tare::api
