#include "base/error.h"

#include <cerrno>
#include <cstring>

namespace tare {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::invalid: return "invalid";
    case Errc::not_found: return "not_found";
    case Errc::denied: return "denied";
    case Errc::conflict: return "conflict";
    case Errc::exhausted: return "exhausted";
    case Errc::timeout: return "timeout";
    case Errc::unavailable: return "unavailable";
    case Errc::cancelled: return "cancelled";
    case Errc::internal: return "internal";
  }
  return "internal";
}

Error Error::context(std::string_view what) && {
  message.insert(0, ": ").insert(0, what);
  return std::move(*this);
}

namespace {

Errc kind_of(int error) {
  switch (error) {
    case ENOENT:
    case ESRCH: return Errc::not_found;
    case EACCES:
    case EPERM:
    case EROFS: return Errc::denied;
    case EEXIST:
    case EBUSY:
    case ENOTEMPTY: return Errc::conflict;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EFBIG: return Errc::exhausted;
    case ETIMEDOUT: return Errc::timeout;
    case ENOSYS:
    case EOPNOTSUPP:
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE: return Errc::unavailable;
    case ECANCELED: return Errc::cancelled;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
    case ENOTDIR:
    case EISDIR: return Errc::invalid;
    default: return Errc::internal;
  }
}

}  // namespace

Error sys_error(int error, std::string_view what) {
  std::string message(what);
  message += ": ";
  const char* text = ::strerrordesc_np(error);  // thread-safe and locale-free, unlike strerror
  message += text != nullptr ? text : "unknown error";
  return Error{kind_of(error), std::move(message), error};
}

Error field_error(std::string_view field, std::string_view why) {
  std::string message(field);
  message += ": ";
  message += why;
  return Error{Errc::invalid, std::move(message), 0, std::string(field)};
}

}  // namespace tare
