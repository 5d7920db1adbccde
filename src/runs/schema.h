// The steps of the schema, made from schema/*.sql when the program is built.
#pragma once

#include <span>

#include "sql/migrate.h"

namespace tare::runs {

std::span<const sql::Migration> migrations();

}  // namespace tare::runs
