#include "http/client.h"

#include <sys/socket.h>

#include <algorithm>

#include "http/client_connection.h"

namespace tare::http {
namespace {

constexpr std::size_t kUploadBufferBytes = 64 << 10;
constexpr int kMaxInterimResponses = 8;
constexpr std::size_t kMaxIdleConnections = 4;
constexpr std::size_t kInputBytes = kMaxRequestHeaderBytes + 1;

}  // namespace

ClientConnection::ClientConnection(fiber::Socket socket, std::string host)
    : socket_(std::move(socket)),
      host_(std::move(host)),
      input_(kInputBytes),
      decoder_(Decoder::Side::client, {}) {}

Result<> ClientConnection::begin(const ClientRequest& request, const fiber::Context& ctx) {
  received_any_ = ended_ = false;
  source_result_ = upload_result_ = Result<>{};
  decoder_.expect_no_body(request.method == Method::head);
  upload_length_ = request.source_length;
  auto sent = send_head(request, ctx);
  if (sent && request.source) {
    uploading_ = true;
    uploader_ = std::make_unique<fiber::TaskGroup>(ctx);
    uploader_->spawn([this, source = request.source, chunked = !request.source_length](
                         const fiber::Context& task) { upload(source, chunked, task); });
  }
  // A server may answer and close before it has read all: its answer counts, not our failure to
  // send.
  if (!sent && sent.error().code != Errc::unavailable) return sent;
  auto received = read_head(ctx);
  if (!received && !source_result_) return source_result_;
  if (!received && !sent) return sent;
  return received;
}

Result<> ClientConnection::send_head(const ClientRequest& request, const fiber::Context& ctx) {
  Framing framing{Framing::Kind::length, request.body.size()};
  if (request.source) {
    framing = request.source_length ? Framing{Framing::Kind::length, *request.source_length}
                                    : Framing{Framing::Kind::chunked, 0};
  }
  const auto head = TRY(
      encode_request_head(request.method, request.target, host_, request.headers, framing));
  const std::array<std::string_view, 2> parts{head, request.body};
  return socket_.write_parts(parts, ctx);
}

Result<std::size_t> ClientConnection::fill(const fiber::Context& ctx) {
  auto count = input_.fill(socket_, ctx);
  if (!count) {
    // Our own close() after a failed source ends the wait as "cancelled"; tell the cause instead.
    if (!source_result_) return source_result_.error();
    return std::move(count).error().context("response");
  }
  received_any_ = received_any_ || *count != 0;
  return count;
}

Result<> ClientConnection::read_head(const fiber::Context& ctx) {
  for (int interim = 0;;) {
    const auto step = TRY(decoder_.next(input_.view()).context("response"));
    input_.consume(step.consumed);
    if (step.event == Decoder::Event::head) {
      if (response().status >= 200) return {};
      if (response().status == 101 || ++interim > kMaxInterimResponses) {
        return Error{Errc::invalid, "response: an interim status that was not asked for"};
      }
    } else if (step.event == Decoder::Event::need_more && TRY(fill(ctx)) == 0) {
      TRY(decoder_.finish().context("response"));
      return Error{Errc::unavailable, "the server closed the connection without an answer"};
    }
  }
}

Result<std::string_view> ClientConnection::read(const fiber::Context& ctx) {
  while (!ended_) {
    auto step = TRY(decoder_.next(input_.view()).context("response"));
    input_.consume(step.consumed);
    if (step.event == Decoder::Event::need_more) {
      input_.grow(kBodyBufferBytes);
      if (TRY(fill(ctx)) != 0) continue;
      step = TRY(decoder_.finish().context("response"));
    }
    if (step.event == Decoder::Event::body) return step.body;
    ended_ = step.event == Decoder::Event::end;
  }
  return std::string_view{};
}

void ClientConnection::upload(const BodySource& source, bool chunked, const fiber::Context& ctx) {
  upload_result_ = pump(source, chunked, ctx);
  uploading_ = false;
  uploaded_.notify_all();
  if (!source_result_) socket_.close();  // the server must not take what it has for the whole
}

Result<> ClientConnection::pump(const BodySource& source, bool chunked, const fiber::Context& ctx) {
  const auto buffer = std::make_unique_for_overwrite<char[]>(kUploadBufferBytes);
  std::uint64_t total = 0;
  for (;;) {
    const auto count = source(std::span(buffer.get(), kUploadBufferBytes), ctx);
    if (!count) return source_result_ = count.error();
    const std::string_view bytes(buffer.get(), *count);
    total += bytes.size();
    const bool wrong = upload_length_ &&
                       (bytes.empty() ? total != *upload_length_ : total > *upload_length_);
    if (wrong) {
      return source_result_ = Error{Errc::invalid,
                                    "the request's body is not as long as was announced"};
    }
    if (bytes.empty()) return chunked ? socket_.write_all(kLastChunk, ctx) : Result<>{};
    if (!chunked) {
      TRY(socket_.write_all(bytes, ctx));
      continue;
    }
    const std::string begin = chunk_begin(bytes.size());
    const std::array<std::string_view, 3> parts{begin, bytes, kChunkEnd};
    TRY(socket_.write_parts(parts, ctx));
  }
}

Result<> ClientConnection::wait_uploaded(const fiber::Context& ctx) {
  TRY(uploaded_.wait_until([this] { return !uploading_; }, ctx));
  return upload_result_;
}

bool ClientConnection::settle() {
  const bool whole = ended_ && !uploading_ && upload_result_ && response().keep_alive &&
                     input_.empty();
  if (!whole) socket_.close();
  uploader_.reset();
  input_.shrink(kInputBytes);
  return whole;
}

bool ClientConnection::alive() const {
  char byte = 0;
  return ::recv(socket_.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

struct Client::State {
  std::string path;  // empty: TCP
  std::string address;
  std::uint16_t port = 0;
  std::string host;
  std::vector<std::unique_ptr<ClientConnection>> idle;

  Result<fiber::Socket> connect(const fiber::Context& ctx) const {
    return path.empty() ? fiber::connect_tcp(address, port, ctx) : fiber::connect_unix(path, ctx);
  }

  std::unique_ptr<ClientConnection> take_idle() {
    while (!idle.empty()) {
      auto connection = std::move(idle.back());
      idle.pop_back();
      if (connection->alive()) return connection;
    }
    return nullptr;
  }
};

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Client Client::over_unix(std::string path) {
  auto state = std::make_unique<State>();
  state->path = std::move(path);
  state->host = "localhost";
  return Client(std::move(state));
}

Client Client::over_tcp(std::string address, std::uint16_t port) {
  auto state = std::make_unique<State>();
  const bool v6 = address.find(':') != address.npos;
  state->host = (v6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
  state->address = std::move(address);
  state->port = port;
  return Client(std::move(state));
}

Result<ClientResponse> Client::send(ClientRequest request, const fiber::Context& ctx) {
  CHECK(request.source == nullptr || request.body.empty());
  const bool repeatable = request.method == Method::get || request.method == Method::head;
  if (auto kept = state_->take_idle()) {
    auto begun = kept->begin(request, ctx);
    if (begun) return ClientResponse(std::move(kept), state_.get());
    const bool died = begun.error().code == Errc::unavailable && kept->untouched();
    if (!died || !repeatable || request.source) return std::move(begun).error();
  }
  auto fresh = std::make_unique<ClientConnection>(TRY(state_->connect(ctx)), state_->host);
  TRY(fresh->begin(request, ctx));
  return ClientResponse(std::move(fresh), state_.get());
}

ClientResponse::ClientResponse(std::unique_ptr<ClientConnection> connection, Client::State* owner)
    : connection_(std::move(connection)), owner_(owner) {}
ClientResponse::ClientResponse(ClientResponse&&) noexcept = default;

ClientResponse& ClientResponse::operator=(ClientResponse&& other) noexcept {
  std::swap(connection_, other.connection_);
  std::swap(owner_, other.owner_);
  return *this;
}

ClientResponse::~ClientResponse() {
  if (connection_ == nullptr) return;
  if (connection_->settle() && owner_->idle.size() < kMaxIdleConnections) {
    owner_->idle.push_back(std::move(connection_));
  }
}

int ClientResponse::status() const { return connection_->response().status; }

const Headers& ClientResponse::headers() const { return connection_->response().headers; }

Result<std::string_view> ClientResponse::read(const fiber::Context& ctx) {
  return connection_->read(ctx);
}

Result<std::string> ClientResponse::read_all(std::size_t max_bytes, const fiber::Context& ctx) {
  std::string all;
  for (;;) {
    const auto bytes = TRY(connection_->read(ctx));
    if (bytes.empty()) return all;
    if (bytes.size() > max_bytes - all.size()) {
      return Error{Errc::exhausted,
                   "the response is larger than " + std::to_string(max_bytes) + " bytes"};
    }
    all += bytes;
  }
}

Result<> ClientResponse::wait_uploaded(const fiber::Context& ctx) {
  return connection_->wait_uploaded(ctx);
}

}  // namespace tare::http
