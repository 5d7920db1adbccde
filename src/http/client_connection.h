// ClientConnection: one connection of a Client with the request it carries. Private to src/http.
// What never happens: a connection with unread or unsent bytes is used for another request.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "fiber/event.h"
#include "fiber/socket.h"
#include "fiber/task_group.h"
#include "http/client.h"
#include "http/codec.h"
#include "http/input_buffer.h"

namespace tare::http {

class ClientConnection {
 public:
  ClientConnection(fiber::Socket socket, std::string host);

  // Sends the request (a streamed body on a fiber of its own) and reads the head of the final
  // response.
  Result<> begin(const ClientRequest& request, const fiber::Context& ctx);
  const ResponseHead& response() const { return decoder_.response(); }
  Result<std::string_view> read(const fiber::Context& ctx);
  Result<> wait_uploaded(const fiber::Context& ctx);

  // True if nothing of a response has arrived.
  bool untouched() const { return !received_any_; }
  // Ends the request; true if the connection may carry another one.
  bool settle();
  // A kept connection that the server has closed, or on which it says something unasked, is of no
  // use.
  bool alive() const;

 private:
  Result<> send_head(const ClientRequest& request, const fiber::Context& ctx);
  Result<> read_head(const fiber::Context& ctx);
  Result<std::size_t> fill(const fiber::Context& ctx);
  void upload(const BodySource& source, bool chunked, const fiber::Context& ctx);
  Result<> pump(const BodySource& source, bool chunked, const fiber::Context& ctx);

  fiber::Socket socket_;
  std::string host_;
  InputBuffer input_;
  Decoder decoder_;
  bool received_any_ = false;
  bool ended_ = false;  // the response has been read to its end

  std::optional<std::uint64_t> upload_length_;
  bool uploading_ = false;
  Result<> source_result_;  // of the BodySource
  Result<> upload_result_;  // of sending, too
  fiber::Event uploaded_;
  std::unique_ptr<fiber::TaskGroup> uploader_;  // last: it is cancelled and joined first
};

}  // namespace tare::http
