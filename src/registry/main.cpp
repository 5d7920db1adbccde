// tare-registry: moves one image between a registry and a pipe. Started by tared in the sandbox of
// a build, with the host's network and nothing else of the host that a build has not:
//   tare-registry pull REFERENCE PLATFORM|- [--insecure-http]   the image as an oci-archive: stdout
//   tare-registry push REFERENCE - [--insecure-http]            an oci-archive from stdin
// The first line of stdin is JSON: {"user", "password", "authority"}, each may be left out. So no
// credential is in an argument, a variable or a file. What it does is said on stderr; a failure is
// one line that begins with "E: ", and a status as `tare` has it (cli/exit_status.h) where the
// registry or the way to it is the reason, else 1; no secret is in it.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>

#include <curl/curl.h>

#include "base/decode.h"
#include "registry/transfer.h"

namespace tare::registry {
namespace {

constexpr std::size_t kMaxCredentialBytes = std::size_t{512} << 10;
constexpr std::size_t kMaxUserBytes = 1024;
constexpr std::size_t kMaxPasswordBytes = std::size_t{16} << 10;

Result<Credentials> read_credentials(Input& input) {
  const Json json = TRY(parse_json(TRY(input.read_line(kMaxCredentialBytes))));
  Credentials credentials;
  const Node node(json);
  Fields fields(node);
  fields.optional("user", credentials.user, text(kMaxUserBytes));
  fields.optional("password", credentials.password, text(kMaxPasswordBytes));
  fields.optional("authority", credentials.authority, text(kMaxCredentialBytes));
  TRY(fields.finish().context("credentials"));
  return credentials;
}

Result<> transfer(RegistryClient& client, const model::ImageReference& reference, Input& input,
                  bool pushing, std::string_view platform) {
  TRY(client.connect());
  if (pushing) return push(client, reference, input);
  return pull(client, reference, platform == "-" ? "" : std::string(platform), STDOUT_FILENO);
}

Result<> run(std::string_view verb, const char* where, std::string_view platform, bool insecure) {
  const auto reference = TRY(model::parse_image_reference(where));
  Input input(STDIN_FILENO);
  const bool pushing = verb == "push";
  RegistryClient client(reference, TRY(read_credentials(input)), insecure,
                        pushing ? "pull,push" : "pull");
  auto done = transfer(client, reference, input, pushing, platform);
  if (done) return done;
  Error error = std::move(done).error();
  error.message = client.without_secrets(std::move(error.message));
  return error;
}

// The message may hold words of a registry's: they end no line and move no cursor.
std::string one_line(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return text;
}

int status_of(Errc code) {
  switch (code) {
    case Errc::not_found: return 66;
    case Errc::unavailable: return 69;
    case Errc::exhausted:
    case Errc::timeout: return 75;
    case Errc::denied: return 77;
    default: return 1;
  }
}

}  // namespace
}  // namespace tare::registry

int main(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  const bool insecure = argc == 5 && std::string_view(argv[4]) == "--insecure-http";
  if ((verb != "pull" && verb != "push") || (argc != 4 && !insecure)) {
    std::fputs("usage: tare-registry pull|push REFERENCE PLATFORM|- [--insecure-http]\n", stderr);
    return 64;
  }
  ::signal(SIGPIPE, SIG_IGN);
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) return 70;
  const auto done = tare::registry::run(verb, argv[2], argv[3], insecure);
  if (done) return 0;
  std::fprintf(stderr, "E: %s\n", tare::registry::one_line(done.error().message).c_str());
  return tare::registry::status_of(done.error().code);
}
