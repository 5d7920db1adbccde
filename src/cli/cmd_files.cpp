// tare session cp|ls|rm|mv: files of a live sandbox. Names from inside are hostile: what has one is
// made by OutputFolder only.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include <fmt/core.h>

#include "base/base64.h"
#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/output_file.h"
#include "cli/output_folder.h"
#include "cli/render.h"
#include "cli/uploads.h"
#include "http/url.h"
#include "sys/entries.h"
#include "sys/files.h"

namespace tare::cli {
namespace {

constexpr std::size_t kMaxCopiedFiles = 100'000;

std::string files_path(const std::string& id, std::string_view what, const std::string& path,
                       std::string_view rest = "") {
  return run_path(id, fmt::format("/files{}?path_base64={}{}", what, base64url_encode(path), rest));
}

std::string name_of(const Json& entry) {
  const std::string encoded = text_at(entry, {"name_base64"});
  return encoded.empty() ? text_at(entry, {"name"}) : base64url_decode(encoded).value_or("");
}

std::string target_of_link(const Json& entry) {
  const std::string encoded = text_at(entry, {"target_base64"});
  return encoded.empty() ? text_at(entry, {"target"}) : base64url_decode(encoded).value_or("");
}

bool is_folder(const Json& entry) { return text_at(entry, {"type"}) == "directory"; }

std::string joined_path(const std::string& folder, const std::string& name) {
  return folder.ends_with('/') ? folder + name : folder + "/" + name;
}

std::string last_name(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

// ---- from inside

class Fetch {
 public:
  Fetch(App& app, std::string id, const fiber::Context& ctx)
      : app_(app), id_(std::move(id)), ctx_(ctx) {}

  // `into` is an OutputFile or one of an OutputFolder.
  template <class File>
  Result<> file(const std::string& from, File into, unsigned mode) {
    TRY(app_.client.receive(
        files_path(id_, "/content", from),
        [&](std::string_view piece) { return into.write(piece); }, ctx_));
    return into.commit(mode);
  }

  // Everything below it; what is neither file, folder nor a link that stays inside is told of, and
  // a file that is larger than tared gives at once.
  Result<> folder(const std::string& from, OutputFolder& into, const std::string& name,
                  std::size_t depth) {
    if (depth > 32) return Error{Errc::invalid, from + ": more than 32 levels of folders"};
    const auto answer = TRY(app_.client.get(files_path(id_, "/list", from, "&limit=100000"), ctx_));
    if (flag_at(answer.body, {"more"}))
      return Error{Errc::exhausted, from + ": more than 100000 entries"};
    for (const Json& entry : array_at(answer.body, "entries"))
      TRY(one(from, into, name, entry, depth));
    return ok();
  }
  int skipped() const { return skipped_; }

 private:
  Result<> one(const std::string& from, OutputFolder& into, const std::string& below,
               const Json& entry, std::size_t depth) {
    const std::string name = name_of(entry);
    const std::string path = below.empty() ? name : below + "/" + name;
    TRY(check_artifact_path(path));
    if (++count_ > kMaxCopiedFiles)
      return Error{Errc::exhausted, fmt::format("more than {} files", kMaxCopiedFiles)};
    const auto mode = static_cast<unsigned>(number_at(entry, {"mode"}));
    const std::string inside = joined_path(from, name);
    const std::string type = text_at(entry, {"type"});
    if (type == "file") {
      auto copied = file(inside, TRY(into.create_file(path)), mode);
      if (copied || copied.error().field != "length") return copied;
      return skip(inside, fmt::format("{} bytes are too many at once", number_at(entry, {"size"})));
    }
    if (type == "directory") {
      TRY(into.make_folder(path, mode | 0700));
      return folder(inside, into, path, depth + 1);
    }
    if (type == "symlink") {
      auto made = into.make_symlink(path, target_of_link(entry));
      if (made || made.error().code != Errc::denied) return made;
    }
    return skip(inside, type);
  }

  Result<> skip(const std::string& inside, std::string_view why) {
    ++skipped_;
    app_.note(fmt::format("skipped {} ({})", printable(inside), why), ctx_);
    return ok();
  }

  App& app_;
  std::string id_;
  fiber::Context ctx_;
  std::size_t count_ = 0;
  int skipped_ = 0;
};

Result<int> fetch(const CopyCommand& command, const std::string& id, App& app,
                  const fiber::Context& ctx) {
  if (command.to == "-" || is_our_stdout(command.to)) {
    TRY(app.client.receive(
        files_path(id, "/content", command.from),
        [&](std::string_view piece) { return app.out.write(piece, ctx); }, ctx));
    return kExitOk;
  }
  const Json entry = TRY(app.client.get(files_path(id, "", command.from), ctx)).body;
  std::error_code ignored;
  const bool into_folder = std::filesystem::is_directory(command.to, ignored);
  Fetch fetching(app, id, ctx);
  const auto mode = static_cast<unsigned>(number_at(entry, {"mode"}));
  if (is_folder(entry)) {
    const std::string name = last_name(command.from);
    auto folder = TRY(
        OutputFolder::open(into_folder ? joined_path(command.to, name) : command.to, app.random));
    TRY(fetching.folder(command.from, folder, "", 0));
    return fetching.skipped() == 0 ? kExitOk : kExitFailure;
  }
  const std::filesystem::path to = into_folder ? joined_path(command.to, last_name(command.from))
                                               : command.to;
  auto file = TRY(OutputFile::open(to.string(), OutputFile::Existing::replace, app.random));
  TRY(fetching.file(command.from, std::move(file),
                    text_at(entry, {"type"}) == "file" ? mode : 0644));
  return kExitOk;
}

// ---- to inside

Result<> send_stream(App& app, const std::string& id, int fd, const std::string& to,
                     std::string_view mode, const fiber::Context& ctx) {
  StdInput input(fd);
  const auto source = [&](std::span<char> buffer, const fiber::Context& body) {
    return input.read_some(buffer, body);
  };
  TRY(app.client.put(files_path(id, "/content", to, fmt::format("&mode={}", mode)), source, ctx));
  return ok();
}

Result<> make_remote_folder(App& app, const std::string& id, const std::string& path,
                            const fiber::Context& ctx) {
  TRY(app.client.post_empty(files_path(id, "/mkdir", path, "&parents=true"), ctx));
  return ok();
}

Result<> send_file(App& app, const std::string& id, const LocalFile& file, const std::string& to,
                   const fiber::Context& ctx) {
  const auto fd = TRY(sys::open_at(sys::kCwd, file.path, O_RDONLY));
  return send_stream(app, id, fd.get(), to, file.executable ? "755" : "644", ctx);
}

Result<int> send_all(const CopyCommand& command, const std::string& id, App& app,
                     const fiber::Context& ctx) {
  std::string to = command.to;
  // Into a folder that is there: under its own name.
  auto there = app.client.get(files_path(id, "", to), ctx);
  const bool into_folder = there && is_folder(there->body);
  if (!there && there.error().code != Errc::not_found) return std::move(there).error();
  if (command.from == "-") {
    TRY(send_stream(app, id, STDIN_FILENO, to, "644", ctx));
    return kExitOk;
  }
  if (into_folder) to = joined_path(to, TRY(name_of_path(command.from)));
  std::error_code ignored;
  const bool folder = std::filesystem::is_directory(command.from, ignored);
  const auto files = TRY(find_files(command.from, "", kMaxCopiedFiles));
  if (folder) TRY(make_remote_folder(app, id, to, ctx));
  std::string made;
  for (const LocalFile& file : files) {
    const std::string target = folder ? to + file.name : to;  // the names begin with a slash
    const std::string parent = target.substr(0, target.rfind('/'));
    if (folder && parent != made && parent != to) {
      TRY(make_remote_folder(app, id, parent, ctx));
      made = parent;
    }
    TRY(send_file(app, id, file, target, ctx).context(printable(file.path)));
  }
  return kExitOk;
}

std::string mode_text(const Json& entry) {
  const std::string type = text_at(entry, {"type"});
  const char first = type == "directory" ? 'd'
                     : type == "symlink" ? 'l'
                     : type == "fifo"    ? 'p'
                     : type == "socket"  ? 's'
                     : type == "device"  ? 'c'
                                         : '-';
  std::string out(1, first);
  const std::uint64_t mode = number_at(entry, {"mode"});
  for (int bit = 8; bit >= 0; --bit) out += (mode >> bit & 1) != 0 ? "xwr"[bit % 3] : '-';
  return out;
}

}  // namespace

Result<int> run_command(const CopyCommand& command, App& app, const fiber::Context& ctx) {
  const std::string id = TRY(resolve_run(app, command.session, ctx));
  return command.fetch ? fetch(command, id, app, ctx) : send_all(command, id, app, ctx);
}

Result<int> run_command(const FileListCommand& command, App& app, const fiber::Context& ctx) {
  const std::string id = TRY(resolve_run(app, command.session, ctx));
  auto answer = app.client.get(files_path(id, "/list", command.path, "&limit=100000"), ctx);
  JsonArray entries;
  if (answer) {
    entries = array_at(answer->body, "entries");
  } else if (answer.error().code == Errc::invalid) {  // not a folder: itself
    entries.push_back(TRY(app.client.get(files_path(id, "", command.path), ctx)).body);
  } else {
    return std::move(answer).error();
  }
  if (command.json) {
    TRY(app.print(pretty_text(JsonObject{{"entries", entries}}), ctx));
    return kExitOk;
  }
  Table table({"MODE", "UID", "SIZE", "AGE", "NAME"});
  const std::uint64_t now_ms = app.clock.wall_ms();
  for (const Json& entry : entries) {
    std::string name = printable(name_of(entry));
    if (is_folder(entry)) name += '/';
    if (text_at(entry, {"type"}) == "symlink") name += " -> " + printable(target_of_link(entry));
    table.add({mode_text(entry), std::to_string(number_at(entry, {"uid"})),
               is_folder(entry) ? "-" : std::to_string(number_at(entry, {"size"})),
               age_text(number_at(entry, {"modified_ms"}), now_ms), name});
  }
  TRY(app.print(table.text(), ctx));
  if (answer && flag_at(answer->body, {"more"})) app.note("there are more than 100000", ctx);
  return kExitOk;
}

Result<int> run_command(const FileRemoveCommand& command, App& app, const fiber::Context& ctx) {
  const std::string id = TRY(resolve_run(app, command.session, ctx));
  TRY(app.client.remove(
      files_path(id, "", command.path, command.recursive ? "&recursive=true" : ""), ctx));
  return kExitOk;
}

Result<int> run_command(const FileMoveCommand& command, App& app, const fiber::Context& ctx) {
  const std::string id = TRY(resolve_run(app, command.session, ctx));
  TRY(app.client.post(
      run_path(id, "/files/move"),
      JsonObject{{"from", command.from}, {"to", command.to}, {"replace", command.replace}}, ctx));
  return kExitOk;
}

}  // namespace tare::cli
