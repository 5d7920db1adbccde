#include "cli/new_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/core.h>

#include "sys/entries.h"
#include "sys/files.h"

namespace tare::cli {

std::string temporary_name(Random& random) {
  return fmt::format(".tare-{:016x}", random.next_u64());
}

Result<NewFile> NewFile::make(sys::UniqueFd parent, std::string name, std::string shown,
                              Random& random) {
  NewFile file(std::move(parent), std::move(name), std::move(shown));
  const std::string temporary = temporary_name(random);
  file.fd_ = TRY(
      sys::open_at(file.parent_.get(), temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600)
          .context(file.shown_));
  file.temporary_ = temporary;
  return file;
}

NewFile::~NewFile() {
  // Nothing better can be done about a failure here than to leave the temporary file.
  if (parent_.valid() && !temporary_.empty())
    static_cast<void>(sys::remove_at(parent_.get(), temporary_));
}

Result<> NewFile::write(std::string_view bytes) {
  constexpr std::size_t kLeastHole = 4096;
  const bool zeros = bytes.size() >= kLeastHole &&
                     bytes.find_first_not_of('\0') == std::string_view::npos;
  if (!zeros) return sys::write_all(fd_.get(), bytes).context(shown_);
  if (::lseek(fd_.get(), static_cast<off_t>(bytes.size()), SEEK_CUR) < 0)
    return sys_error(errno, "lseek").context(shown_);
  return ok();
}

Result<> NewFile::commit(unsigned mode, Existing existing) {
  TRY(sys::chmod_fd(fd_.get(), (mode & kPermissionBits) | 0600).context(shown_));
  // The length of one that ends with a hole.
  const off_t end = ::lseek(fd_.get(), 0, SEEK_CUR);
  if (end < 0 || ::ftruncate(fd_.get(), end) != 0)
    return sys_error(errno, "ftruncate").context(shown_);
  fd_.reset();
  struct stat there{};
  if (existing == Existing::refuse &&
      ::fstatat(parent_.get(), name_.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0)
    return Error{Errc::conflict, shown_ + " exists"};
  TRY(sys::rename_at(parent_.get(), temporary_, parent_.get(), name_).context(shown_));
  temporary_.clear();
  return ok();
}

}  // namespace tare::cli
