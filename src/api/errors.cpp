#include "api/errors.h"

#include "base/json.h"

namespace tare::api {

int status_of(Errc code) {
  switch (code) {
    case Errc::invalid: return 400;
    case Errc::denied: return 403;
    case Errc::not_found: return 404;
    case Errc::conflict:
    case Errc::cancelled: return 409;
    case Errc::exhausted: return 429;
    case Errc::internal: return 500;
    case Errc::unavailable: return 503;
    case Errc::timeout: return 504;
  }
  return 500;
}

http::Response error_response(const Error& error, std::optional<int> status) {
  JsonObject object{{"code", to_string(error.code)}, {"message", error.message}};
  if (!error.field.empty()) object["field"] = error.field;
  http::Response response;
  response.status = status.value_or(status_of(error.code));
  response.headers.add("Content-Type", "application/json");
  response.body = to_text(JsonObject{{"error", std::move(object)}}) + "\n";
  return response;
}

}  // namespace tare::api
