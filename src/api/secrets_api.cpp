// /v1/secrets: the vault. Values come in and never go out.
//
// What a request brought is overwritten before it is answered: the body and the value lie in memory
// of Secret's, the parser works in memory that is overwritten (secret_json.h), and so is the
// connection's buffer. What cannot be reached from here: the kernel's socket buffers, what a
// function left on the stack (base64 digits in flight, texts of up to 14 bytes), and a body that
// was refused before it was read (another Content-Type): the connection's next request overwrites
// it.
#include "api/answers.h"
#include "api/handlers.h"
#include "base/decode.h"
#include "base/ids.h"
#include "base/secret_json.h"
#include "host/secrets.h"

namespace tare::api {

namespace {

struct Given {
  std::string name;
  Secret value;
};

Json to_json(const host::SecretInfo& secret) {
  return JsonObject{{"name", secret.name},
                    {"version", secret.version},
                    {"created_ms", secret.created_ms},
                    {"rotated_ms", secret.rotated_ms},
                    {"damaged", secret.damaged}};
}

// Says whether freezes look for it: people must know when they do not.
Json stored_json(const host::SecretInfo& secret, const Secret& value) {
  Json json = to_json(secret);
  auto part = host::searched_part(value);
  json.get_object()["searched"] = part.has_value();
  if (part) wipe(*part);
  return json;
}

// Not read_text, which quotes what it refuses.
Result<Secret> read_value(const Node& node) {
  const auto* text = node.value().if_string();
  if (text == nullptr) return field_error("value_base64", "it is not text");
  auto value = secret_from_base64(std::string_view(text->data(), text->size()));
  if (value || value.error().code != Errc::invalid) return value;
  return field_error("value_base64", "it is not base64");
}

Result<Given> parse(std::string_view body, bool with_name) {
  const Json json = TRY(parse_secret_json(body).context("the request's body"));
  Given given;
  const Node node(json);
  Fields fields(node);
  if (with_name) fields.required("name", given.name, text(kMaxNameBytes, 1));
  fields.required("value_base64", given.value, read_value);
  TRY(fields.finish());
  return given;
}

Result<std::size_t> read_into(Secret& body, Exchange& exchange) {
  std::size_t size = 0;
  for (;;) {
    const std::string_view bytes = TRY(exchange.read());
    if (bytes.empty()) return size;
    if (bytes.size() > body.size() - size) {
      return Error{Errc::invalid, "the request's body is longer than a secret can be (64 KiB)", 0,
                   "value_base64"};
    }
    bytes.copy(body.writable().data() + size, bytes.size());
    size += bytes.size();
  }
}

Result<Given> read_given(Exchange& exchange, bool with_name) {
  Secret body = TRY(Secret::of_size(kMaxSecretBytes));
  const auto size = read_into(body, exchange);
  exchange.forget_body();
  if (!size) return size.error();
  return parse(body.reveal().substr(0, *size), with_name);
}

}  // namespace

Result<> set_secret(Services& services, Exchange& exchange) {
  const Given given = TRY(read_given(exchange, true));
  const auto secret = TRY(services.secrets.set(given.name, given.value));
  return reply_json(exchange, 201, stored_json(secret, given.value));
}

Result<> rotate_secret(Services& services, Exchange& exchange) {
  const Given given = TRY(read_given(exchange, false));
  const auto secret = TRY(services.secrets.rotate(exchange.parameter("name"), given.value));
  return reply_json(exchange, 200, stored_json(secret, given.value));
}

Result<> list_secrets(Services& services, Exchange& exchange) {
  TRY(exchange.query().allow_only({}));
  JsonArray list;
  for (const host::SecretInfo& secret : services.secrets.list()) list.push_back(to_json(secret));
  return reply_json(exchange, 200, JsonObject{{"secrets", std::move(list)}});
}

Result<> remove_secret(Services& services, Exchange& exchange) {
  TRY(services.secrets.remove(exchange.parameter("name")));
  return exchange.reply({.status = 204});
}

}  // namespace tare::api
