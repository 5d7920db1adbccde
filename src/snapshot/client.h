// StoreClient: a connection to tare-store, for tared and for tests. One request at a time.
//
// The calls here are plain blocking ones. A caller in a fiber waits for fd() itself and uses the
// pure parts (encode, decode_reply in protocol.h), or offloads call(). Owner: the caller; closing
// it cancels what runs. Errors: the store's own (error_of), or unavailable when it is gone.
// Threads: one at a time.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "snapshot/protocol.h"
#include "sys/fd.h"

namespace tare::snapshot {

class StoreClient {
 public:
  // With the handshake. `program` is the caller's version, for the store's log.
  static Result<StoreClient> connect(std::string_view socket_path, std::string_view program);

  int fd() const { return fd_.get(); }
  // Of the store's release.
  const std::string& version() const { return version_; }

  Result<> send(const Request& request, std::span<const int> fds = {});
  // The next reply: Progress, or the closing one (Failed is a value here).
  Result<Reply> receive();
  // What came beside the last Opened.
  sys::UniqueFd take_opened() { return std::move(opened_); }

  // The closing reply; Failed becomes an Error.
  Result<Reply> finish(const std::function<void(const Progress&)>& on_progress);
  Result<Reply> call(const Request& request, std::span<const int> fds = {},
                     const std::function<void(const Progress&)>& on_progress = nullptr);

  // The whole exchange of ImportFiles. fds[i] is the content of files[i]; `secrets` as there.
  Result<Imported> import_files(FilesOf of, std::span<const FileItem> files,
                                std::span<const int> fds, int secrets);

 private:
  explicit StoreClient(sys::UniqueFd fd) : fd_(std::move(fd)) {}
  sys::UniqueFd fd_;
  sys::UniqueFd opened_;
  std::string version_;
};

// The closing reply as the message it must be.
template <class Message>
Result<Message> expect(Result<Reply> reply) {
  if (!reply) return std::move(reply).error();
  if (auto* message = std::get_if<Message>(&*reply)) return std::move(*message);
  return Error{Errc::internal, "store: unexpected reply"};
}

}  // namespace tare::snapshot
