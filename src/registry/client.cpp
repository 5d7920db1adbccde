#include "registry/client.h"

#include <algorithm>

#include "base/base64.h"
#include "base/decode.h"
#include "base/text.h"
#include "registry/challenge.h"
#include "snapshot/image/media_types.h"

namespace tare::registry {

namespace {

constexpr int kMostRedirects = 5;
constexpr std::size_t kMaxTokenBytes = std::size_t{64} << 10;
constexpr std::string_view kStruckOut = "(a secret)";
constexpr const char* kAccept =
    "Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

bool is_redirect(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// What it says went wrong, from {"errors":[{"code","message"}]}.
std::string reason_in(const std::string& body) {
  const auto json = parse_json(body);
  if (!json || !json->is_object()) return {};
  const auto* errors = json->get_object().if_contains("errors");
  if (errors == nullptr || !errors->is_array() || errors->get_array().empty()) return {};
  const Json& first = errors->get_array().front();
  if (!first.is_object()) return {};
  const auto* message = first.get_object().if_contains("message");
  return message != nullptr && message->is_string() ? std::string(message->get_string()) : "";
}

Result<std::string> token_in(const std::string& body) {
  const Json json = TRY(parse_json(body).context("token"));
  std::string token, access_token;
  const Node node(json, Unknown::ignore);
  Fields fields(node);
  fields.optional("token", token, text(kMaxTokenBytes));
  fields.optional("access_token", access_token, text(kMaxTokenBytes));
  TRY(fields.finish().context("token"));
  if (token.empty()) token = access_token;
  const bool clean = std::ranges::all_of(token, [](char c) { return c > ' ' && c < 0x7f; });
  if (token.empty() || !clean) return Error{Errc::invalid, "token: there is none in the answer"};
  return token;
}

}  // namespace

RegistryClient::RegistryClient(model::ImageReference reference, Credentials credentials,
                               bool insecure_http, std::string actions)
    : reference_(std::move(reference)),
      credentials_(std::move(credentials)),
      insecure_http_(insecure_http),
      actions_(std::move(actions)),
      http_(credentials_.authority) {}

std::string RegistryClient::url(const std::string& rest) const {
  return base_ + "/v2/" + reference_.name + "/" + rest;
}

bool RegistryClient::is_own(const std::string& url) const { return origin_of(url) == base_; }

std::string RegistryClient::basic() const {
  return base64_encode(credentials_.user + ":" + credentials_.password);
}

std::string RegistryClient::without_secrets(std::string text) const {
  std::vector<std::string> secrets = {authorization_.substr(authorization_.find(' ') + 1)};
  if (!credentials_.user.empty()) secrets.push_back(basic());
  secrets.push_back(credentials_.password);
  for (const std::string& secret : secrets) {
    if (secret.empty()) continue;
    for (std::size_t at = 0; (at = text.find(secret, at)) != std::string::npos;
         at += kStruckOut.size())
      text.replace(at, secret.size(), kStruckOut);
  }
  return text;
}

// Plain http is what the registry itself speaks, and then perhaps another program on this machine.
Result<> RegistryClient::check_way(const std::string& url) const {
  const bool here = base_.starts_with("http://") && is_loopback(base_) && is_loopback(url);
  if (url.starts_with("https://") || is_own(url) || here) return ok();
  return Error{Errc::denied, "the registry leads to " + quote(origin_of(url)) +
                                 ", which is without TLS and not the registry itself"};
}

Error RegistryClient::refusal(const HttpResponse& response, const std::string& what) const {
  std::string text = what + ": " + quote(response.origin) + " answers " +
                     std::to_string(response.status);
  if (const std::string reason = reason_in(response.body); !reason.empty())
    text += " (" + quote(without_secrets(reason)) + ")";
  if (response.status == 401 && response.origin != base_ && response.origin != token_origin_)
    return Error{Errc::denied, text + "; it is not the registry, and is given no credentials"};
  if (response.status == 401 || response.status == 403) {
    return Error{Errc::denied,
                 text + (credentials_.user.empty() ? "; --credentials FILE gives user and password"
                                                   : "; its user or password may be wrong")};
  }
  return Error{response.status == 404 ? Errc::not_found : Errc::unavailable, text};
}

// TLS, but where http was asked for; on this machine whichever is spoken.
Result<> RegistryClient::connect() {
  const std::string https = "https://" + reference_.address();
  const std::string http = "http://" + reference_.address();
  base_ = origin_of(insecure_http_ ? http : https);
  auto ping = call({.method = "GET", .url = base_ + "/v2/", .headers = {}});
  if (!ping && !insecure_http_ && http_.spoke_no_tls() && reference_.is_loopback()) {
    base_ = origin_of(http);
    ping = call({.method = "GET", .url = base_ + "/v2/", .headers = {}});
  }
  const HttpResponse response = TRY(std::move(ping));
  if (response.good() || response.status == 401 || response.status == 403) return ok();
  return refusal(response, "this is no registry");
}

// ---- authentication

Result<> RegistryClient::answer(const std::string& header) {
  const Challenge challenge = TRY(parse_challenge(header));
  if (challenge.kind == Challenge::Kind::bearer)
    return fetch_token(challenge.realm, challenge.service,
                       "repository:" + reference_.name + ":" + actions_);
  if (credentials_.user.empty()) return ok();
  authorization_ = "Basic " + basic();
  return ok();
}

Result<> RegistryClient::fetch_token(const std::string& realm, const std::string& service,
                                     const std::string& scope) {
  const std::string place = TRY(absolute_url(realm, base_ + "/"));
  TRY(check_way(place).context("a token"));
  token_origin_ = origin_of(place);
  HttpRequest request{.method = "GET",
                      .url = place + (place.find('?') == std::string::npos ? "?" : "&") +
                             "service=" + escaped(service) + "&scope=" + escaped(scope),
                      .headers = {}};
  if (!credentials_.user.empty()) request.headers.push_back("Authorization: Basic " + basic());
  const HttpResponse response = TRY(http_.send(request).context("token"));
  if (!response.good()) return refusal(response, "a token");
  authorization_ = "Bearer " + TRY(token_in(response.body));
  return ok();
}

// Follows redirects; without our credentials as soon as they lead elsewhere.
Result<HttpResponse> RegistryClient::call_once(HttpRequest request) {
  const std::vector<std::string> headers = request.headers;
  for (int i = 0; i <= kMostRedirects; ++i) {
    request.headers = headers;
    if (is_own(request.url) && !authorization_.empty())
      request.headers.push_back("Authorization: " + authorization_);
    HttpResponse response = TRY(http_.send(request));
    const bool follows = request.method == "GET" || request.method == "HEAD";
    if (!is_redirect(response.status) || !follows) return response;
    request.url = TRY(absolute_url(response.header("location"), request.url));
    TRY(check_way(request.url));
  }
  return Error{Errc::unavailable, "the registry leads in circles"};
}

Result<HttpResponse> RegistryClient::call(HttpRequest request) {
  HttpResponse response = TRY(call_once(request));
  // Where a redirect led to is not asked what it wants to know.
  if (response.status != 401 || response.origin != base_) return response;
  const std::string challenge = response.header("www-authenticate");
  if (challenge.empty() || request.body) return response;  // a body cannot be sent again
  authorization_.clear();
  TRY(answer(challenge));
  return authorization_.empty() ? std::move(response) : call_once(std::move(request));
}

// ---- documents and blobs

Result<RegistryClient::Document> RegistryClient::manifest(const std::string& version) {
  const HttpResponse response = TRY(
      call({.method = "GET", .url = url("manifests/" + version), .headers = {kAccept}}));
  if (!response.good()) return refusal(response, reference_.text());
  std::string type = response.header("content-type");
  type = type.substr(0, type.find(';'));
  return Document{std::move(type), response.body};
}

Result<> RegistryClient::get_blob(const std::string& digest, const Sink& sink) {
  const HttpResponse response = TRY(
      call({.method = "GET", .url = url("blobs/" + digest), .headers = {}, .sink = sink}));
  return response.good() ? ok() : Result<>(refusal(response, "blob " + digest));
}

Result<bool> RegistryClient::has_blob(const std::string& digest) {
  const HttpResponse response = TRY(
      call({.method = "HEAD", .url = url("blobs/" + digest), .headers = {}}));
  if (response.good()) return true;
  if (response.status == 404) return false;
  return refusal(response, "blob " + digest);
}

Result<> RegistryClient::put_blob(const std::string& digest, std::uint64_t size,
                                  const Source& source) {
  const HttpResponse begun = TRY(
      call({.method = "POST", .url = url("blobs/uploads/"), .headers = {}}));
  if (begun.status != 202) return refusal(begun, "an upload to " + reference_.text());
  std::string place = TRY(absolute_url(begun.header("location"), url("blobs/uploads/")));
  TRY(check_way(place).context("an upload"));
  place += (place.find('?') == std::string::npos ? "?" : "&");
  place += "digest=" + escaped(digest);
  const HttpResponse done = TRY(call({.method = "PUT",
                                      .url = place,
                                      .headers = {"Content-Type: application/octet-stream"},
                                      .body = source,
                                      .body_bytes = size}));
  return done.good() ? ok() : Result<>(refusal(done, "blob " + digest));
}

Result<> RegistryClient::put_manifest(const std::string& version, const std::string& type,
                                      const std::string& text) {
  const HttpResponse done = TRY(call({.method = "PUT",
                                      .url = url("manifests/" + version),
                                      .headers = {"Content-Type: " + type},
                                      .body = source_of(text),
                                      .body_bytes = text.size()}));
  return done.good() ? ok() : Result<>(refusal(done, reference_.text()));
}

}  // namespace tare::registry
