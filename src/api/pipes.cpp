#include "api/pipes.h"

#include "host/pipe_write.h"

namespace tare::api {

Result<> copy_body(http::Exchange& exchange, int pipe, std::uint64_t& given,
                   const fiber::Context& ctx) {
  for (;;) {
    const std::string_view bytes = TRY(exchange.read());
    if (bytes.empty()) return ok();
    if (!TRY(host::write_pipe(pipe, bytes, given, ctx))) return ok();
  }
}

}  // namespace tare::api
