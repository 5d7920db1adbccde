// The walls of the process that parses archives, tried by one that an archive has taken over.
#include "snapshot/unpacker.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>

#include "snapshot/privileges.h"
#include "snapshot/test_support.h"
#include "sys/capabilities.h"
#include "sys/fork.h"
#include "sys/landlock.h"

namespace tare::snapshot {
namespace {

using test::TempDir;

constexpr std::uint64_t kLongestFile = 1000;
constexpr int kNotConfined = 125;

class UnpackerWalls : public ::testing::Test {
 protected:
  void SetUp() override {
    TARE_NEEDS_ROOT();
    outside_.write("file", "kept");
    folder_ = outside_.folder("folder");
  }
  // The exit status of a confined process that did this.
  int confined(const std::function<int()>& act) {
    auto child = sys::fork_child();
    if (!child) return -1;
    if (!child->valid()) {
      const int kept[] = {STDERR_FILENO, folder_.get()};
      ::_exit(confine(folder_.get(), kLongestFile, kept) ? act() : kNotConfined);
    }
    const auto status = child->wait(nullptr);
    return status && !status->signalled ? status->code : -1;
  }
  std::string at(const std::string& name) const { return outside_.path() + "/" + name; }

  TempDir outside_;
  sys::UniqueFd folder_;
};

int error_of(long result) { return result < 0 ? errno : 0; }

// Of Landlock's two, EXDEV is for what goes from one folder to another.
int refused(long result) {
  const int error = error_of(result);
  return error == EXDEV ? EACCES : error;
}

int created(int dir, const std::string& path) {
  return error_of(::openat(dir, path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

TEST_F(UnpackerWalls, it_writes_below_its_folder_and_nowhere_else) {
  EXPECT_EQ(confined([&] { return created(folder_.get(), "new"); }), 0);
  if (sys::landlock_abi() < 2) GTEST_SKIP() << "this kernel has no Landlock (ABI 2)";
  const int folder = folder_.get();
  const std::function<int()> attempts[] = {
      [&] { return created(AT_FDCWD, at("new")); },
      [&] { return created(folder, "../new"); },
      [&] { return error_of(::open(at("file").c_str(), O_WRONLY | O_CLOEXEC)); },
      [&] { return error_of(::unlink(at("file").c_str())); },
      [&] { return error_of(::mkdir(at("made").c_str(), 0700)); },
      [&] { return error_of(::symlink("/", at("link").c_str())); },
      [&] { return refused(::renameat(AT_FDCWD, at("file").c_str(), folder, "file")); },
  };
  for (std::size_t i = 0; i < std::size(attempts); ++i)
    EXPECT_EQ(confined(attempts[i]), EACCES) << "attempt " << i;
  EXPECT_EQ(outside_.read("file"), "kept");
  EXPECT_FALSE(outside_.has("new"));
}

TEST_F(UnpackerWalls, of_its_descriptors_it_has_those_that_were_named) {
  const sys::UniqueFd file = sys::open_at(sys::kCwd, at("file"), O_RDONLY).value();
  const sys::UniqueFd root = sys::open_at(sys::kCwd, "/", O_RDONLY | O_DIRECTORY).value();
  for (const int fd : {file.get(), root.get(), STDIN_FILENO, STDOUT_FILENO})
    EXPECT_EQ(confined([fd] { return error_of(::fcntl(fd, F_GETFD)); }), EBADF) << fd;
  for (const int fd : {folder_.get(), STDERR_FILENO})
    EXPECT_EQ(confined([fd] { return error_of(::fcntl(fd, F_GETFD)); }), 0) << fd;
}

TEST_F(UnpackerWalls, it_has_the_stores_capabilities_and_can_gain_none) {
  EXPECT_EQ(
      confined([] {
        const std::string status = sys::read_file_at(sys::kCwd, "/proc/self/status").value_or("");
        const auto sets = sys::parse_capability_status(status);
        return sets && *sets == kStorePrivileges ? 0 : 1;
      }),
      0);
  for (const int capability : {CAP_SYS_ADMIN, CAP_SYS_CHROOT, CAP_MKNOD, CAP_SETUID}) {
    EXPECT_EQ(confined([capability] {
                __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
                std::array<__user_cap_data_struct, 2> sets = {};
                sets[0].effective = sets[0].permitted = 1U << capability;
                return error_of(::syscall(SYS_capset, &header, sets.data()));
              }),
              EPERM)
        << capability;
  }
  EXPECT_EQ(confined([] { return error_of(::chroot("/")); }), EPERM);
  EXPECT_EQ(confined([] { return error_of(::setuid(65534)); }), EPERM);
}

TEST_F(UnpackerWalls, it_stands_under_limits) {
  const auto limit = [](int resource) {
    rlimit found = {};
    ::getrlimit(static_cast<__rlimit_resource_t>(resource), &found);
    return found.rlim_cur == found.rlim_max ? found.rlim_max : RLIM_INFINITY;
  };
  EXPECT_EQ(confined([&] {
              const bool low = limit(RLIMIT_CORE) == 0 && limit(RLIMIT_NOFILE) == 256 &&
                               limit(RLIMIT_CPU) == 1200 && limit(RLIMIT_FSIZE) == kLongestFile;
              return low ? 0 : 1;
            }),
            0);
  EXPECT_EQ(confined([&] {
              const int fd = ::openat(folder_.get(), "long", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
              return error_of(::pwrite(fd, "x", 1, kLongestFile));
            }),
            EFBIG);
}

}  // namespace
}  // namespace tare::snapshot
