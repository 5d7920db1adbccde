// tare-files on trees that are made to mislead it: what it says, what it leaves, and that it ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "file_operations.h"
#include "sys/files.h"

namespace tare::testing {
namespace {

using sandbox::FileHead;
using ::testing::HasSubstr;

struct FilesTest : ::testing::Test {
  TestLauncher launcher;
  TestSession session{launcher};
  Files files{session};
  ~FilesTest() override { session.kill(); }
};

TEST_F(FilesTest, a_file_is_written_read_in_parts_moved_and_removed) {
  EXPECT_EQ(files.run({"write", "/tmp/a", "640"}, pieces("0123456789")), 0U);
  EXPECT_EQ(session.sh("stat -c '%a %U' /tmp/a").out, "640 agent\n");
  EXPECT_EQ(files.run({"read", "/tmp/a", "0", "-"}), 0U);
  EXPECT_EQ(files.body, "0123456789");
  EXPECT_EQ(files.run({"read", "/tmp/a", "3", "4"}), 0U);
  EXPECT_EQ(files.body, "3456");
  EXPECT_EQ(files.run({"read", "/tmp/a", "11", "-"}), sandbox::kFileErrorOffset);
  EXPECT_EQ(files.run({"mkdir", "/tmp/x/y/z", "755", "1"}), 0U);
  EXPECT_EQ(files.run({"mkdir", "/tmp/x", "755", "0"}), static_cast<std::uint32_t>(EEXIST));
  EXPECT_EQ(files.run({"move", "/tmp/a", "/tmp/x/b", "0"}), 0U);
  EXPECT_EQ(files.run({"write", "/tmp/c", "644"}, pieces("c")), 0U);
  EXPECT_EQ(files.run({"move", "/tmp/c", "/tmp/x/b", "0"}), static_cast<std::uint32_t>(EEXIST));
  EXPECT_EQ(files.head.argument, 1U);
  EXPECT_EQ(files.run({"move", "/tmp/c", "/tmp/x/b", "1"}), 0U);
  EXPECT_EQ(files.run({"stat", "/tmp/x/b"}), 0U);
  ASSERT_EQ(files.entries().size(), 1U);
  EXPECT_EQ(files.entries()[0].entry.size, 1U);
  EXPECT_EQ(files.run({"remove", "/tmp/x", "0"}), static_cast<std::uint32_t>(ENOTEMPTY));
  EXPECT_EQ(files.run({"remove", "/tmp/x", "1"}), 0U);
  EXPECT_EQ(files.run({"stat", "/tmp/x"}), static_cast<std::uint32_t>(ENOENT));
}

TEST_F(FilesTest, a_write_that_is_given_up_leaves_the_file_as_it_was_and_no_trace) {
  EXPECT_EQ(files.run({"write", "/tmp/a", "644"}, pieces("old")), 0U);
  EXPECT_EQ(files.run({"write", "/tmp/a", "644"}, pieces("new", false)),
            static_cast<std::uint32_t>(ECANCELED));
  EXPECT_EQ(session.sh("ls -A /tmp; cat /tmp/a").out, "a\nold");
}

TEST_F(FilesTest, fifos_devices_folders_and_sockets_are_refused_at_once) {
  session.sh("mkfifo /tmp/fifo; ln -s /tmp/fifo /tmp/link");
  for (const char* path : {"/tmp/fifo", "/tmp/link", "/dev/zero", "/dev/null", "/dev/ptmx"}) {
    EXPECT_EQ(files.run({"read", path, "0", "-"}), sandbox::kFileErrorNotRegular) << path;
  }
  for (const char* path : {"/proc/self/fd/0", "/proc/self/fd/1"})  // pipes of another user
    EXPECT_EQ(files.run({"read", path, "0", "-"}), static_cast<std::uint32_t>(EACCES)) << path;
  EXPECT_EQ(files.run({"read", "/tmp", "0", "-"}), static_cast<std::uint32_t>(EISDIR));
  // Neither a FIFO nor a link is in the way of a write: it takes their place.
  session.sh("echo victim > /tmp/victim; ln -sf /tmp/victim /tmp/link");
  EXPECT_EQ(files.run({"write", "/tmp/fifo", "644"}, pieces("a")), 0U);
  EXPECT_EQ(files.run({"write", "/tmp/link", "644"}, pieces("b")), 0U);
  EXPECT_EQ(session.sh("cat /tmp/fifo /tmp/link /tmp/victim").out, "abvictim\n");
  EXPECT_EQ(files.run({"mkdir", "/tmp/folder", "755", "0"}), 0U);
  EXPECT_EQ(files.run({"write", "/tmp/folder", "644"}, pieces("c")),
            static_cast<std::uint32_t>(EISDIR));
}

// The sandbox's root and its processes are all that can be seen, whatever the way.
TEST_F(FilesTest, magic_links_lead_no_further_than_the_sandbox) {
  EXPECT_EQ(files.run({"read", "/proc/self/root/etc/hostname", "0", "-"}), 0U);
  EXPECT_EQ(files.body, "tare-test\n");
  EXPECT_EQ(files.run({"read", "/../../../../etc/hostname", "0", "-"}), 0U);
  EXPECT_EQ(files.body, "tare-test\n");
  for (const char* path : {"/proc/1/root/etc/shadow", "/proc/1/fd/3", "/proc/1/cwd", "/proc/1/mem",
                           "/proc/1/environ", "/proc/1/map_files", "/proc/self/mem"}) {
    EXPECT_NE(files.run({"read", path, "0", "-"}), 0U) << path;
  }
  EXPECT_NE(files.run({"list", "/proc/1/fd", "100"}), 0U);
  EXPECT_NE(files.run({"write", "/proc/1/comm", "644"}, pieces("x")), 0U);
  EXPECT_EQ(files.run({"read", "/proc/self/status", "0", "-"}), 0U);  // it says it is empty
  EXPECT_THAT(files.body, HasSubstr("Name:\ttare-files"));
  EXPECT_THAT(files.body, HasSubstr("CapEff:\t0000000000000000"));
  EXPECT_THAT(files.body, HasSubstr("Seccomp:\t2"));
}

TEST_F(FilesTest, a_sparse_terabyte_is_read_where_it_is_asked_for_and_no_further) {
  ASSERT_EQ(session
                .sh("truncate -s 1T /tmp/big && printf end | dd of=/tmp/big bs=1 "
                    "seek=1099511627773 conv=notrunc 2>/dev/null; stat -c %s /tmp/big")
                .out,
            "1099511627776\n");
  EXPECT_EQ(files.run({"read", "/tmp/big", "1099511627770", "-"}), 0U);
  EXPECT_EQ(files.body, std::string(3, '\0') + "end");
  EXPECT_EQ(files.run({"read", "/tmp/big", "5", "8388608"}), 0U);
  EXPECT_EQ(files.body.size(), 8388608U);
  EXPECT_EQ(files.body.find_first_not_of('\0'), std::string::npos);
  // All of it: as long as somebody reads, and not a byte longer.
  Operation all = files.start({"read", "/tmp/big", "0", "-"});
  std::array<char, 1 << 16> buffer;
  ASSERT_GT(::read(all.out.get(), buffer.data(), buffer.size()), 0);
  all.out.reset();
  EXPECT_NE(session.ended(all.number).outcome.reason, model::EndReason::setup_failed);
}

TEST_F(FilesTest, a_hundred_thousand_entries_are_listed_up_to_the_number_that_was_asked_for) {
  TestLauncher other;
  model::SandboxSpec spec = session_spec();
  spec.limits.disk_bytes = std::uint64_t{48} << 20;
  spec.limits.disk_inodes = 200'000;
  spec.limits.memory_bytes = std::uint64_t{1} << 30;
  TestSession large(other, spec);
  ASSERT_EQ(
      large.sh("mkdir /tmp/many && cd /tmp/many && seq 100000 | xargs touch").outcome.exit_code, 0);
  Files many(large);
  EXPECT_EQ(many.run({"list", "/tmp/many", "200000"}), 0U);
  EXPECT_EQ(many.entries().size(), 100'001U);
  EXPECT_EQ(many.entries().back().entry.size, 0U);
  EXPECT_EQ(many.run({"list", "/tmp/many", "1000"}), 0U);
  EXPECT_EQ(many.entries().size(), 1001U);
  EXPECT_EQ(many.entries().back().entry.size, 1U);  // there was more
  EXPECT_EQ(many.run({"remove", "/tmp/many", "1"}), 0U);
  large.kill();
}

TEST_F(FilesTest, names_may_hold_anything_but_a_slash) {
  session.sh(
      "mkdir /tmp/odd; cd /tmp/odd; touch -- \"$(printf 'a\\nb')\" \"$(printf '\\377\\376')\" "
      "' ' '-rf' '*'; ln -s \"$(printf 'x\\ny')\" link; mkfifo pipe");
  EXPECT_EQ(files.run({"list", "/tmp/odd", "100"}), 0U);
  std::vector<std::string> names;
  for (const Listed& one : files.entries()) {
    if (!one.name.empty()) names.push_back(one.name);
    if (one.name == "link") {
      EXPECT_EQ(one.target, "x\ny");
    } else if (one.name == "pipe") {
      EXPECT_EQ(one.entry.type, sandbox::FileType::fifo);
    }
  }
  EXPECT_THAT(names,
              ::testing::UnorderedElementsAre("a\nb", "\377\376", " ", "-rf", "*", "link", "pipe"));
  EXPECT_EQ(files.run({"remove", "/tmp/odd/\377\376", "0"}), 0U);
  EXPECT_EQ(files.run({"write", "/tmp/odd/a\nb", "644"}, pieces("x")), 0U);
  EXPECT_EQ(files.run({"stat", "/tmp/odd/" + std::string(300, 'n')}),
            static_cast<std::uint32_t>(ENAMETOOLONG));
}

// A folder that is a link to elsewhere in every other moment: nothing outside of it is removed.
TEST_F(FilesTest, a_race_of_links_never_leads_a_removal_astray) {
  ASSERT_EQ(session.sh("mkdir -p /home/agent/keep && echo precious > /home/agent/keep/file")
                .outcome.exit_code,
            0);
  ExecHandle racer = session.start(shell_exec(
      "cd /tmp; mkdir -p real; echo up; while :; do mkdir -p t/d/e 2>/dev/null; touch t/d/f "
      "2>/dev/null; mv t/d real/d 2>/dev/null; ln -s /home/agent/keep t/d 2>/dev/null; rm -f t/d "
      "2>/dev/null; rm -rf real/d; done"));
  char up[3];
  ASSERT_EQ(::read(racer.out.get(), up, 3), 3);
  for (int i = 0; i < 60; ++i) (void)files.run({"remove", "/tmp/t", "1"});
  session.signal(racer.number, SIGKILL);
  session.finish(std::move(racer));
  EXPECT_EQ(session.sh("cat /home/agent/keep/file").out, "precious\n");
}

TEST_F(FilesTest, a_tree_that_is_too_deep_is_refused_by_name_and_not_followed_for_ever) {
  ASSERT_EQ(session.sh("cd /tmp; for i in $(seq 300); do mkdir d && cd d || exit 1; done")
                .outcome.exit_code,
            0);
  EXPECT_EQ(files.run({"remove", "/tmp/d", "1"}), sandbox::kFileErrorTooDeep);
}

TEST_F(FilesTest, a_watch_tells_what_happens_and_ends_when_nobody_listens) {
  session.sh("mkdir /tmp/seen");
  Operation watch = files.start({"watch", "/tmp/seen"});
  FileHead head;
  ASSERT_EQ(::read(watch.out.get(), &head, sizeof head), static_cast<ssize_t>(sizeof head));
  ASSERT_EQ(head.error, 0U);
  session.sh("cd /tmp/seen; echo x > a; mv a b; rm b; rmdir /tmp/seen");
  const std::string told = read_to_end(watch.out.get());
  using W = sandbox::WatchKind;
  EXPECT_THAT(watched(told),
              ::testing::ElementsAre(W::created, W::modified, W::written, W::moved_from,
                                     W::moved_to, W::removed, W::gone));
  Operation idle = files.start({"watch", "/tmp"});
  ASSERT_EQ(::read(idle.out.get(), &head, sizeof head), static_cast<ssize_t>(sizeof head));
  idle.in.reset();
  EXPECT_EQ(session.ended(idle.number).outcome.exit_code, 0);
}

// tared is the only one that holds the other ends of its pipes: without it the work ends by itself.
TEST_F(FilesTest, a_tared_that_dies_takes_its_operations_with_it) {
  Operation write = files.start({"write", "/tmp/half", "644"});
  ASSERT_TRUE(sys::write_all(write.in.get(), pieces("half", false)));
  launcher.disconnect();
  write.in.reset();
  write.out.reset();
  launcher.connect();
  EXPECT_TRUE(session.list().empty());
  EXPECT_EQ(session.sh("until [ -z \"$(ls -A /tmp)\" ]; do sleep 0.02; done; echo gone").out,
            "gone\n");
}

}  // namespace
}  // namespace tare::testing
