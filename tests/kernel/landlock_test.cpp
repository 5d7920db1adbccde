// Landlock around a program, on the real kernel: what permissions would allow is refused outside
// the program's own folders, and what people expect inside them works. On a kernel without it there
// are no such steps, and permissions alone hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "sandbox/plan/compile.h"
#include "support/launcher.h"
#include "sys/landlock.h"

namespace tare::testing {
namespace {

using model::EndReason;
using ::testing::HasSubstr;

bool has_landlock() { return sys::landlock_abi() >= 2; }

enum class Wall { up, none };

// As an image with loose permissions: /srv/open is everybody's.
RunResult run_in_a_loose_image(TestLauncher& launcher, const model::SandboxSpec& spec,
                               Wall wall = Wall::up) {
  sandbox::Plans plans = plans_of(spec);
  if (wall == Wall::none) {  // as it is compiled on a kernel without Landlock
    std::erase_if(plans.base, [](const auto& step) {
      return step.op >= sandbox::Op::confine && step.op <= sandbox::Op::confined;
    });
  }
  const auto bound = std::find_if(plans.base.begin(), plans.base.end(),
                                  [](const auto& step) { return step.op == sandbox::Op::bound; });
  const auto at = plans.base.insert(bound, {sandbox::Op::make_dir, "/srv", "", 0755, 0});
  plans.base.insert(at + 1, {sandbox::Op::make_dir, "/srv/open", "", 0777, 0});
  return launcher.finish(launcher.launch(spec, plans));
}

TEST(Landlock, an_agent_writes_nowhere_else_whatever_an_images_permissions_say) {
  TestLauncher launcher;
  const std::string script =
      "touch /tmp/mine; cd /srv/open\n"
      "for try in 'touch x' 'mkdir x' 'ln -s /tmp x' 'mkfifo x' 'cp /tmp/mine x' 'mv /tmp/mine x'; "
      "do $try 2>/dev/null && echo \"$try\"; done; ls -A /srv/open; echo end";
  const RunResult agent = run_in_a_loose_image(launcher, shell_spec(script));
  EXPECT_EQ(agent.ended.outcome.reason, EndReason::exited) << agent.ended.outcome.message;
  if (has_landlock()) {
    EXPECT_EQ(agent.out, "end\n") << agent.err;
  }
  // Nothing else would have refused it: where the kernel has no Landlock, permissions hold alone.
  const RunResult loose = run_in_a_loose_image(launcher, shell_spec(script), Wall::none);
  EXPECT_EQ(loose.out, "touch x\ncp /tmp/mine x\nmv /tmp/mine x\nx\nend\n") << loose.err;
  model::SandboxSpec root = shell_spec("touch /srv/open/x /etc/x && echo done");
  root.uid = root.gid = 0;
  EXPECT_EQ(run_in_a_loose_image(launcher, root).out, "done\n");  // its own copy of everything
}

TEST(Landlock, what_people_do_in_their_own_folders_works) {
  TestLauncher launcher;
  const RunResult result = launcher.run(host_spec(
      {"python3", "-c",
       "import os, pty, socket, stat, sys, tempfile, fcntl, termios, multiprocessing\n"
       "def check(what, good):\n"
       "  if not good: print('no', what)\n"
       "for folder in ['/home/agent', '/output', '/tmp', '/var/tmp', '/dev/shm']:\n"
       "  os.makedirs(folder + '/a/b'); open(folder + '/a/b/f', 'w').write('x' * 100)\n"
       "  os.truncate(folder + '/a/b/f', 5)\n"
       "  os.rename(folder + '/a/b/f', folder + '/a/f'); os.link(folder + '/a/f', folder + '/g')\n"
       "  os.symlink('g', folder + '/s'); os.mkfifo(folder + '/p'); os.chmod(folder + '/g', "
       "0o700)\n"
       "  socket.socket(socket.AF_UNIX).bind(folder + '/socket')\n"
       "  open(folder + '/run', 'w').write('#!/bin/sh\\nexit 7\\n'); os.chmod(folder + '/run', "
       "0o755)\n"
       "  check(folder, os.waitstatus_to_exitcode(os.system(folder + '/run')) == 7)\n"
       "os.rename('/tmp/a', '/home/agent/moved'); os.rename('/home/agent/moved', "
       "'/var/tmp/moved')\n"
       "open('/proc/self/comm', 'w').write('renamed'); open('/dev/null', 'w').write('x')\n"
       "open('/dev/full', 'wb')\n"
       "main, side = pty.openpty(); fcntl.ioctl(side, termios.TIOCGWINSZ, b'\\0' * 8)\n"
       "check('tty', os.isatty(os.open(os.ttyname(side), os.O_RDWR)))\n"
       "lock = multiprocessing.Lock(); lock.acquire()\n"
       "memory = os.memfd_create('m'); os.write(memory, b'x')\n"
       "check('memfd', open(f'/proc/self/fd/{memory}', 'r+').read() == 'x')\n"
       "print('done')"}));
  EXPECT_EQ(result.out, "done\n") << result.err;
  EXPECT_TRUE(result.denied.empty());
}

TEST(Landlock, a_program_can_put_more_around_its_children) {
  if (!has_landlock()) GTEST_SKIP() << "this kernel has no Landlock";
  TestLauncher launcher;
  // landlock_create_ruleset for EXECUTE, restrict_self: then nothing can be executed.
  const RunResult result = launcher.run(
      host_spec({"python3", "-c",
                 "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
                 "rights = ctypes.c_uint64(1)\n"
                 "ruleset = libc.syscall(444, ctypes.byref(rights), ctypes.c_size_t(8), 0)\n"
                 "print(libc.syscall(446, ruleset, 0))\n"
                 "try: os.execv('/bin/true', ['true'])\nexcept PermissionError: print('held')"}));
  EXPECT_EQ(result.out, "0\nheld\n") << result.err;
}

}  // namespace
}  // namespace tare::testing
