// One HTTP request at a time, over libcurl: no redirect is followed, TLS is verified, nothing waits
// for ever.
//
// Owner: RegistryClient. Threads: one; blocks. Errors: Errc::unavailable for what the network or
// TLS says; what a sink or source says. Never happens: a body of a refusal goes into the sink; a
// proxy or file of the environment's is used. Source: libcurl-easy(3).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tare::registry {

using Sink = std::function<Result<>(std::string_view)>;
using Source = std::function<Result<std::size_t>(std::span<char>)>;  // 0 at the end
// The text must outlive it.
Source source_of(std::string_view text);

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  Source body = nullptr;
  std::uint64_t body_bytes = 0;
  Sink sink = nullptr;  // of the body of a success; nullptr: it is kept, up to kMaxKeptBytes
};
struct HttpResponse {
  std::string origin = {};  // who answers: origin_of() the request's URL
  long status = 0;
  // Names in lower case. Of one that comes again the last counts, but for lists (RFC 9110 section
  // 5.3), which are joined.
  std::map<std::string, std::string> headers = {};
  std::string body = {};

  bool good() const { return status >= 200 && status < 300; }
  std::string header(const std::string& name) const;
};

inline constexpr std::size_t kMaxKeptBytes = std::size_t{8} << 20;

class Http {
 public:
  // `authority`: certificates in PEM to trust besides the system's; "" for none.
  explicit Http(std::string authority);
  ~Http();
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;

  Result<HttpResponse> send(const HttpRequest& request);
  // The last failure was one of TLS being spoken to a port that does not speak it.
  bool spoke_no_tls() const { return spoke_no_tls_; }

 private:
  struct Exchange;
  void set_options(const HttpRequest& request, Exchange& exchange);

  void* curl_;
  std::string authority_;
  bool spoke_no_tls_ = false;
};

// "https://host:5000/v2/..."; `against` gives what a relative one leaves out. Errors:
// Errc::invalid.
Result<std::string> absolute_url(const std::string& url, const std::string& against);
// "https://host:5000"; "" of what is no address.
std::string origin_of(const std::string& url);
// What is said to one like that stays on this machine.
bool is_loopback(const std::string& url);
std::string escaped(std::string_view text);

}  // namespace tare::registry
