#include "snapshot/client.h"

#include <algorithm>
#include <cerrno>

#include "sys/seqpacket.h"

namespace tare::snapshot {

Result<StoreClient> StoreClient::connect(std::string_view socket_path, std::string_view program) {
  StoreClient client(TRY(sys::connect_seqpacket(socket_path).context("tare-store")));
  Hello hello;
  hello.program = program;
  Hello answer = TRY(expect<Hello>(client.call(Request(hello))));
  if (answer.version != kProtocolVersion)
    return Error{Errc::unavailable, "tare-store is of another release"};
  client.version_ = std::move(answer.program);
  return client;
}

Result<> StoreClient::send(const Request& request, std::span<const int> fds) {
  CHECK(fds.size() == descriptors_of(request));
  return sys::send_message(fd_.get(), TRY(encode(request)), fds).context("tare-store");
}

Result<Reply> StoreClient::receive() {
  auto received = sys::receive_message(fd_.get());
  // The store closed with messages of ours unread. The kernel says so first; its last reply comes
  // after that.
  if (!received && received.error().sys == ECONNRESET) received = sys::receive_message(fd_.get());
  auto message = TRY(std::move(received).context("tare-store"));
  if (!message) return Error{Errc::unavailable, "tare-store closed the connection"};
  Reply reply = TRY(decode_reply(message->bytes).context("tare-store"));
  if (message->fds.size() != descriptors_of(reply))
    return Error{Errc::internal, "tare-store: wrong number of descriptors beside its reply"};
  if (!message->fds.empty()) opened_ = std::move(message->fds.front());
  return reply;
}

Result<Reply> StoreClient::finish(const std::function<void(const Progress&)>& on_progress) {
  for (;;) {
    Reply reply = TRY(receive());
    if (const auto* failure = std::get_if<Failed>(&reply)) return error_of(*failure);
    const auto* progress = std::get_if<Progress>(&reply);
    if (progress == nullptr) return reply;
    if (on_progress) on_progress(*progress);
  }
}

Result<Reply> StoreClient::call(const Request& request, std::span<const int> fds,
                                const std::function<void(const Progress&)>& on_progress) {
  TRY(send(request, fds));
  return finish(on_progress);
}

Result<Imported> StoreClient::import_files(FilesOf of, std::span<const FileItem> files,
                                           std::span<const int> fds, int secrets) {
  CHECK(files.size() == fds.size());
  TRY(send(ImportFiles{static_cast<std::uint32_t>(files.size()), of}, {&secrets, 1}));
  for (std::size_t at = 0; at < files.size();) {
    const std::size_t n = std::min(kMaxFilesPerChunk, files.size() - at);
    FileChunk chunk;
    chunk.files.assign(files.begin() + static_cast<std::ptrdiff_t>(at),
                       files.begin() + static_cast<std::ptrdiff_t>(at + n));
    // An early refusal has closed the connection: what it says is worth more than "broken pipe".
    if (!send(chunk, fds.subspan(at, n))) break;
    at += n;
  }
  return expect<Imported>(finish(nullptr));
}

}  // namespace tare::snapshot
