#include "sandbox/doctor/examine.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>

#include "sys/files.h"
#include "sys/fork.h"

namespace tare::sandbox {

namespace {

constexpr int kTimeLimitMs = 10'000;
constexpr char kWorks = '+';
constexpr char kFails = '-';

[[noreturn]] void answer(const Check& check, const Host& host, int to) {
  auto found = check.perform(host);
  std::string text(1, found ? kWorks : kFails);
  text += found ? *found : found.error().message;
  text.resize(std::min<std::size_t>(text.size(), PIPE_BUF));
  ::_exit(sys::write_all(to, text) ? 0 : 1);
}

Finding finding_of(const Check& check, int from, const sys::ExitStatus& status) {
  std::array<char, PIPE_BUF> buffer;
  const ssize_t n = ::read(from, buffer.data(), buffer.size());
  if (n > 0) {
    return {&check, buffer.front() == kWorks,
            std::string(buffer.data() + 1, static_cast<std::size_t>(n - 1))};
  }
  return {&check, false,
          std::string("the check itself was ended by ") +
              (status.signalled ? "signal " : "exit status ") + std::to_string(status.code)};
}

Finding failed(const Check& check, std::string why) { return {&check, false, std::move(why)}; }

}  // namespace

std::optional<Finding> examine(const Check& check, const Host& host, int doctor) {
  auto pipe = sys::make_pipe();
  if (!pipe) return failed(check, pipe.error().message);
  auto child = sys::fork_child();
  if (!child) return failed(check, child.error().message);
  if (!child->valid()) answer(check, host, pipe->write.get());
  pipe->write.reset();
  if (auto set = sys::set_nonblocking(pipe->read.get(), true); !set) {
    return failed(check, set.error().message);
  }
  std::array<pollfd, 2> waits = {{{child->pidfd(), POLLIN, 0}, {doctor, POLLIN, 0}}};
  const int ready = ::poll(waits.data(), waits.size(), kTimeLimitMs);
  if (waits[1].revents != 0) return std::nullopt;
  if (ready <= 0) return failed(check, "no answer within " + std::to_string(kTimeLimitMs) + " ms");
  auto status = child->wait(nullptr);
  if (!status) return failed(check, status.error().message);
  return finding_of(check, pipe->read.get(), *status);
}

}  // namespace tare::sandbox
