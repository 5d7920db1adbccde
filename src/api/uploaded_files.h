// The files of an agent or a runner, as a request names them. Strict; errors name the field.
#pragma once

#include "base/decode.h"
#include "host/uploaded_files.h"

namespace tare::api {

Result<host::UploadedFile> read_uploaded_file(const Node& node);

}  // namespace tare::api
