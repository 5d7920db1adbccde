// JSON with secrets in it, parsed into memory that is overwritten when it is given back: also what
// the parser needed on the way. What is not reached: the stack, where texts of up to 14 bytes may
// lie for a while, and parts of a text with escapes.
//
// As parse_json (json.h), for at most kMaxSecretBytes; a copy of a value into other memory is the
// caller's to avoid: read it from where it is.
#pragma once

#include "base/json.h"

namespace tare {

Result<Json> parse_secret_json(std::string_view text);

}  // namespace tare
