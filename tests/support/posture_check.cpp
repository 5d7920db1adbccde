// tare-posture-check NAME [CHANGE...]: reads what `tare posture` printed on stdin, and says in what
// it differs from tests/golden/posture_NAME.txt, so changed, and posture_proc.txt (posture.h). Exit
// status 0: in nothing.
#include <unistd.h>

#include <cstdio>
#include <stdexcept>

#include "support/posture.h"
#include "sys/files.h"

int main(int count, char** words) {
  constexpr std::size_t kMost = std::size_t{16} << 20;
  if (count < 2) {
    std::fputs("usage: tare-posture-check NAME [CHANGE...] < LINES\n", stderr);
    return 64;
  }
  try {
    const auto said = tare::sys::read_all(STDIN_FILENO, kMost);
    if (!said) throw std::runtime_error(said.error().message);
    const std::string found = tare::testing::posture_differences(
        *said, {.name = words[1], .changes = {words + 2, words + count}});
    std::fputs(found.c_str(), stdout);
    return found.empty() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tare-posture-check: %s\n", error.what());
    return 2;
  }
}
