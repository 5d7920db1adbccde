// tare env import, export: environments from archives and into archives.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>

#include <fmt/core.h>

#include "base/bytes.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/environment_text.h"
#include "cli/exit_status.h"
#include "cli/image_folder.h"
#include "cli/output_file.h"
#include "cli/render.h"
#include "fiber/wait.h"
#include "http/url.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::cli {
namespace {

constexpr std::string_view kLayoutFolder = "oci";  // the format that is no archive

std::string query_of(std::initializer_list<std::pair<std::string_view, std::string_view>> all) {
  std::string out;
  for (const auto& [name, value] : all) {
    if (value.empty()) continue;
    out += fmt::format("{}{}={}", out.empty() ? "?" : "&", name, http::percent_encode(value));
  }
  return out;
}

// Where the archive comes from.
Result<http::BodySource> source_of(const std::string& path) {
  if (path == "-") {
    return http::BodySource([input = StdInput(STDIN_FILENO)](std::span<char> buffer,
                                                             const fiber::Context& ctx) mutable {
      return input.read_some(buffer, ctx);
    });
  }
  auto fd = std::make_shared<sys::UniqueFd>(
      TRY(sys::open_at(sys::kCwd, path, O_RDONLY | O_CLOEXEC).context(quote(path))));
  if (S_ISDIR(TRY(sys::stat_fd(fd->get())).st_mode)) {
    auto folder = std::make_shared<FolderReader>(TRY(FolderReader::open(path)));
    return http::BodySource(
        [folder](std::span<char> buffer, const fiber::Context&) { return folder->read(buffer); });
  }
  return http::BodySource([fd](std::span<char> buffer, const fiber::Context&) {
    return sys::read_some(fd->get(), std::as_writable_bytes(buffer));
  });
}

// A folder that is new, empty, or with --force a layout: nobody's files are mixed with ours, and
// none is lost. Says whether it was made here.
Result<bool> prepare_folder(const std::string& path, bool force) {
  auto made = sys::make_dir_at(sys::kCwd, path, 0777);
  if (made) return true;
  if (made.error().code == Errc::not_found)
    return Error{Errc::not_found,
                 quote(path) + ": the folder above it is not there: make it first"};
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) {
    if (made.error().code != Errc::conflict) return std::move(made).error().context(quote(path));
    return Error{Errc::conflict, quote(path) + " is there and is no folder: name another one"};
  }
  if (TRY(sys::list_dir(sys::kCwd, path).context(quote(path))).empty()) return false;
  const std::filesystem::path folder(path);
  const bool layout = std::filesystem::is_regular_file(folder / "oci-layout", ignored) &&
                      std::filesystem::is_regular_file(folder / "index.json", ignored);
  if (!layout) {
    return Error{Errc::conflict,
                 quote(path) + " is not empty, and no OCI layout: name a new or an empty folder"};
  }
  if (force) return false;
  return Error{Errc::conflict, quote(path) +
                                   " has an OCI layout already: name another folder, or "
                                   "replace it with --force"};
}

Result<int> tell_exported(const EnvExportCommand& command, std::uint64_t bytes, App& app,
                          const fiber::Context& ctx) {
  if (!command.json) return kExitOk;
  TRY(app.print(pretty_text(JsonObject{{"environment", command.ref},
                                       {"path", command.path},
                                       {"format", command.format},
                                       {"bytes", bytes}}),
                ctx));
  return kExitOk;
}

// How many bytes came.
Result<std::uint64_t> receive_folder(const EnvExportCommand& command, const std::string& path,
                                     App& app, const fiber::Context& ctx) {
  auto folder = TRY(OutputFolder::open(command.path, app.random));
  FolderWriter writer(folder);
  std::uint64_t bytes = 0;
  const auto sink = [&](std::string_view piece) {
    bytes += piece.size();
    return writer.write(piece);
  };
  TRY(app.client.receive(path, sink, ctx));
  TRY(writer.finish());
  return bytes;
}

Result<int> export_to_folder(const EnvExportCommand& command, const std::string& path, App& app,
                             const fiber::Context& ctx) {
  if (command.path == "-") return Error{Errc::invalid, "--format oci makes a folder: name it"};
  const bool made = TRY(prepare_folder(command.path, command.force));
  auto written = receive_folder(command, path, app, ctx);
  if (!written && made) static_cast<void>(sys::remove_tree_at(sys::kCwd, command.path));
  return tell_exported(command, TRY(std::move(written)), app, ctx);
}

}  // namespace

Result<int> run_command(const EnvImportCommand& command, App& app, const fiber::Context& ctx) {
  const std::string path = "/v1/images" + query_of({{"name", command.name},
                                                    {"format", command.format},
                                                    {"platform", command.platform},
                                                    {"ref_name", command.reference}});
  const auto answer = TRY(app.client.send(path, TRY(source_of(command.path)), ctx));
  TRY(app.print(command.json ? pretty_text(answer.body) : built_line(answer.body), ctx));
  return kExitOk;
}

Result<int> run_command(const EnvExportCommand& command, App& app, const fiber::Context& ctx) {
  const bool to_folder = command.format == kLayoutFolder;
  const std::string path = fmt::format(
      "/v1/environments/{}/export{}", http::percent_encode(command.ref),
      query_of({{"format", to_folder ? "oci-archive" : command.format},
                {"ref_name", command.reference}}));
  if (to_folder) return export_to_folder(command, path, app, ctx);
  if (command.path == "-" || is_our_stdout(command.path)) {
    if (command.json)
      return Error{Errc::invalid, "--json and the archive cannot both go to stdout: name a file"};
    if (::isatty(STDOUT_FILENO) == 1)
      return Error{Errc::invalid, "an archive is nothing for a terminal: name a file"};
    const auto sink = [&](std::string_view piece) { return app.out.write(piece, ctx); };
    TRY(app.client.receive(path, sink, ctx));
    return kExitOk;
  }
  const auto existing = command.force ? OutputFile::Existing::replace
                                      : OutputFile::Existing::refuse;
  auto file = TRY(OutputFile::open(command.path, existing, app.random));
  std::uint64_t bytes = 0;
  const auto sink = [&](std::string_view piece) {
    bytes += piece.size();
    return file.write(piece);
  };
  TRY(app.client.receive(path, sink, ctx));
  TRY(file.commit(0600));  // it holds what only root may read in the environment
  return tell_exported(command, bytes, app, ctx);
}

}  // namespace tare::cli
