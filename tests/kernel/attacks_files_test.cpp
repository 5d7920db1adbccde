// The attacks of ATTACKS.md part S on files, mounts, descriptors and images; the number is theirs.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <map>

#include "attacks.h"
#include "base/hash.h"
#include "layers.h"
#include "support/leaks.h"
#include "sys/files.h"

namespace tare::testing {
namespace {

namespace fs = std::filesystem;
using model::EndReason;
using ::testing::HasSubstr;
using ::testing::Not;

std::string digest_of(const std::string& program) {
  return to_hex(sha256(
      sys::read_file_at(sys::kCwd, std::string(TARE_BIN_DIR) + "/" + program, std::size_t{1} << 30)
          .value_or("")));
}

TEST(Attack, S1_our_own_programs_cannot_be_overwritten_through_proc_self_exe) {
  const std::string launcher_before = digest_of("tare-launcher");
  const std::string init_before = digest_of("tare-init");
  TestLauncher launcher;
  for (const As as : {kAgent, kRoot}) {
    model::SandboxSpec spec = host_spec({"/proc/self/exe"});  // it becomes tare-init once more
    spec.uid = spec.gid = as.uid;
    const RunResult itself = launcher.run(spec);
    EXPECT_EQ(itself.ended.outcome.reason, EndReason::exited) << itself.ended.outcome.message;
    EXPECT_EQ(itself.ended.outcome.exit_code, 1);  // nobody has given it an order
    EXPECT_EQ(itself.out + itself.err, "");
    spec = shell_spec(
        "printf '#!/proc/self/exe\\n' > /tmp/a; chmod 755 /tmp/a; "
        "for i in 1 2 3; do (echo x > /proc/1/exe) 2>&1; (echo x > /proc/self/exe) 2>&1; done; "
        "/tmp/a; exec /tmp/a");
    spec.uid = spec.gid = as.uid;
    const RunResult tried = launcher.run(spec);
    std::string refusals;
    for (int i = 0; i < 3; ++i) {
      refusals +=
          "/bin/sh: 1: cannot create /proc/1/exe: Directory nonexistent\n"
          "/bin/sh: 1: cannot create /proc/self/exe: Read-only file system\n";
    }
    EXPECT_EQ(tried.out, refusals);
    EXPECT_EQ(tried.err, "");
    EXPECT_EQ(tried.ended.outcome.exit_code, 0);  // to its interpreter, a shell, it is a comment
    // As a program it is tare-init's child that executes it: its interpreter is tare-init.
    spec = shell_spec(std::string());
    spec.argv = {"/input/a"};
    spec.with_input = true;
    const fs::path input = fs::path(launcher.home()) / "runs" / spec.id / "input";
    fs::create_directories(input);
    std::ofstream(input / "a") << "#!/proc/self/exe\n";
    ::chmod((input / "a").c_str(), 0755);
    spec.uid = spec.gid = as.uid;
    const RunResult interpreted = launcher.run(spec);
    EXPECT_EQ(interpreted.ended.outcome.reason, EndReason::exited)
        << interpreted.ended.outcome.message;
    EXPECT_EQ(interpreted.ended.outcome.exit_code, 1);
    EXPECT_EQ(interpreted.out + interpreted.err, "");
  }
  EXPECT_EQ(launcher.run(shell_spec("echo fine")).out, "fine\n");
  EXPECT_EQ(digest_of("tare-launcher"), launcher_before);
  EXPECT_EQ(digest_of("tare-init"), init_before);
}

TEST(Attack, S2_no_descriptor_or_folder_leads_out) {
  expect_refused("descriptors", {kAgent, kRoot, kStrict}, {"EXDEV"});
}

// CVE-2024-21626: a working folder that is named by a descriptor of the one who starts it. Those
// that there are then are no folders; the others are not there.
TEST(Attack, S2_a_working_folder_by_descriptor_is_refused_or_inside) {
  TestLauncher launcher;
  constexpr int kOpen = 5;  // stdio, the channel to tare-init, the plan
  std::map<std::string, std::string> refused = {{"/proc/1/cwd", "No such file or directory"},
                                                {"/proc/1/root", "No such file or directory"}};
  for (int fd = 0; fd < 12; ++fd) {
    const std::string name = "/proc/self/fd/" + std::to_string(fd);
    refused[name] = fd < kOpen ? "Not a directory" : "No such file or directory";
    refused[name + "/../../../../.."] = refused[name];
  }
  const auto run_in = [&launcher](const std::string& folder) {
    model::SandboxSpec spec = shell_spec("stat -c %d:%i / ../../../../../../../.. && pwd");
    spec.cwd = folder;
    RunResult result = launcher.run(spec);
    return std::pair(failed_step_of(spec, result), std::move(result));
  };
  for (const auto& [folder, why] : refused) {
    const auto [step, result] = run_in(folder);
    EXPECT_EQ(result.ended.outcome.reason, EndReason::setup_failed) << folder;
    EXPECT_EQ(result.ended.outcome.message, why) << folder;
    EXPECT_THAT(step, HasSubstr(folder));
    EXPECT_EQ(result.out, "");
  }
  struct stat host = {};
  ASSERT_EQ(::stat("/", &host), 0);
  for (const std::string folder : {"/proc/self/cwd", "/proc/self/root", "/proc/self/root/../.."}) {
    const auto [step, result] = run_in(folder);
    EXPECT_EQ(result.ended.outcome.reason, EndReason::exited) << folder << " " << step;
    const std::size_t line = result.out.find('\n');
    ASSERT_NE(line, std::string::npos) << result.out << result.err;
    const std::string root = result.out.substr(0, line + 1);
    EXPECT_EQ(result.out, root + root + "/\n") << folder;
    EXPECT_NE(root, std::to_string(host.st_dev) + ":" + std::to_string(host.st_ino) + "\n");
  }
}

TEST(Attack, S6_S7_S12_no_mount_can_be_changed_and_no_mask_replaced) {
  expect_refused("mounts", {kAgent, kRoot, kStrict},
                 {"EISDIR", "EXDEV", "ENOTDIR", "EBUSY", "EEXIST"});
}

TEST(Attack, S8_nothing_in_proc_can_be_written_but_by_a_process_about_itself) {
  expect_refused("proc", {kAgent, kRoot});
}

TEST(Attack, S14_S19_S20_nothing_tells_of_the_host_and_no_cgroup_is_in_reach) {
  expect_refused("secrets", {kAgent, kRoot, kStrict});
}

// --- Images (S9 to S13): a hostile one, with links where the platform has folders

class HostileImage {
 public:
  HostileImage(const TestLauncher& launcher, std::string digest)
      : digest_(std::move(digest)),
        root_(fs::path(launcher.home()) / "store/layers" / digest_ / "root") {
    fs::create_directories(root_ / "bin");
    fs::copy_file(std::string(TARE_BIN_DIR) + "/tare-attack", root_ / "bin/attack");
    ::chmod((root_ / "bin/attack").c_str(), 0755);
  }
  void link(const std::string& name, const std::string& target) {
    fs::create_directories((root_ / name).parent_path());
    fs::create_symlink(target, root_ / name);
  }
  void file(const std::string& name) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << "a file\n";
  }
  // Root's, with every bit and capability that could lift who executes it.
  void set_id(const std::string& name) {
    const fs::path path = root_ / name;
    fs::copy_file(root_ / "bin/attack", path);
    ASSERT_EQ(::chown(path.c_str(), 0, 0), 0);
    ASSERT_EQ(::chmod(path.c_str(), 06755), 0);
    const std::array<char, 20> all = {1, 0, 0, 2, '\377', '\377', '\377', '\377'};
    ASSERT_EQ(::setxattr(path.c_str(), "security.capability", all.data(), all.size(), 0), 0);
  }
  // Every name with its type and size: a run changes none of them.
  std::map<std::string, std::uintmax_t> entries() const {
    std::map<std::string, std::uintmax_t> found;
    for (const auto& entry : fs::recursive_directory_iterator(root_))
      found[entry.path()] = entry.is_symlink() || entry.is_directory() ? 0 : entry.file_size();
    return found;
  }
  model::SandboxSpec spec(const std::string& group, As as) const {
    model::SandboxSpec spec = host_spec({"/bin/attack", group});
    spec.host_root = false;
    spec.layers = {"sha256:" + digest_};
    spec.cwd = "/";
    spec.uid = spec.gid = as.uid;
    return spec;
  }

 private:
  std::string digest_;
  fs::path root_;
};

void expect_harmless(const std::map<std::string, std::string>& links) {
  TestLauncher launcher;
  HostileImage image(launcher, std::string(64, 'a'));
  for (const auto& [name, target] : links) image.link(name, target);
  const auto before = image.entries();
  const auto core_pattern = [] {
    return sys::read_file_at(sys::kCwd, "/proc/sys/kernel/core_pattern").value();
  };
  const std::string hosts_pattern = core_pattern();
  for (const As as : {kAgent, kRoot}) {
    for (const char* group : {"descriptors", "secrets", "proc"}) {
      const RunResult result = launcher.run(image.spec(group, as));
      EXPECT_EQ(result.ended.outcome.reason, EndReason::exited) << result.ended.outcome.message;
      EXPECT_THAT(result.out, HasSubstr("tried ")) << group;
      EXPECT_EQ(result.out.find(": DONE"), std::string::npos) << result.out;
    }
  }
  EXPECT_EQ(image.entries(), before);
  EXPECT_FALSE(fs::exists("/tmp/tare-attack-made"));
  EXPECT_EQ(core_pattern(), hosts_pattern);
  EXPECT_EQ(launcher.run(shell_spec("echo fine")).out, "fine\n");
}

TEST(Attack, S9_S10_S13_an_image_whose_platform_folders_are_links_changes_nothing) {
  for (const std::string up : {"/", "../../../../../../../"}) {
    expect_harmless({{"dev", up + "tmp"},
                     {"proc", up + "etc"},
                     {"sys", up + "usr"},
                     {"tmp", up + "dev"},
                     {"input", up + "proc/self/fd"},
                     {"output", up + "proc/1/root"}});
  }
}

TEST(Attack, S11_S12_an_image_whose_files_are_links_makes_us_write_nowhere_else) {
  for (const std::string up : {"/", "../../../../../../../"}) {
    expect_harmless({{"etc/hostname", up + "tmp/tare-attack-made"},
                     {"etc/hosts", up + "proc/sys/kernel/core_pattern"},
                     {"etc/passwd", up + "tmp/tare-attack-made"},
                     {"etc/group", up + "proc/sysrq-trigger"},
                     {"home", up + "tmp"},
                     {"etc/localtime", up + "dev/console"}});
    expect_harmless({{"etc", up + "tmp"}, {"home/agent", up + "proc/self/root"}});
  }
}

// What it says of itself in exits: S5_S27_S28 has a copy that belongs to who executes it.
TEST(Attack, S28_a_set_id_file_of_roots_in_an_image_lifts_nobody) {
  TestLauncher launcher;
  HostileImage image(launcher, std::string(64, 'a'));
  image.set_id("bin/set-id");
  for (const As as : {kAgent, kRoot, kStrict}) {
    model::SandboxSpec spec = image.spec("set_id", as);
    const RunResult tried = launcher.run(spec);
    EXPECT_EQ(tried.out, "/bin/set-id gains something: EPERM\ntried 1\n") << as.name;
    spec.id = fresh_run_id();
    spec.argv = {"/bin/set-id", "ids-of"};
    const RunResult itself = launcher.run(spec);
    EXPECT_EQ(itself.ended.outcome.reason, EndReason::exited) << itself.ended.outcome.message;
    EXPECT_EQ(itself.ended.outcome.exit_code, 0) << as.name;
  }
}

// An image that has something in the runner's way: it is mounted all the same, on folders of ours,
// and where the links lead nothing is changed.
TEST(Attack, an_image_with_links_or_files_in_the_runners_way_changes_nothing) {
  for (const std::string name : {"opt", "opt/tare", "opt/tare/runner"}) {
    for (const std::string target : {"/tmp", "../../../../../../../etc", "/proc/1/root", ""}) {
      SCOPED_TRACE(name + " -> " + (target.empty() ? "a file" : target));
      TestLauncher launcher;
      HostileImage image(launcher, std::string(64, 'a'));
      if (target.empty()) {
        image.file(name);
      } else {
        image.link(name, target);
      }
      const std::string runner = make_runner(launcher, 'b');
      const auto before = image.entries();
      for (const As as : {kAgent, kRoot}) {
        for (const char* group : {"mounts", "runner"}) {
          model::SandboxSpec spec = image.spec(group, as);
          spec.runner = runner;
          spec.argv[0] = "/opt/tare/runner/attack";
          const RunResult result = launcher.run(spec);
          EXPECT_EQ(result.ended.outcome.reason, EndReason::exited)
              << result.ended.outcome.message << " at " << failed_step_of(spec, result);
          EXPECT_THAT(result.out, HasSubstr("tried ")) << group;
          EXPECT_THAT(result.out, Not(HasSubstr(": DONE"))) << group;
        }
      }
      EXPECT_EQ(image.entries(), before);
      EXPECT_EQ(launcher.run(shell_spec("echo fine")).out, "fine\n");
    }
  }
}

TEST(Attack, S15_taking_a_sandbox_down_follows_no_link) {
  TestLauncher launcher;
  const fs::path kept = fs::path(launcher.home()) / "kept";
  fs::create_directories(kept / "folder");
  std::ofstream(kept / "file") << "kept";
  const std::string path = kept.string();
  model::SandboxSpec spec = shell_spec("for d in /tmp /output /home/agent /dev/shm; do ln -s " +
                                       path + " $d/link; ln -s / $d/root; ln -s " + path +
                                       "/file $d/file; mkdir -p $d/a/b; ln -s " + path +
                                       " $d/a/b/c; done; echo made");
  for (const bool image : {false, true}) {
    spec.id = fresh_run_id();
    spec.limits.disk_bytes = image ? spec.limits.memory_bytes : std::uint64_t{8} << 20;
    EXPECT_EQ(launcher.run(spec).out, "made\n");
  }
  launcher.kill();
  for (int i = 0; i < 500 && !processes_of(launcher.home()).empty(); ++i) ::usleep(10'000);
  launcher.restart();  // and the sweep of what was left
  EXPECT_TRUE(fs::exists(kept / "folder"));
  EXPECT_EQ(sys::read_file_at(sys::kCwd, path + "/file").value_or(""), "kept");
}

}  // namespace
}  // namespace tare::testing
