// RunCreate of the API as a RunWish. Pure, strict. Errors: Errc::invalid naming the field.
#pragma once

#include "base/decode.h"
#include "host/admission.h"

namespace tare::api {

Result<host::RunWish> read_run_wish(const Node& node);

}  // namespace tare::api
