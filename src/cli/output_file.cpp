#include "cli/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include <fmt/core.h>

#include "base/text.h"
#include "sys/files.h"

namespace tare::cli {
namespace {

Error is_there(const std::string& path) {
  return Error{Errc::conflict, quote(path) +
                                   " exists: name another file, or replace it with "
                                   "--force"};
}

Error no_folder(const std::string& path, const std::string& folder) {
  return Error{Errc::not_found,
               fmt::format("{}: there is no folder {}: make it first", quote(path), quote(folder))};
}

}  // namespace

bool is_our_stdout(const std::string& path) {
  struct stat there{}, ours{};
  return ::stat(path.c_str(), &there) == 0 && ::fstat(STDOUT_FILENO, &ours) == 0 &&
         there.st_dev == ours.st_dev && there.st_ino == ours.st_ino;
}

Result<OutputFile> OutputFile::open(const std::string& path, Existing existing, Random& random) {
  OutputFile file(path, existing);
  struct stat there{};
  if (::stat(path.c_str(), &there) != 0) {
    if (errno != ENOENT) return sys_error(errno, quote(path));
    if (::lstat(path.c_str(), &there) == 0)
      return Error{Errc::conflict, quote(path) + " is a link to nothing: remove it first"};
    TRY(file.begin_file(path, random));
    return file;
  }
  if (S_ISDIR(there.st_mode))
    return Error{Errc::invalid, quote(path) + " is a folder: name a file in it"};
  if (!S_ISREG(there.st_mode)) {
    file.through_ = TRY(sys::open_at(sys::kCwd, path, O_WRONLY | O_NOCTTY).context(quote(path)));
    return file;
  }
  if (existing == Existing::refuse) return is_there(path);
  std::error_code error;
  const auto target = std::filesystem::canonical(path, error);
  if (error) return sys_error(error.value(), quote(path));
  TRY(file.begin_file(target.string(), random));
  return file;
}

Result<> OutputFile::begin_file(const std::string& target, Random& random) {
  const std::filesystem::path whole(target);
  const std::string folder = whole.has_parent_path() ? whole.parent_path().string() : ".";
  std::string name = whole.filename().string();
  if (name.empty()) return Error{Errc::invalid, quote(path_) + " is no file's name"};
  auto parent = sys::open_at(sys::kCwd, folder, O_RDONLY | O_DIRECTORY);
  if (!parent && parent.error().code == Errc::not_found) return no_folder(path_, folder);
  file_.emplace(TRY(NewFile::make(TRY(std::move(parent).context(quote(path_))), std::move(name),
                                  quote(path_), random)));
  return ok();
}

Result<> OutputFile::write(std::string_view bytes) {
  if (file_) return file_->write(bytes);
  auto written = sys::write_all(through_.get(), bytes);
  if (!written && written.error().sys == EPIPE)
    return Error{Errc::unavailable, quote(path_) + ": its reader has gone before the end"};
  return std::move(written).context(quote(path_));
}

Result<> OutputFile::commit(unsigned mode) {
  through_.reset();
  if (!file_) return ok();
  auto done = file_->commit(mode, existing_);  // one that was made meanwhile stays
  if (!done && done.error().code == Errc::conflict) return is_there(path_);
  return done;
}

}  // namespace tare::cli
