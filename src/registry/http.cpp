#include "registry/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/check.h"
#include "base/text.h"

namespace tare::registry {

namespace {

constexpr long kConnectSeconds = 30, kStallSeconds = 60, kStallBytes = 1;
constexpr std::size_t kMaxHeaders = 256;
constexpr std::string_view kChallenges = "www-authenticate";
constexpr const char* kAuthorities = "/etc/ssl/certs/ca-certificates.crt";

struct UrlFree {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlFree>;

std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return {};
  std::string out(text);
  curl_free(text);
  return out;
}

}  // namespace

Source source_of(std::string_view text) {
  return [text](std::span<char> into) mutable -> Result<std::size_t> {
    const std::size_t n = text.copy(into.data(), into.size());
    text.remove_prefix(n);
    return n;
  };
}

std::string HttpResponse::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

struct Http::Exchange {
  const HttpRequest& request;
  CURL* curl;
  HttpResponse response;
  std::optional<Error> fault;

  static std::size_t on_header(char* data, std::size_t, std::size_t size, void* self) {
    auto& headers = static_cast<Exchange*>(self)->response.headers;
    std::string_view line(data, size);
    while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("HTTP/")) headers.clear();  // of the final answer, not of 100 Continue
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || headers.size() > kMaxHeaders) return size;
    std::string name(line.substr(0, colon));
    std::ranges::transform(name, name.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    line.remove_prefix(colon + 1);
    while (line.starts_with(' ')) line.remove_prefix(1);
    const bool list = name == kChallenges && headers.contains(name);
    headers[name] = list ? headers[name] + ", " + std::string(line) : std::string(line);
    return size;
  }

  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self) {
    auto& exchange = *static_cast<Exchange*>(self);
    curl_easy_getinfo(exchange.curl, CURLINFO_RESPONSE_CODE, &exchange.response.status);
    const std::string_view bytes(data, size);
    if (exchange.response.good() && exchange.request.sink) {
      auto taken = exchange.request.sink(bytes);
      if (taken) return size;
      exchange.fault = std::move(taken).error();
      return CURL_WRITEFUNC_ERROR;
    }
    if (exchange.response.body.size() + size > kMaxKeptBytes) {
      exchange.fault = Error{Errc::exhausted, "the registry's answer is too long"};
      return CURL_WRITEFUNC_ERROR;
    }
    exchange.response.body += bytes;
    return size;
  }

  static std::size_t on_read(char* into, std::size_t, std::size_t size, void* self) {
    auto& exchange = *static_cast<Exchange*>(self);
    auto got = exchange.request.body(std::span(into, size));
    if (got) return *got;
    exchange.fault = std::move(got).error();
    return CURL_READFUNC_ABORT;
  }
};

Http::Http(std::string authority) : curl_(curl_easy_init()), authority_(std::move(authority)) {
  CHECK(curl_ != nullptr);
}

Http::~Http() { curl_easy_cleanup(curl_); }

void Http::set_options(const HttpRequest& request, Exchange& exchange) {
  curl_easy_reset(curl_);
  const auto set = [this](CURLoption option, auto value) {
    CHECK(curl_easy_setopt(curl_, option, value) == CURLE_OK);
  };
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_PROXY, "");
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_USERAGENT, "tare-registry/" TARE_VERSION);
  set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  set(CURLOPT_LOW_SPEED_LIMIT, kStallBytes);
  set(CURLOPT_LOW_SPEED_TIME, kStallSeconds);
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  set(CURLOPT_CAINFO, kAuthorities);
  if (!authority_.empty()) {
    curl_blob blob{authority_.data(), authority_.size(), CURL_BLOB_COPY};
    set(CURLOPT_CAINFO_BLOB, &blob);
  }
  set(CURLOPT_HEADERFUNCTION, Exchange::on_header);
  set(CURLOPT_HEADERDATA, &exchange);
  set(CURLOPT_WRITEFUNCTION, Exchange::on_body);
  set(CURLOPT_WRITEDATA, &exchange);
  if (request.method == "HEAD") set(CURLOPT_NOBODY, 1L);
  if (request.body) {
    set(CURLOPT_UPLOAD, 1L);
    set(CURLOPT_READFUNCTION, Exchange::on_read);
    set(CURLOPT_READDATA, &exchange);
    set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body_bytes));
  }
  set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

Result<HttpResponse> Http::send(const HttpRequest& request) {
  Exchange exchange{request, curl_, {.origin = origin_of(request.url)}, {}};
  set_options(request, exchange);
  curl_slist* headers = nullptr;
  for (const std::string& header : request.headers)
    headers = curl_slist_append(headers, header.c_str());
  if (request.method == "POST" && !request.body)
    headers = curl_slist_append(headers, "Content-Length: 0");
  headers = curl_slist_append(headers, "Expect:");
  CHECK(curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, headers) == CURLE_OK);
  std::array<char, CURL_ERROR_SIZE> words{};
  CHECK(curl_easy_setopt(curl_, CURLOPT_ERRORBUFFER, words.data()) == CURLE_OK);
  const CURLcode done = curl_easy_perform(curl_);
  curl_easy_setopt(curl_, CURLOPT_ERRORBUFFER, nullptr);
  curl_slist_free_all(headers);
  const std::string_view why = words[0] != 0 ? words.data() : curl_easy_strerror(done);
  spoke_no_tls_ = done == CURLE_SSL_CONNECT_ERROR && why.find("wrong version") != why.npos;
  if (exchange.fault) return std::move(*exchange.fault);
  if (done != CURLE_OK) {
    return Error{Errc::unavailable, origin_of(request.url) + ": " + std::string(why)};
  }
  curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &exchange.response.status);
  return std::move(exchange.response);
}

Result<std::string> absolute_url(const std::string& url, const std::string& against) {
  const Url parsed(curl_url());
  CHECK(parsed != nullptr);
  const bool good = curl_url_set(parsed.get(), CURLUPART_URL, against.c_str(), 0) == CURLUE_OK &&
                    curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) == CURLUE_OK &&
                    part_of(parsed.get(), CURLUPART_USER).empty();
  const std::string scheme = part_of(parsed.get(), CURLUPART_SCHEME);
  if (!good || (scheme != "http" && scheme != "https"))
    return Error{Errc::invalid, "the registry leads to " + quote(url) + ", which is no address"};
  return part_of(parsed.get(), CURLUPART_URL);
}

std::string origin_of(const std::string& url) {
  const Url parsed(curl_url());
  CHECK(parsed != nullptr);
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
  std::string out = part_of(parsed.get(), CURLUPART_SCHEME) + "://" +
                    part_of(parsed.get(), CURLUPART_HOST);
  const std::string port = part_of(parsed.get(), CURLUPART_PORT);
  return port.empty() ? out : out + ":" + port;
}

bool is_loopback(const std::string& url) {
  const Url parsed(curl_url());
  CHECK(parsed != nullptr);
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return false;
  const std::string host = part_of(parsed.get(), CURLUPART_HOST);
  return host == "localhost" || host == "[::1]" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == host.npos);
}

std::string escaped(std::string_view text) {
  char* out = curl_easy_escape(nullptr, text.data(), static_cast<int>(text.size()));
  CHECK(out != nullptr);
  std::string copy(out);
  curl_free(out);
  return copy;
}

}  // namespace tare::registry
