// RegistryClient: one image's place in a registry: its documents and blobs, read and written, with
// the authentication that the registry demands.
//
// Credentials go to the registry itself and to the place that its challenge names, nowhere else:
// never along with a redirect to another host, nor because such a host asks for them. Plain http is
// spoken with the registry's own address only, or on this machine. Owner: main. Threads: one;
// blocks. Errors: Errc::denied, not_found, unavailable, naming what was asked for. Source: OCI
// distribution-spec 1.1, Docker token authentication.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/image_reference.h"
#include "registry/http.h"

namespace tare::registry {

struct Credentials {
  std::string user, password;
  std::string authority;  // certificates in PEM
};

class RegistryClient {
 public:
  // `actions`: "pull" or "pull,push".
  RegistryClient(model::ImageReference reference, Credentials credentials, bool insecure_http,
                 std::string actions);

  // Finds out how to speak with it.
  Result<> connect();
  // The text with what is secret of ours struck out, in each form that goes over the wire: who is
  // given a secret may say it back.
  std::string without_secrets(std::string text) const;

  struct Document {
    std::string type, text;
  };
  Result<Document> manifest(const std::string& version);
  Result<> get_blob(const std::string& digest, const Sink& sink);
  Result<bool> has_blob(const std::string& digest);
  Result<> put_blob(const std::string& digest, std::uint64_t size, const Source& source);
  Result<> put_manifest(const std::string& version, const std::string& type,
                        const std::string& text);

 private:
  Result<HttpResponse> call(HttpRequest request);
  Result<HttpResponse> call_once(HttpRequest request);
  Result<> check_way(const std::string& url) const;
  Result<> answer(const std::string& challenge);
  Result<> fetch_token(const std::string& realm, const std::string& service,
                       const std::string& scope);
  bool is_own(const std::string& url) const;
  std::string url(const std::string& rest) const;
  std::string basic() const;
  Error refusal(const HttpResponse& response, const std::string& what) const;

  model::ImageReference reference_;
  Credentials credentials_;
  bool insecure_http_;
  std::string actions_;
  Http http_;
  std::string base_;           // "https://host:port"
  std::string authorization_;  // the header's value, once it is known
  std::string token_origin_;   // who is asked for tokens
};

}  // namespace tare::registry
