// Facts about the kernel that nothing of ours shows by itself, each tried without Tare
// (docs/kernel_facts.md).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/landlock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <vector>

#include "sys/fork.h"
#include "sys/landlock.h"
#include "sys/seqpacket.h"

namespace tare::testing {
namespace {

namespace fs = std::filesystem;

// 0, or errno of a message with so many descriptors.
int sends(std::size_t descriptors) {
  const auto pair = sys::seqpacket_pair();
  const std::vector<int> fds(descriptors, STDERR_FILENO);
  char byte = 'x';
  iovec part = {&byte, 1};
  std::vector<char> control(CMSG_SPACE(sizeof(int) * descriptors));
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  cmsghdr* const rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int) * descriptors);
  std::memcpy(CMSG_DATA(rights), fds.data(), sizeof(int) * descriptors);
  return ::sendmsg(pair.value().first.get(), &header, MSG_NOSIGNAL) == 1 ? 0 : errno;
}

TEST(KernelFacts, a_message_takes_253_descriptors_and_not_one_more) {
  EXPECT_EQ(sends(253), 0);
  EXPECT_EQ(sends(254), EINVAL);
  EXPECT_LE(sys::kMaxMessageFds, 253U);
}

// The exit status of a process that did this: nothing it does to itself stays.
int status_of(const std::function<int()>& act) {
  auto child = sys::fork_child();
  if (!child) return -1;
  if (!child->valid()) ::_exit(act());
  const auto status = child->wait(nullptr);
  return status && !status->signalled ? status->code : -1;
}

// May write nowhere from now on.
bool confine_itself() {
  const std::uint64_t rights = sys::landlock_write_rights(sys::landlock_abi());
  const long ruleset = ::syscall(SYS_landlock_create_ruleset, &rights, sizeof rights, 0);
  return ruleset >= 0 && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
}

class LandlockFacts : public ::testing::Test {
 protected:
  void SetUp() override {
    if (sys::landlock_abi() < 2) GTEST_SKIP() << "this kernel has no Landlock (ABI 2)";
    std::string path = "/tmp/tare-facts-XXXXXX";
    ASSERT_NE(::mkdtemp(path.data()), nullptr);
    folder_ = path;
    file_ = path + "/file";
    std::ofstream(file_) << "x";
  }
  void TearDown() override {
    if (!folder_.empty()) fs::remove_all(folder_);
  }
  std::string folder_, file_;
};

TEST_F(LandlockFacts, nobody_who_is_confined_can_mount_not_even_root) {
  const auto mounts = [&] {
    return ::mount("tmpfs", folder_.c_str(), "tmpfs", 0, nullptr) == 0 ? 0 : errno;
  };
  EXPECT_EQ(status_of([&] { return ::unshare(CLONE_NEWNS) != 0 ? -1 : mounts(); }), 0);
  EXPECT_EQ(
      status_of([&] { return ::unshare(CLONE_NEWNS) != 0 || !confine_itself() ? -1 : mounts(); }),
      EPERM);
}

// So permissions and read-only mounts stand before it.
TEST_F(LandlockFacts, what_is_open_and_what_a_file_is_like_are_not_held) {
  const sys::UniqueFd open(::open(file_.c_str(), O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(status_of([&] {
              if (!confine_itself()) return 1;
              if (::open(file_.c_str(), O_WRONLY) >= 0 || errno != EACCES) return 2;
              if (::write(open.get(), "y", 1) != 1) return 3;
              if (::chmod(file_.c_str(), 0700) != 0) return 4;
              return ::chown(file_.c_str(), 1, 1) == 0 ? 0 : 5;
            }),
            0);
}

}  // namespace
}  // namespace tare::testing
