// /v1/images and /v1/environments/{ref}/export: environments as archives, streamed.
// The bytes go between the request and a pipe of tare-store's; nothing here looks at them.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "api/answers.h"
#include "api/handlers.h"
#include "api/pipes.h"
#include "base/text.h"
#include "fiber/task_group.h"
#include "fiber/wait.h"
#include "http/url.h"
#include "model/environment.h"
#include "sys/files.h"

namespace tare::api {

namespace {

using snapshot::ExportFormat;
using snapshot::ImageFormat;

constexpr std::size_t kPieceBytes = std::size_t{256} << 10;

template <class Format>
struct FormatName {
  std::string_view name;
  Format format;
};
constexpr FormatName<ImageFormat> kImportFormats[] = {
    {"", ImageFormat::any}, {"tar", ImageFormat::tree}, {"image", ImageFormat::image}};
constexpr FormatName<ExportFormat> kExportFormats[] = {{"", ExportFormat::oci},
                                                       {"oci-archive", ExportFormat::oci},
                                                       {"docker-archive", ExportFormat::docker},
                                                       {"tar", ExportFormat::tree}};

template <class Names>
auto format_of(const http::Query& query, const Names& names)
    -> Result<decltype(std::begin(names)->format)> {
  const std::string text = text_or_empty(query, "format");
  std::vector<std::string_view> known;
  for (const auto& one : names) {
    if (one.name == text) return one.format;
    if (!one.name.empty()) known.push_back(one.name);
  }
  return field_error("format", quote(text) + " is not known; allowed: " + joined(known));
}

// What Docker and OCI allow in the name of an image with its tag.
Result<std::string> reference_of(const http::Query& query) {
  std::string text = text_or_empty(query, "ref_name");
  const bool good = text.size() <= snapshot::kMaxReferenceBytes &&
                    std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
  if (!good) return field_error("ref_name", quote(text) + " is not the name of an image");
  return text;
}

// Until the reader of the pipe is gone, and all of the body is taken or the client is gone. A body
// that broke off ends the pipe like one that is complete: the store finds that the archive's end is
// missing.
Result<> feed(Exchange& exchange, sys::UniqueFd pipe, const fiber::Context& ctx) {
  std::uint64_t given = 0;
  return copy_body(exchange, pipe.get(), given, ctx);
}

// Sends what comes out of the pipe; the answer begins with the first byte.
Result<> send_all(Exchange& exchange, int pipe) {
  std::string buffer(kPieceBytes, '\0');
  for (;;) {
    TRY(fiber::wait_readable(pipe, exchange.context()));
    const ssize_t n = ::read(pipe, buffer.data(), buffer.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n < 0) return sys_error(errno, "archive");
    if (n == 0) return ok();
    if (!exchange.started())
      TRY(exchange.start(200, {{"Content-Type", "application/x-tar"}}, std::nullopt));
    TRY(exchange.write(std::string_view(buffer).substr(0, static_cast<std::size_t>(n))));
  }
}

Result<sys::Pipe> archive_pipe() {
  sys::Pipe pipe = TRY(sys::make_pipe());
  (void)::fcntl(pipe.read.get(), F_SETPIPE_SZ, static_cast<int>(kPieceBytes));  // only for speed
  return pipe;
}

}  // namespace

Result<> import_environment(Services& services, Exchange& exchange) {
  const http::Query& query = exchange.query();
  TRY(query.allow_only({"name", "format", "platform", "ref_name"}));
  const host::ImportRequest request{.name = text_or_empty(query, "name"),
                                    .format = TRY(format_of(query, kImportFormats)),
                                    .platform = text_or_empty(query, "platform"),
                                    .reference = TRY(reference_of(query))};
  sys::Pipe pipe = TRY(archive_pipe());
  TRY(sys::set_nonblocking(pipe.write.get(), true));
  Result<> fed;
  fiber::TaskGroup feeding(exchange.context());
  feeding.spawn([&, write = std::move(pipe.write)](const fiber::Context& ctx) mutable {
    fed = feed(exchange, std::move(write), ctx);
  });
  auto imported = services.environments.import(request, std::move(pipe.read), exchange.context());
  feeding.cancel();
  feeding.join();
  // What broke off is more of a reason than what the store thinks of the part it got.
  if (!fed && fed.error().code != Errc::cancelled) return std::move(fed).error();
  const auto environment = TRY(std::move(imported));
  return reply_json(exchange, 201, model::to_json(environment),
                    {{"Location", "/v1/environments/" + http::percent_encode(environment.name)}});
}

Result<> export_environment(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({"format", "ref_name"}));
  const host::ExportRequest request{.format = TRY(format_of(exchange.query(), kExportFormats)),
                                    .reference = TRY(reference_of(exchange.query()))};
  // It does not go before it has been read, and nobody has to wait for that.
  const auto found = TRY(services.environments.find_leased(exchange.parameter("ref")));
  sys::Pipe pipe = TRY(archive_pipe());
  TRY(sys::set_nonblocking(pipe.read.get(), true));
  Result<snapshot::Exported> exported = Error{Errc::cancelled, "not asked"};
  fiber::TaskGroup writing(exchange.context());
  writing.spawn([&, write = std::move(pipe.write)](const fiber::Context& ctx) mutable {
    exported = services.environments.write_archive(found.environment, request, std::move(write),
                                                   ctx);
  });
  auto sent = send_all(exchange, pipe.read.get());
  if (!sent) writing.cancel();
  pipe.read.reset();
  writing.join();
  TRY(std::move(sent));
  if (!exported) return std::move(exported).error();
  return ok();
}

}  // namespace tare::api
