// tare-files: works on files of a live sandbox from inside it. tared has it started as an exec,
// from a sealed memfd, with the ids, the filter and the limits of the sandbox's own programs: so
// every path, link and mount means what it means to them, and nothing they can put there leads
// anywhere that they could not go themselves. Static, one thread; it can be killed at any time.
//
// See protocol.h for what it is told and says. Exit status: 0 when the answer says so, 1 when it
// has an error, 64 for arguments that tared does not send.
#include <sys/prctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "sandbox/files/out.h"

namespace tare::sandbox::files {

namespace {

constexpr int kUsage = 64;

bool number(const char* text, int base, std::uint64_t& value) {
  char* end = nullptr;
  errno = 0;
  value = std::strtoull(text, &end, base);
  return errno == 0 && end != text && *end == '\0' && *text != '-' && *text != '+';
}

int run(int argc, char** argv) {
  const auto is = [&](const char* verb, int arguments) {
    return argc == 2 + arguments && std::strcmp(argv[1], verb) == 0;
  };
  std::uint64_t first = 0, second = UINT64_MAX;
  if (is("read", 3)) {
    const bool to_end = std::strcmp(argv[4], "-") == 0;
    if (!number(argv[3], 10, first) || (!to_end && !number(argv[4], 10, second))) return kUsage;
    return read_file(argv[2], first, second);
  }
  if (is("write", 2)) {
    return number(argv[3], 8, first) ? write_file(argv[2], static_cast<unsigned>(first)) : kUsage;
  }
  if (is("list", 2)) return number(argv[3], 10, first) ? list_folder(argv[2], first) : kUsage;
  if (is("stat", 1)) return stat_path(argv[2]);
  if (is("move", 3)) return move_path(argv[2], argv[3], argv[4][0] == '1');
  if (is("remove", 2)) return remove_path(argv[2], argv[3][0] == '1');
  if (is("mkdir", 3)) {
    if (!number(argv[3], 8, first)) return kUsage;
    return make_folder(argv[2], static_cast<unsigned>(first), argv[4][0] == '1');
  }
  if (is("watch", 1)) return watch_path(argv[2]);
  return kUsage;
}

}  // namespace

}  // namespace tare::sandbox::files

int main(int argc, char** argv) {
  ::prctl(PR_SET_NAME, "tare-files", 0, 0, 0);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  ::umask(0);  // modes are as they were asked for
  const int status = tare::sandbox::files::run(argc, argv);
  tare::sandbox::files::flush();
  return status;
}
