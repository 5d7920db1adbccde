// What the messages' values say about themselves.
#include <numeric>

#include "snapshot/protocol.h"

namespace tare::snapshot {

std::string_view to_string(SkipReason reason) {
  switch (reason) {
    case SkipReason::special: return "special";
    case SkipReason::too_large: return "too_large";
    case SkipReason::too_many: return "too_many";
    case SkipReason::bad_name: return "bad_name";
    case SkipReason::foreign: return "foreign";
    case SkipReason::unreadable: return "unreadable";
  }
  return "unreadable";
}

std::uint64_t Collected::skipped_in_all() const {
  return std::accumulate(std::begin(skipped), std::end(skipped), std::uint64_t{0});
}

Failed failed(const Error& error) {
  return Failed{error.code, error.message.substr(0, kMaxFailureBytes), error.sys};
}

Error error_of(const Failed& failure) {
  Error error;
  error.code = failure.code;
  error.message = failure.message;
  error.sys = failure.sys;
  return error;
}

}  // namespace tare::snapshot
